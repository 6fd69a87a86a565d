import csv
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import verifier.table
from verifier import InputError
from verifier.table import Layout, Table

COLUMNS, ADDED = ("note",), ("error",)


def _written(value):
    return next(csv.reader([Layout(".csv", COLUMNS, ADDED).lines([{"note": value, "error": None}]).decode()]))[0]


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "-",
        "+1 555 0100",
        "-1_000",
        "-inf",
        "\n=1",
        "\0=1",
        "\uff1d1+1",
        "\uff20SUM(A1)",
    ],
)
def test_text_that_a_spreadsheet_would_run_is_quoted(cell):
    lines = Layout(".csv", COLUMNS, ADDED).lines([{"note": cell, "error": cell}]).decode()
    assert f"'{cell}" in lines
    assert lines.count("'" + cell[0]) == 2


@pytest.mark.parametrize("cell", ["", "a cat", "-5", "+3.25", "-1e-5", "-.5", "12", "'quoted'", "a=b", "1-2"])
def test_numbers_and_plain_text_stay_as_they_are(cell):
    assert _written(cell) == cell


def test_a_column_name_that_a_spreadsheet_would_run_is_quoted():
    assert Layout(".csv", ("text", "=1+1"), ADDED).header() == b"text,'=1+1,error\r\n"


def test_answers_are_written_as_people_script_against_them():
    row = {"answer": False, "probability": 0.25, "error": None}
    assert Layout(".csv", (), tuple(row)).lines([row]) == b"false,0.25,\r\n"
    assert json.loads(Layout(".jsonl", (), tuple(row)).lines([row])) == row


def test_json_lines_have_no_header_and_keep_text_as_it_is():
    layout = Layout(".jsonl", COLUMNS, ADDED)
    assert layout.header() == b""
    assert json.loads(layout.lines([{"note": "=1+1", "error": None}]))["note"] == "=1+1"


@given(rows=st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=8), start=st.integers(0, 9))
@settings(deadline=None)
def test_a_table_read_from_any_row_on_gives_the_rest_of_its_rows(tmp_path_factory, rows, start):
    file = tmp_path_factory.mktemp("table") / "pairs.csv"
    with file.open("w", newline="", encoding="utf-8", errors="surrogatepass") as stream:
        csv.writer(stream).writerows([("text", "image"), *rows])
    table = Table.open(file)
    whole = list(table.read(start=0))
    assert table.count == len(whole) == len(rows)
    assert list(table.read(start=start)) == whole[start:]


def test_short_rows_are_filled_long_ones_have_an_error_and_empty_lines_are_passed_over(tmp_path):
    file = tmp_path / "pairs.csv"
    file.write_text("image,text\n1.jpg\n\n2.jpg,a dog, but no cat\n")
    short, long = Table.open(file).read(start=0)
    assert short == {"image": "1.jpg", "text": ""}
    assert long["error"] == "3 cells in place of 2; a text with commas must stand in quotes"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_are_told_apart_by_what_the_header_has_between_them(tmp_path, delimiter):
    file = tmp_path / "pairs.csv"
    file.write_text(f"\ufeffimage{delimiter}text\n1.jpg{delimiter}a cat\n", encoding="utf-8")
    assert list(Table.open(file).read(start=0)) == [{"image": "1.jpg", "text": "a cat"}]


def test_json_lines_are_refused_as_a_table(tmp_path):
    (tmp_path / "pairs.jsonl").write_text('{"text": "a cat", "image": "1.jpg"}\n')
    with pytest.raises(InputError, match=r"pairs\.jsonl: expected a CSV"):
        Table.open(tmp_path / "pairs.jsonl")


def test_a_cell_that_no_table_has_is_refused_before_the_first_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(verifier.table, "MAX_CELL", 1000)
    file = tmp_path / "pairs.csv"
    file.write_text('text,image\na cat,1.jpg\na cat,"' + "x" * 1001)
    with pytest.raises(InputError, match="field larger"):
        Table.open(file)


def test_two_tables_that_differ_in_one_letter_have_other_digests(tmp_path):
    digests = set()
    for name in "ab":
        file = tmp_path / f"{name}.csv"
        file.write_text(f"text,image\n{'a cat,1.jpg' * 10_000}{name}{'a cat,1.jpg' * 10_000}\n")
        digests.add(Table.open(file).sha256)
    assert len(digests) == 2
