"""Tables of pairs: the CSV that is asked about, and the rows of the CSV or JSON lines that answer it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from animal_cls.cells import START
from verifier.decision import InputError

Row: TypeAlias = dict[str, Any]

NEEDED = ("text", "image")
ADDED = ("answer", "probability", "reason", "error")
EXPLAINED = ("explanation", "mentions", "animals")  # what JSON lines also have if they are to explain
FORMATS = (".csv", ".jsonl")
DELIMITERS = ",;\t"  # of a CSV in most of the world, where numbers have commas, and as text
MAX_CELL = 64 * 1024 * 1024  # characters; longer texts are refused row by row, long before this
LISTED = 200  # characters of the header that a message repeats
_FORMULA = re.compile(START)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Table:
    """A CSV of pairs, of which only a row at a time is in memory.

    Attributes:
        path: the file.
        columns: its header.
        count: its rows, without the header and empty lines.
        sha256: digest of the whole file.
    """

    path: Path
    columns: tuple[str, ...]
    count: int
    sha256: str

    @classmethod
    def open(cls, path: Path, *, added: Sequence[str] = ADDED) -> Table:
        """Read a table through once, for what can be known of it before its first row is answered.

        Args:
            path: the file.
            added: the columns of the answers.

        Raises:
            InputError: it cannot be read, lacks a column that is needed, or has one that the answers add.
        """
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: not a file; the table is read more than once, so it cannot be a pipe")
        with _rows(path) as rows:
            columns = tuple(next(rows, []))
            _check_columns(path, columns, added)
            count = sum(1 for row in rows if row)
            with path.open("rb") as stream:
                return cls(path, columns, count, hashlib.file_digest(stream, "sha256").hexdigest())

    def read(self, *, start: int) -> Iterator[Row]:
        """Rows from number ``start`` on, counted from 0; a row that is too short ends in empty cells, one that is too long has an error.

        Raises:
            InputError: it cannot be read any more.
        """
        with _rows(self.path) as rows:
            filled = (row for row in islice(rows, 1, None) if row)
            for row in islice(filled, start, None):
                padded = row + [""] * (len(self.columns) - len(row))
                yield dict(zip(self.columns, padded, strict=False)) | self._surplus(row)

    def _surplus(self, row: Sequence[str]) -> Row:
        """What is wrong with a row of more cells than the header has; mostly a text with a comma of its own."""
        if len(row) <= len(self.columns):
            return {}
        return {"error": f"{len(row)} cells in place of {len(self.columns)}; a text with commas must stand in quotes"}


@dataclass(frozen=True)
class Layout:
    """How answered rows are written.

    Attributes:
        format: ``.csv`` or ``.jsonl``.
        columns: those of the table.
        added: those of the answers, which follow.
    """

    format: str
    columns: tuple[str, ...]
    added: tuple[str, ...] = ADDED

    def header(self) -> bytes:
        """What comes before the first row."""
        return b"" if self.format == ".jsonl" else _csv([[_cell(name) for name in (*self.columns, *self.added)]])

    def lines(self, rows: Sequence[Row]) -> bytes:
        """Rows as they stand in the file, each with its line end."""
        if self.format == ".jsonl":
            return "".join(json.dumps(row) + "\n" for row in rows).encode()
        return _csv([_cell(row[name]) for name in (*self.columns, *self.added)] for row in rows)


@contextmanager
def _rows(path: Path) -> Iterator[Iterator[list[str]]]:
    """The rows of a CSV; what goes wrong in reading them becomes an InputError."""
    if path.suffix.lower() in (".jsonl", ".json", ".xlsx", ".xls"):
        raise InputError(f"{path}: expected a CSV in UTF-8 with the columns text and image; JSON lines are written, not read")
    csv.field_size_limit(MAX_CELL)
    try:
        # Bytes that are no UTF-8 pass through as they are (surrogateescape); their row is answered like any other.
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
            header = stream.readline(MAX_CELL)
            stream.seek(0)
            yield csv.reader(stream, delimiter=_delimiter(header))
    except (OSError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); expected a CSV in UTF-8 with the columns text and image") from error


def _delimiter(header: str) -> str:
    """The first delimiter that cuts a header into columns of which one is the text."""
    return next((each for each in DELIMITERS if NEEDED[0] in next(csv.reader([header], delimiter=each), [])), DELIMITERS[0])


def _check_columns(path: Path, columns: Sequence[str], added: Sequence[str]) -> None:
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise InputError(f"{path}: no column {missing[0]!r} (it has {_listed(columns) or 'none'}); text and image are needed")
    clash = [name for name in added if name in columns]
    if clash:
        raise InputError(f"{path}: has a column {clash[0]!r} already, which the output adds; rename it")
    if len(set(columns)) < len(columns):
        raise InputError(f"{path}: two columns have one name ({_listed(columns)}); rename one")


def _listed(columns: Sequence[str]) -> str:
    """The names of columns as a message takes them: what is no table may have a first line of any length."""
    names = ", ".join(columns)
    return names if len(names) <= LISTED else names[:LISTED] + " ..."


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream).writerows(rows)
    return stream.getvalue().encode("utf-8", "surrogateescape")


def _cell(value: Any) -> Any:
    """A value as a CSV cell; text that a spreadsheet would run is quoted."""
    if isinstance(value, str):
        return "'" + value if _FORMULA.match(value) and not _NUMBER.fullmatch(value) else value
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value
