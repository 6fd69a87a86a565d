"""Cells that no spreadsheet takes for a formula, and that come back as they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_cls.cells import is_waiting, plain_cell, safe_cell


@given(st.text(alphabet="'=+-@\t\r\n\0\uff1d\uff20 ab-", max_size=6) | st.text())
def test_a_cell_comes_back_as_it_was_and_never_begins_as_a_formula_does(text):
    cell = safe_cell(text)
    assert plain_cell(cell) == text
    assert not cell.startswith(tuple("=+-@\t\r\n\0\uff1d\uff0b\uff0d\uff20"))


@pytest.mark.parametrize("text", ["cat", "", "'Amakihi", "a=b", "/photos/-1.jpg"])
def test_other_cells_are_left_as_they_are(text):
    assert safe_cell(text) == plain_cell(text) == text


@pytest.mark.parametrize(("mark", "waiting"), [("", False), (" ", False), ("No", False), ("0", False), ("yes", True), ("x", True)])
def test_a_row_waits_unless_its_mark_is_empty_or_says_no(mark, waiting):
    assert is_waiting(mark) == waiting
