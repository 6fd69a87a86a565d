"""The fingerprint of a dataset: what changes it, what does not, and who is told."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from animal_cls.cli import main
from animal_cls.data import PictureDataModule
from animal_cls.module import CheckpointError, Classifier, differing_classes
from animal_cls.provenance import PROVENANCE, differing_data, provenance
from animal_cls.split import Example, Side

rows = st.lists(
    st.tuples(st.text("abc", min_size=1, max_size=4), st.sampled_from(["cat", "dog", ""]), st.integers(0, 99), st.sampled_from(Side)),
    max_size=8,
    unique_by=lambda row: row[0],
)


def told(given_rows, root="photos"):
    placed = [(Example(Path(root) / path, label), side) for path, label, _, side in given_rows]
    sizes = {example.path: row[2] for (example, _), row in zip(placed, given_rows, strict=True)}
    return provenance(placed, sizes, folders=[Path(root)])


@given(rows=rows, data=st.data())
def test_neither_the_order_of_the_pictures_nor_the_place_of_the_folder_matters(rows, data):
    assert told(data.draw(st.permutations(rows)), root="/elsewhere/x")["fingerprint"] == told(rows)["fingerprint"]


ROWS = [("a.jpg", "cat", 5, Side.TRAIN), ("b.jpg", "dog", 6, Side.TRAIN), ("c.jpg", "", 7, Side.TRAIN), ("d.jpg", "dog", 6, Side.VAL)]


@pytest.mark.parametrize(
    "changed",
    [
        ROWS[:-1],
        [("A.jpg", *ROWS[0][1:]), *ROWS[1:]],
        [("a.jpg", "dog", 5, Side.TRAIN), *ROWS[1:]],
        [("a.jpg", "cat", 6, Side.TRAIN), *ROWS[1:]],
        [("a.jpg", "cat", 5, Side.TEST), *ROWS[1:]],
    ],
)
def test_another_picture_name_label_size_or_side_gives_another_fingerprint(changed):
    assert told(changed)["fingerprint"] != told(ROWS)["fingerprint"]


def test_the_pictures_are_counted_by_side_and_class():
    assert told(ROWS)["pictures"] == {"train": 3, "val": 1, "test": 0}
    assert told(ROWS)["classes"] == {"cat": 1, "dog": 1}


def test_only_data_that_are_known_to_differ_are_spoken_of():
    one, other = ({PROVENANCE: told(chosen)} for chosen in (ROWS, ROWS[:-1]))
    assert differing_data({"datamodule_hyper_parameters": one}, one) == ""
    assert differing_data({}, one) == differing_data({"datamodule_hyper_parameters": one}, {}) == ""
    assert "3 + 1 + 0 pictures (train + val + test), now 3 + 0 + 0" in differing_data({"datamodule_hyper_parameters": one}, other)


def test_a_checkpoint_keeps_where_it_comes_from_in_plain_values(trained):
    hparams = torch.load(trained / "last.ckpt", weights_only=True)["datamodule_hyper_parameters"]
    kept = hparams.pop(PROVENANCE)
    assert len(bytes.fromhex(kept["fingerprint"])) == 32
    assert sum(kept["pictures"].values()) == 46
    assert set(kept["classes"]) == {"cat", "dog", "owl"}
    PictureDataModule(**(hparams | {"root": None}))  # the rest are its arguments


@pytest.mark.parametrize("changed", [False, True])
def test_a_fit_that_goes_on_with_other_pictures_says_so_once(
    trained, fit_flags, picture_folder, negatives_folder, tmp_path, caplog, changed
):
    folder = shutil.copytree(picture_folder, tmp_path / "pictures")
    if changed:
        (folder / "cat" / "0.jpg").unlink()
    flags = fit_flags(f"--data.root={folder}", "--trainer.max_epochs=2", f"--ckpt_path={trained / 'last.ckpt'}")
    with caplog.at_level(logging.WARNING, logger="animal_cls"):
        assert main(["fit", *flags]) == 0
    said = [record.getMessage() for record in caplog.records if "was trained on other data" in record.getMessage()]
    assert len(said) == changed
    assert all(str(trained / "last.ckpt") in line for line in said)


@pytest.mark.parametrize(
    ("stored", "current", "difference"),
    [
        (["cat", "dog"], ["dog", "cat"], "number 1 is 'cat' there and 'dog' in the data"),
        (["cat", "dog"], ["cat"], "number 2 is 'dog' there and missing in the data"),
        (["cat"], ["cat", "owl"], "number 2 is missing there and 'owl' in the data"),
    ],
)
def test_a_checkpoint_of_another_class_order_is_refused_by_the_first_difference(stored, current, difference):
    assert difference in differing_classes(stored, current)
    model = Classifier(current, "shufflenet_v2_x0_5", "none")
    with pytest.raises(CheckpointError, match=difference):
        model.on_load_checkpoint({"task": "animal_cls", "hyper_parameters": {"classes": stored}})
