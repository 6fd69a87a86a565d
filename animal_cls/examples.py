"""Labelled pictures as they lie: in a folder for each class, or in a table."""

from __future__ import annotations

import csv
import io
import logging
from collections import Counter
from pathlib import Path

from animal_cls.cells import NO_ANIMAL, is_waiting, plain_cell
from animal_cls.picture import find_pictures
from animal_cls.split import Example

logger = logging.getLogger(__name__)


class DataError(ValueError):
    """Data that cannot be used; the message names the folder, file or row and says what would be right."""


def read_examples(root: Path, table: Path | None = None) -> list[Example]:
    """List labelled pictures from a folder per class, or from a CSV.

    Args:
        root: without a table, a folder whose sub-folders are named after the classes; with one, the folder that the table's
            paths start from.
        table: a CSV with the columns path, label and, if wanted, group (pictures of one group stay on one side of the split) and
            uncertain; others are ignored. The label ``-`` says that a picture shows no animal. Rows without a label, and those
            whose ``uncertain`` says anything but no, wait for a person: they are left out, and a warning counts them.

    Raises:
        DataError: something is missing or empty, or fewer than two classes are there.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; data.root must be a folder with one sub-folder of pictures for each class")
    examples = (
        _read_table(root, table)
        if table
        else [
            Example(picture, folder.name)
            for folder in sorted(root.iterdir())
            if folder.is_dir() and not folder.name.startswith(".")
            for picture in find_pictures(folder)
        ]
    )
    names = {example.label for example in examples if example.label}
    if len(names) < 2:
        found = f"only {names.pop()!r}" if names else "no picture"
        raise DataError(f"{table or root}: {found} found; at least two classes are needed (one sub-folder of pictures for each)")
    return examples


def _read_table(root: Path, table: Path) -> list[Example]:
    if not table.is_file():
        raise DataError(f"{table}: no such file; data.table must be a CSV with the columns path,label[,group]")
    try:
        text = table.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{table}: not UTF-8 text ({error.reason} at byte {error.start}); save the table as UTF-8") from error
    try:
        return _rows(root, table, csv.DictReader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise DataError(f"{table}: not a CSV ({error}); a quote may be missing") from error


def _rows(root: Path, table: Path, rows: csv.DictReader[str]) -> list[Example]:
    if not {"path", "label"} <= set(rows.fieldnames or ()):
        raise DataError(f"{table}: columns are {rows.fieldnames}; path and label are needed, group is optional")
    examples = []
    line_of: dict[Path, int] = {}
    waiting: Counter[str] = Counter()
    for row in rows:
        number = rows.line_num
        if not row["path"]:
            raise DataError(f"{table}, line {number}: path is empty")
        label = plain_cell(row["label"] or "").strip()
        if not label or is_waiting(row.get("uncertain") or ""):
            waiting["without a label" if not label else "still marked uncertain"] += 1
            continue
        path = root / plain_cell(row["path"])
        if not path.is_file():
            raise DataError(f"{table}, line {number}: {path}: no such file")
        if line_of.setdefault(path, number) != number:
            raise DataError(f"{table}, line {number}: {path} is on line {line_of[path]} already; a picture has one label")
        examples.append(Example(path, "" if label == NO_ANIMAL else label, row.get("group") or ""))
    if waiting:
        logger.warning("%s: rows left out: %s", table, ", ".join(f"{count:,} {why}" for why, count in sorted(waiting.items())))
    return examples
