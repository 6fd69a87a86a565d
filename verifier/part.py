"""The part of an output that is there already, kept so that the next run goes on from it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from verifier.decision import InputError

if sys.platform != "win32":
    import fcntl

SAVE_EVERY = 1.0  # seconds; what a kill -9 or a power cut may cost


@dataclass(frozen=True)
class Origin:
    """What the rows of an output depend on; a part of another origin is of no use.

    Attributes:
        table: digest of the table.
        models: digest of the models.
        folder: where paths of pictures start.
        columns: the output's format and columns.
    """

    table: str
    models: str
    folder: str
    columns: str

    def differences(self, other: Origin) -> str:
        """The names of what is not the same, joined by commas; empty if nothing is."""
        mine, others = asdict(self), asdict(other)
        return ", ".join(name for name in mine if mine[name] != others[name])


@dataclass(frozen=True)
class Done:
    """How far a part goes: its rows, how many of them have an error, and its bytes, which include the header."""

    rows: int
    errors: int
    size: int


class Part:
    """An output that grows under a hidden name and gets its own when it is whole.

    Its rows lie in ``.NAME.part`` beside the output, and ``.NAME.part.json`` says what they depend on and how many bytes of them are
    sure to be on the disk. What lies behind those bytes (half a row, rows that no disk ever held) is cut off when the next run begins.

    A context manager: when its block ends the output gets its name, when it fails the rows are kept for the next run. Meanwhile no
    second run can write the same output.

    Args:
        output: the file to write.
        origin: what its rows depend on.
        header: its first bytes.

    Attributes:
        done: how far it goes.
        dropped: why rows of an earlier run were not kept; empty if they were, or if there are none.

    Raises:
        InputError: the output cannot be written, or another run is writing it.
    """

    def __init__(self, output: Path, origin: Origin, header: bytes) -> None:
        self.done = Done(rows=0, errors=0, size=len(header))
        self.dropped = ""
        self._output = output
        self._origin = origin
        self._path = output.with_name(f".{output.name}.part")
        self._state = output.with_name(f".{output.name}.part.json")
        self._saved_at = 0.0
        with self._writing():
            if output.is_dir():
                raise InputError(f"{output}: a folder, not a file; name the .csv or .jsonl file to write")
            self._file = self._path.open("ab")
            try:
                self._lock()
                self._go_on_or_begin(header)
            except BaseException:
                self._file.close()
                raise

    def append(self, rows: bytes, *, count: int, errors: int) -> None:
        """Add the bytes of some rows, and now and then make sure that what is there is on the disk."""
        with self._writing():
            self._file.write(rows)
            self._file.flush()
            # One assignment: whatever stops the run finds the part either with these rows or without them.
            self.done = Done(self.done.rows + count, self.done.errors + errors, self.done.size + len(rows))
            if time.monotonic() - self._saved_at >= SAVE_EVERY:
                self._save()

    def __enter__(self) -> Part:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
            else:
                self._keep()
        finally:
            with suppress(OSError):  # of a full disk, which has been told of
                self._file.close()

    def _lock(self) -> None:
        """Keep other runs away until the file is closed, however this process ends."""
        if sys.platform != "win32":
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                mine = self._path.exists() and os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
            except BlockingIOError:
                mine = False
            if not mine:  # or the other run has just finished, and this file is its output by now
                raise InputError(f"{self._output}: another run is writing it; wait for it, or name another output")

    def _go_on_or_begin(self, header: bytes) -> None:
        try:
            stored = json.loads(self._state.read_text(encoding="utf-8"))
            self.dropped = self._useless(Origin(**stored["origin"]), Done(**stored["done"]))
            if not self.dropped:
                self.done = Done(**stored["done"])
        except FileNotFoundError:  # nothing to go on with
            pass
        except (ValueError, TypeError, KeyError):
            self.dropped = f"{self._state.name} cannot be read"
        if self.done.rows:
            self._file.truncate(self.done.size)
            return
        self._state.unlink(missing_ok=True)  # first of all: it must never speak of rows that are not there
        self._file.truncate(0)
        self._file.write(header)

    def _useless(self, origin: Origin, done: Done) -> str:
        """Why an earlier part cannot be gone on with; empty if it can."""
        changed = self._origin.differences(origin)
        if changed:
            return f"changed since: {changed}"
        return "" if self._path.stat().st_size >= done.size else f"{self._path.name} has lost rows"

    def _save(self) -> None:
        """Bring the rows to the disk, and then that they are there."""
        self._file.flush()
        os.fsync(self._file.fileno())
        new = self._state.with_name(f"{self._state.name}.new")
        with new.open("w", encoding="utf-8") as stream:
            json.dump({"origin": asdict(self._origin), "done": asdict(self.done)}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(self._state)
        self._saved_at = time.monotonic()

    def _finish(self) -> None:
        with self._writing():
            self._save()
            if sys.platform == "win32":  # which renames no open file; elsewhere it stays locked until it has its name
                self._file.close()
            self._path.replace(self._output)
            _sync_folder(self._output.parent)
            self._state.unlink(missing_ok=True)

    def _keep(self) -> None:
        if self.done.rows:
            with suppress(OSError):  # a full disk: what was saved before stays
                self._save()
        else:
            if sys.platform == "win32":
                self._file.close()
            self._path.unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(f"{self._output}: cannot be written ({error.strerror})") from error


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    if sys.platform != "win32":  # which cannot, and need not
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
