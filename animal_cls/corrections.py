"""Reviewed corrections: pictures whose label is another than the data say, and pictures that are left out."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from animal_cls.cells import plain_cell, safe_cell
from animal_cls.split import Example

COLUMNS = ("path", "label", "correction", "reason")


class CorrectionError(ValueError):
    """Corrections that cannot be used; the message names the file and the line and says what would be right."""


@dataclass(frozen=True)
class Correction:
    """A judgement of one picture: its path and label as the data have them, the right label ("" to leave it out), and why."""

    path: str
    label: str
    correction: str
    reason: str = ""


def read_corrections(file: Path) -> list[tuple[int, Correction]]:
    """Read a CSV with the columns path, label, correction and reason.

    Returns:
        The line and the correction of each row, in order.

    Raises:
        CorrectionError: the file is missing, is no UTF-8, or has other columns or rows that are too short.
    """
    return [
        (line, Correction(**{name: row[name] for name in COLUMNS}))
        for line, row in read_rows(file, needed=COLUMNS, refused=("finding",), remedy="collect what a review of findings decided first")
    ]


def read_rows(file: Path, *, needed: Collection[str], refused: Collection[str] = (), remedy: str = "") -> list[tuple[int, dict[str, str]]]:
    """Read the rows of a CSV, each with the line it ends on.

    Raises:
        CorrectionError: the file is missing or no UTF-8, lacks a needed column or has a refused one, or a row has another length.
    """
    if not file.is_file():
        raise CorrectionError(f"{file}: no such file; it must be a CSV with the columns {','.join(needed)}")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorrectionError(f"{file}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval=None)
    columns = reader.fieldnames or []
    if not set(needed) <= set(columns) or set(refused) & set(columns):
        raise CorrectionError(f"{file}: columns are {','.join(columns) or 'none'}; {','.join(needed)} are needed{remedy and '; ' + remedy}")
    rows = []
    try:
        for row in reader:
            if "" in row or None in row.values():
                raise CorrectionError(f"{file}, line {reader.line_num}: not as many cells as columns ({len(columns)}); quote commas")
            rows.append((reader.line_num, {name: plain_cell(cell) for name, cell in row.items()}))
    except csv.Error as error:
        raise CorrectionError(f"{file}, line {reader.line_num}: not a CSV ({error}); a quote may be missing") from error
    return rows


def write_corrections(file: Path, corrections: Sequence[Correction]) -> None:
    """Store corrections, atomically."""
    write_rows(file, COLUMNS, [[getattr(correction, name) for name in COLUMNS] for correction in corrections])


def write_rows(file: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a CSV, atomically; no spreadsheet runs a cell of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with temporary.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([columns, *([safe_cell(cell) for cell in row] for row in rows)])
    temporary.replace(file)


def right_labels(file: Path, examples: Sequence[Example], *, folders: Sequence[Path]) -> dict[Path, str | None]:
    """Match the corrections of a file with the pictures they are about.

    Args:
        file: CSV as ``read_corrections`` reads it.
        examples: all pictures, with the labels that the data give.
        folders: what the paths of the file are relative to: the folder of the classes and, if there is one, that of the negatives.

    Returns:
        The right label of each corrected picture; none for one that is left out.

    Raises:
        CorrectionError: a row is about no picture of the data, gives it another label than the data do, corrects it to no class of
            the data, or is about a picture of an earlier row.
    """
    label_of = {example.path: example.label for example in examples}
    classes = set(label_of.values())
    right: dict[Path, str | None] = {}
    line_of: dict[Path, int] = {}
    for line, row in read_corrections(file):
        where = f"{file}, line {line}: {row.path or 'path is empty'}"
        found = [folder / row.path for folder in folders if folder / row.path in label_of]
        if not found:
            raise CorrectionError(f"{where}: no picture of the data (looked in {', '.join(map(str, folders))})")
        path = next((path for path in found if label_of[path] == row.label), None)
        if path is None:
            raise CorrectionError(f"{where}: the data's label is {label_of[found[0]]!r}, not {row.label!r}; judge the picture anew")
        if row.correction and row.correction not in classes:
            raise CorrectionError(f"{where}: {row.correction!r} is no class of the data; name one, or nothing to leave the picture out")
        if line_of.setdefault(path, line) != line:
            raise CorrectionError(f"{where}: is on line {line_of[path]} already; a picture has one correction")
        right[path] = row.correction or None
    return right


def corrected(example: Example, right: Mapping[Path, str | None]) -> Example | None:
    """The example with its right label; none when it is left out."""
    label = right.get(example.path, example.label)
    return None if label is None else replace(example, label=label)
