"""Verifying a table of pairs, however long: in one process or several, and on from where an earlier run was stopped."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from tqdm import tqdm

from animal_cls.picture import hush_pillow
from verifier.decision import InputError, Verdict
from verifier.part import Done, Origin, Part
from verifier.pipeline import BATCH, Models, Verifier, batches
from verifier.record import verdict_as_json
from verifier.table import ADDED, EXPLAINED, FORMATS, Layout, Row, Table
from verifier.workers import WorkerError, map_in_order

LOGGED = 10.0  # seconds between lines of progress where they stay: in a file, not on a screen


def verify_table(
    models: Models, pairs: Path, output: Path, *, workers: int = 1, image_root: Path | None = None, explained: bool = False
) -> Done:
    """Verify every row of a CSV and write it with its answer.

    Rows are read and written as they come, so that memory does not grow with the table. They are kept in a part file beside the output,
    which gets its name when it is whole; whatever stops the run, the same call goes on from there. Progress goes to stderr.

    Args:
        models: what answers.
        pairs: CSV with the columns text and image, and any others, which are kept. A relative image path is looked for in the current
            folder, then beside the CSV.
        output: ``.csv`` or ``.jsonl``; adds answer, probability, reason and error (of rows that cannot be verified).
        workers: processes that answer. A single one lets its classifier use every core; of several, each uses one.
        image_root: when given, image paths are relative to it, and one that leads out of it is its row's error.
        explained: whether rows also get all that explains their verdict; only JSON lines have room for it.

    Returns:
        How many rows there are, and how many of them have an error; earlier runs' are counted.

    Raises:
        InputError: the table or the models cannot be read, the table lacks a column, the output has another suffix, is the table,
            cannot be written or is being written already, or a worker died.
    """
    if output.suffix not in FORMATS:
        raise InputError(f"{output}: the output must end in .csv or .jsonl")
    if image_root is not None and not image_root.is_dir():
        raise InputError(f"{image_root}: no such folder; name the one in which the pictures are")
    if workers < 1:
        raise InputError(f"workers: {workers} given; at least 1 is needed")
    if output.exists() and pairs.exists() and output.samefile(pairs):
        raise InputError(f"{output}: the table itself; name another file to write")
    added = (*ADDED, *EXPLAINED) if explained else ADDED
    table = Table.open(pairs, added=added)
    layout = Layout(output.suffix, table.columns, added)
    origin = Origin(
        table=table.sha256,
        models=models.sha256(),
        folder=str(image_root.resolve()) if image_root else f"{Path.cwd()}, {pairs.parent.resolve()}",
        columns=json.dumps([layout.format, *layout.columns, *layout.added]),
    )
    pictures = Pictures(pairs.parent, image_root)
    with Part(output, origin, layout.header()) as part:
        _tell_of_earlier_rows(output, part)
        chunks = batches(table.read(start=part.done.rows), BATCH)
        workers = min(workers, math.ceil((table.count - part.done.rows) / BATCH))
        answered = _in_processes(chunks, models, pictures, layout, workers) if workers > 1 else _here(chunks, models, pictures, layout)
        seconds = 0.1 if sys.stderr.isatty() else LOGGED
        with closing(answered), tqdm(total=table.count, initial=part.done.rows, unit="pair", desc="verify", mininterval=seconds) as bar:
            for each in answered:
                part.append(each.lines, count=each.count, errors=each.errors)
                bar.update(each.count)
    return part.done


@dataclass(frozen=True)
class Pictures:
    """Where the pictures of a table are.

    Attributes:
        beside: folder of the table; a relative path that leads nowhere from the current folder may start here.
        root: when given, every path starts here and stays here.
    """

    beside: Path
    root: Path | None = None

    def find(self, image: str) -> str:
        """The path to open for a cell of the table; where that leads nowhere, opening it says so.

        Raises:
            InputError: there is a root, and the path does not stay in it.
        """
        if not image:
            return image
        if self.root is not None:
            if not _stays(image, self.root):
                raise InputError(f"{image}: leads out of {self.root}; paths must be relative to that folder and stay in it")
            return str(self.root / image)
        try:
            return image if Path(image).exists() or not (self.beside / image).exists() else str(self.beside / image)
        except (OSError, ValueError):  # a name that no file system takes
            return image


def _stays(image: str, root: Path) -> bool:
    """Whether a path, its symbolic links followed, is one below a folder."""
    try:
        return not Path(image).is_absolute() and (root / image).resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):  # links that run in a circle, a name that no file system takes
        return False


@dataclass(frozen=True)
class Answered:
    """A chunk of rows with their answers: as the bytes that the output gets, how many they are, and how many have an error."""

    lines: bytes
    count: int
    errors: int


def answer_rows(verifier: Verifier, rows: Sequence[Row], *, pictures: Pictures, layout: Layout) -> Answered:
    """Answer the rows of a chunk, or say in the row what is wrong with it."""
    located = [InputError(row["error"]) if "error" in row else _try_find(pictures, row["image"]) for row in rows]
    pairs = {i: (row["text"], path) for i, (row, path) in enumerate(zip(rows, located, strict=True)) if not isinstance(path, InputError)}
    outcomes = dict(zip(pairs, verifier.try_batch(pairs.values()), strict=True))
    answers = [_answer(path if isinstance(path, InputError) else outcomes[i], layout.added) for i, path in enumerate(located)]
    lines = layout.lines([row | answer for row, answer in zip(rows, answers, strict=True)])
    return Answered(lines, len(rows), sum(answer["error"] is not None for answer in answers))


def _here(chunks: Iterable[list[Row]], models: Models, pictures: Pictures, layout: Layout) -> Generator[Answered, None, None]:
    verifier = models.open()
    for rows in chunks:
        yield answer_rows(verifier, rows, pictures=pictures, layout=layout)


def _in_processes(
    chunks: Iterable[list[Row]], models: Models, pictures: Pictures, layout: Layout, workers: int
) -> Generator[Answered, None, None]:
    function = partial(_answer_in_worker, models=models, pictures=pictures, layout=layout)
    try:
        for answered in map_in_order(function, chunks, workers=workers):
            if isinstance(answered, InputError):
                raise answered
            yield answered
    except WorkerError as error:
        raise InputError(f"{error}; the same command goes on from the rows that are kept (fewer workers need less memory)") from error


def _answer_in_worker(rows: Sequence[Row], *, models: Models, pictures: Pictures, layout: Layout) -> Answered | InputError:
    try:
        verifier = _opened_in_worker(models)
    except InputError as error:
        return error
    return answer_rows(verifier, rows, pictures=pictures, layout=layout)


@cache
def _opened_in_worker(models: Models) -> Verifier:
    """The Verifier of a worker, opened at its first chunk."""
    hush_pillow()
    return models.open(threads=1)


def _try_find(pictures: Pictures, image: str) -> str | InputError:
    try:
        return pictures.find(image)
    except InputError as error:
        return error


def _answer(outcome: Verdict | InputError, added: Sequence[str]) -> Row:
    """What is added to a row."""
    if isinstance(outcome, InputError):
        return dict.fromkeys(added) | {"error": str(outcome)}
    if added != ADDED:
        record = verdict_as_json(outcome)
        return {name: record.get(name) for name in added}
    return {"answer": outcome.answer, "probability": round(outcome.probability, 4), "reason": outcome.reason.value, "error": None}


def _tell_of_earlier_rows(output: Path, part: Part) -> None:
    if part.done.rows:
        tqdm.write(f"verify: {output}: going on after {part.done.rows:,} rows of an earlier run", file=sys.stderr)
    elif part.dropped:
        tqdm.write(f"verify: {output}: starting anew; {part.dropped}", file=sys.stderr)
