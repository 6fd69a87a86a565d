"""Fingerprints kept from run to run: what is taken again, and what the file may look like."""

from __future__ import annotations

import csv
import os
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import animal_cls.fingerprints as module
from animal_cls.fingerprints import Fingerprint, as_array, take_fingerprints
from animal_cls.split import fingerprint


@pytest.fixture
def pictures(picture_folder, tmp_path):
    """Three pictures, one of which cannot be read, and the store beside them."""
    for i in range(2):
        shutil.copy(picture_folder / "cat" / f"{i}.jpg", tmp_path / f"{i}.jpg")
    (tmp_path / "2.jpg").write_text("text")
    return [tmp_path / f"{i}.jpg" for i in range(3)]


@pytest.fixture
def taken(monkeypatch):
    """The names of the pictures whose fingerprints are taken, rather than found in the store."""
    names = []
    monkeypatch.setattr(module, "fingerprint", lambda path: (names.append(path.name), fingerprint(path))[1])
    return names


def test_a_fingerprint_is_taken_once_and_again_when_the_file_or_its_state_is_another(pictures, taken, tmp_path):
    store = tmp_path / "kept" / "fingerprints.csv"
    first = take_fingerprints(pictures, store, keep=True)
    assert taken == ["0.jpg", "1.jpg", "2.jpg"]
    assert take_fingerprints(pictures, store) == first
    assert taken[3:] == ["2.jpg"]  # what could not be read may have been repaired
    pictures[0].write_bytes(pictures[1].read_bytes())
    assert take_fingerprints(pictures, store)[pictures[0]].bits == first[pictures[1]].bits
    assert taken[4:] == ["0.jpg", "2.jpg"]


def test_fingerprints_are_those_of_the_split_and_what_has_none_says_why(pictures, tmp_path):
    found = take_fingerprints(pictures, tmp_path / "store.csv")
    assert not (tmp_path / "store.csv").exists()
    assert (as_array(found[path] for path in pictures[:2]) == np.stack([fingerprint(path) for path in pictures[:2]])).all()
    assert found[pictures[2]].bits == ""
    assert found[pictures[2]].error.startswith(f"{pictures[2]}: not a picture")
    assert take_fingerprints([tmp_path / "gone.jpg"], tmp_path / "store.csv")[tmp_path / "gone.jpg"].error.endswith("no such file")


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"path,label\n", b"path,bytes,fingerprint\n0.jpg\n", b"path,bytes,fingerprint\n0.jpg,x,zz\n"]
)
def test_a_damaged_store_is_taken_anew(pictures, taken, tmp_path, content):
    (tmp_path / "store.csv").write_bytes(content)
    take_fingerprints(pictures, tmp_path / "store.csv", keep=True)
    assert taken == ["0.jpg", "1.jpg", "2.jpg"]
    with (tmp_path / "store.csv").open(newline="") as stream:
        assert [row["path"] for row in csv.DictReader(stream)] == [path.as_posix() for path in pictures[:2]]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_that_cannot_be_written_is_warned_of(pictures, tmp_path, caplog):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert len(take_fingerprints(pictures, tmp_path / "locked" / "store.csv", keep=True)) == 3
    assert "store.csv: cannot be written" in caplog.text


def test_a_store_below_a_file_is_warned_of(pictures, tmp_path, caplog):
    assert len(take_fingerprints(pictures, pictures[0] / "store.csv", keep=True)) == 3
    assert "store.csv: cannot be written" in caplog.text


@given(rows=st.lists(st.binary(min_size=16, max_size=16), max_size=5))
def test_an_array_of_fingerprints_has_their_bits(rows):
    array = as_array(Fingerprint(1, row.hex()) for row in rows)
    assert array.shape == (len(rows), 16)
    assert [row.tobytes() for row in array] == rows
