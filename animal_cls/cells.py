"""Cells of the tables that predict writes, a person corrects in a spreadsheet, and fit reads."""

from __future__ import annotations

import re

NO_ANIMAL = "-"  # the label of a picture that shows none of the classes
UNCERTAIN = "yes"
SETTLED = frozenset({"", "no", "n", "false", "0"})
# How a cell begins that a spreadsheet may run, in full width too: https://owasp.org/www-community/attacks/CSV_Injection
START = r"[=+\-@\t\r\n\0\uff1d\uff0b\uff0d\uff20]"
FORMULA = re.compile(rf"'*{START}")  # and what safe_cell makes of it


def safe_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula: one that would begin as one (= + - @ and more) gets an apostrophe before it."""
    return f"'{text}" if FORMULA.match(text) else text


def plain_cell(cell: str) -> str:
    """What ``safe_cell`` was given; any other text is left as it is."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def is_waiting(uncertain: str) -> bool:
    """Whether the cell ``uncertain`` of a row says that a person has yet to look at it: all but an empty one and no."""
    return uncertain.strip().lower() not in SETTLED
