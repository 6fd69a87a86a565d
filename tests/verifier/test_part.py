import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifier import InputError
from verifier.part import Origin, Part

ORIGIN = Origin(table="t", models="m", folder="f", columns="c")
HEADER = b"text\r\n"


def _stop_after(output, rows):
    """A run that adds these rows, the first of them with an error, and is stopped."""
    with suppress(KeyboardInterrupt), Part(output, ORIGIN, HEADER) as part:
        for row in rows:
            part.append(row, count=1, errors=row == rows[0])
        raise KeyboardInterrupt


@given(
    rows=st.lists(st.binary(min_size=1, max_size=20), max_size=12),
    stops=st.lists(st.integers(1, 5), max_size=6),
    torn=st.binary(max_size=9),
)
@settings(deadline=None)
def test_however_often_a_run_is_stopped_and_wherever_its_last_row_is_torn_no_row_is_lost_or_doubled(tmp_path_factory, rows, stops, torn):
    output = tmp_path_factory.mktemp("part") / "out.csv"
    done = 0
    for stop in stops:
        _stop_after(output, rows[done:][:stop])
        done += len(rows[done:][:stop])
        with (output.parent / ".out.csv.part").open("ab") as stream:
            stream.write(torn)
    with Part(output, ORIGIN, HEADER) as part:
        assert part.done.rows == done
        for row in rows[done:]:
            part.append(row, count=1, errors=0)
    assert output.read_bytes() == HEADER + b"".join(rows)
    assert [path.name for path in output.parent.iterdir()] == ["out.csv"]


def test_a_stopped_run_shows_no_output_and_keeps_its_rows_and_errors(tmp_path):
    output = tmp_path / "out.csv"
    _stop_after(output, [b"1\r\n", b"2\r\n"])
    assert not output.exists()
    with Part(output, ORIGIN, HEADER) as part:
        assert (part.done.rows, part.done.errors, part.dropped) == (2, 1, "")


def test_an_earlier_output_stays_until_the_new_one_is_whole(tmp_path):
    output = tmp_path / "out.csv"
    output.write_text("earlier")
    _stop_after(output, [b"1\r\n"])
    assert output.read_text() == "earlier"


@pytest.mark.parametrize("name", ["table", "models", "folder", "columns"])
def test_rows_of_another_origin_are_dropped_and_the_reason_named(tmp_path, name):
    output = tmp_path / "out.csv"
    _stop_after(output, [b"1\r\n"])
    with Part(output, replace(ORIGIN, **{name: "other"}), HEADER) as part:
        assert part.done.rows == 0
        assert part.dropped == f"changed since: {name}"
    assert output.read_bytes() == HEADER


def test_a_part_that_lost_rows_or_its_state_is_begun_anew(tmp_path):
    output = tmp_path / "out.csv"
    part, state = tmp_path / ".out.csv.part", tmp_path / ".out.csv.part.json"
    for harm in (lambda: part.write_bytes(b"te"), part.unlink, lambda: state.write_text("{"), lambda: state.write_text("{}"), state.unlink):
        _stop_after(output, [b"1\r\n"])
        assert json.loads(state.read_text())["done"]["rows"] == 1
        harm()
        with Part(output, ORIGIN, HEADER) as begun:
            begun.append(b"2\r\n", count=1, errors=0)
        assert output.read_bytes() == HEADER + b"2\r\n"


def test_a_run_stopped_before_its_first_row_leaves_nothing(tmp_path):
    _stop_after(tmp_path / "out.csv", [])
    assert not list(tmp_path.iterdir())


def test_two_runs_do_not_write_one_output(tmp_path):
    output = tmp_path / "out.csv"
    with Part(output, ORIGIN, HEADER) as first:
        first.append(b"1\r\n", count=1, errors=0)
        with pytest.raises(InputError, match="another run is writing it"):
            Part(output, ORIGIN, HEADER)
    assert output.read_bytes() == HEADER + b"1\r\n"


def test_an_output_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"folder\.csv: a folder"):
        Part(tmp_path / "folder.csv", ORIGIN, HEADER)
    with pytest.raises(InputError, match=r"out\.csv: cannot be written \(No such file"):
        Part(tmp_path / "missing" / "out.csv", ORIGIN, HEADER)
