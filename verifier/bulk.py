"""Verifying a table of pairs: rows in, rows out, a few at a time."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from verifier.decision import InputError, Verdict
from verifier.pipeline import Verifier

NEEDED = ("text", "image")
MAX_CELL = 64 * 1024 * 1024  # characters; longer texts are refused row by row, long before this
ADDED = ("answer", "probability", "reason", "error")


def verify_table(verifier: Verifier, pairs: Path, output: Path) -> int:
    """Verify every row of a CSV and write it with its answer.

    Rows are read and written as they come, so that memory does not grow with the table; the output appears under its name once it is
    whole.

    Args:
        verifier: what answers.
        pairs: CSV with the columns text and image, and any others, which are kept. A relative image path is looked for in the current
            folder, then beside the CSV.
        output: ``.csv`` or ``.jsonl``; adds answer, probability, reason and error (of rows that cannot be verified).

    Returns:
        The number of rows with an error.

    Raises:
        InputError: the table cannot be read, lacks a column, or the output has another suffix or cannot be written.
    """
    if output.suffix not in (".csv", ".jsonl"):
        raise InputError(f"{output}: the output must end in .csv or .jsonl")
    if pairs.exists() and not pairs.is_file():
        raise InputError(f"{pairs}: not a file; the table is read more than once, so it cannot be a pipe")
    csv.field_size_limit(MAX_CELL)
    columns, count = _header(pairs), _count_lines(pairs)
    clash = [name for name in ADDED if name in columns]
    if clash:
        raise InputError(f"{pairs}: has a column {clash[0]!r} already, which the output adds; rename it")
    if len(set(columns)) < len(columns):
        raise InputError(f"{pairs}: two columns have one name ({', '.join(columns)}); rename one")
    temporary = output.with_name(f".{output.name}.{os.getpid()}.part")
    errors = 0
    try:
        with temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
            write = _writer(stream, [*columns, *ADDED], output.suffix)
            for row in tqdm(_answered(verifier, pairs), total=count, unit="pair", desc="verify"):
                errors += bool(row["error"])
                write(row)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(output)
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)
    return errors


def _answered(verifier: Verifier, pairs: Path) -> Iterator[dict[str, Any]]:
    """Rows with their answers. The rows of one batch are held until it is answered."""
    waiting: list[dict[str, Any]] = []

    def inputs() -> Iterator[tuple[str, str]]:
        for row in _rows(pairs):
            waiting.append(row)
            yield row["text"], _locate(row["image"], pairs.parent)

    for outcome in verifier.try_batch(inputs()):
        yield waiting.pop(0) | _answer(outcome)


def _answer(outcome: Verdict | InputError) -> dict[str, Any]:
    if isinstance(outcome, InputError):
        return {"answer": None, "probability": None, "reason": None, "error": str(outcome)}
    return {"answer": outcome.answer, "probability": round(outcome.probability, 4), "reason": outcome.reason.value, "error": None}


def _header(pairs: Path) -> list[str]:
    try:
        with pairs.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
            columns = next(csv.reader(stream), [])
    except (OSError, csv.Error) as error:
        raise InputError(f"{pairs}: cannot be read ({error}); expected a CSV in UTF-8 with the columns text and image") from error
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise InputError(f"{pairs}: no column {missing[0]!r} (it has {', '.join(columns) or 'none'}); text and image are needed")
    return columns


def _rows(pairs: Path) -> Iterator[dict[str, Any]]:
    # Bytes that are no UTF-8 pass through as they are (surrogateescape); their row is answered like any other.
    with pairs.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
        for row in csv.DictReader(stream, restval=""):
            row.pop(None, None)  # cells beyond the header
            yield row


def _count_lines(pairs: Path) -> int:
    """Rows of a table, for the progress bar; line breaks within cells make it an upper bound."""
    with pairs.open("rb") as stream:
        return max(0, sum(1 for _ in stream) - 1)


def _locate(image: str, beside: Path) -> str:
    try:
        return image if not image or Path(image).exists() or not (beside / image).exists() else str(beside / image)
    except (OSError, ValueError):  # a name that no file system takes; opening it says so
        return image


def _writer(stream: Any, columns: list[str], suffix: str) -> Any:
    if suffix == ".jsonl":
        return lambda row: stream.write(json.dumps(row) + "\n")
    writer = csv.DictWriter(stream, columns)
    writer.writeheader()
    return lambda row: writer.writerow({name: _cell(value) for name, value in row.items()})


def _cell(value: Any) -> Any:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value
