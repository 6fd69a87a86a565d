"""Splits that would make scores worthless are refused; what can be lived with is warned of."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from PIL import Image

from animal_cls.cli import main
from animal_cls.data import PictureDataModule
from animal_cls.fingerprints import Fingerprint
from animal_cls.picture import PictureError
from animal_cls.soundness import check_apart, check_classes, check_readable
from animal_cls.split import Example, Side, SplitError

FILE = Path("split.csv")


def pictures(count, broken=0):
    """Examples and their fingerprints, the last of which cannot be read."""
    examples = [Example(Path(f"{i}.jpg"), "cat") for i in range(count)]
    errors = [""] * (count - broken) + [f"{i}.jpg: cut" for i in range(count - broken, count)]
    return examples, {
        e.path: Fingerprint(1, "" if error else f"{i:032x}", error) for i, (e, error) in enumerate(zip(examples, errors, strict=True))
    }


def test_the_first_unreadable_pictures_are_named_and_the_others_counted():
    assert check_readable(*pictures(5), most=0.0) == ""
    assert check_readable(*pictures(100, broken=1), most=0.05) == "1 of 100 pictures cannot be read: 99.jpg: cut"
    assert check_readable(*pictures(100, broken=5), most=0.05) == (
        "5 of 100 pictures cannot be read: 95.jpg: cut; 96.jpg: cut; 97.jpg: cut; and 2 more"
    )


def test_more_unreadable_pictures_than_allowed_are_an_error_that_says_what_would_be_right():
    with pytest.raises(PictureError, match=r"6 of 100 pictures cannot be read: 94\.jpg: cut.*max_unreadable lets 0\.05"):
        check_readable(*pictures(100, broken=6), most=0.05)


def near(*labels_sides_groups):
    """Pictures whose fingerprints are the same, with sides and groups."""
    placed = [(Example(Path(f"{i}.jpg"), "cat", group), side) for i, (side, group) in enumerate(labels_sides_groups)]
    return placed, {example.path: Fingerprint(1, "ab" * 16) for example, _ in placed}


def test_near_duplicates_on_one_side_are_fine_and_on_two_sides_named():
    check_apart(FILE, *near((Side.TRAIN, ""), (Side.TRAIN, "")))
    check_apart(FILE, *near())
    with pytest.raises(SplitError, match=r"^split\.csv: 0\.jpg \(train\) and 1\.jpg \(test\) are nearly the same; give both the same side"):
        check_apart(FILE, *near((Side.TRAIN, ""), (Side.TEST, "")))
    with pytest.raises(SplitError, match=r"0\.jpg \(train\) and 2\.jpg \(val\) are nearly the same, as are 1 more pairs of two sides"):
        check_apart(FILE, *near((Side.TRAIN, ""), (Side.TRAIN, ""), (Side.VAL, "")))


def test_a_group_on_two_sides_is_named():
    placed, found = near((Side.VAL, "herd"), (Side.VAL, "pack"), (Side.TRAIN, "herd"))
    with pytest.raises(SplitError, match=r"0\.jpg \(val\) and 2\.jpg \(train\) are of one group, 'herd'"):
        check_apart(FILE, placed, found)


SIDES = {"train": Side.TRAIN, "val": Side.VAL, "test": Side.TEST}


@pytest.mark.parametrize(
    ("sides", "stage", "refusal"),
    [
        ({"train": "cd", "val": "cd", "test": "cd"}, "fit", None),
        ({"train": "cd", "val": "c", "test": ""}, "fit", None),
        ({"train": "c", "val": "cd", "test": "cd"}, "fit", "no picture of d on the train side, where a class is learnt"),
        ({"train": "cd", "val": "", "test": "cd"}, "fit", "no picture of any class on the val side"),
        ({"train": "cd", "val": "-", "test": "cd"}, "validate", "no picture of any class on the val side"),
        ({"train": "cd", "val": "cd", "test": ""}, "test", "no picture of any class on the test side"),
        ({"train": "", "val": "", "test": "cd"}, "test", None),  # pictures from elsewhere, to test alone
    ],
)
def test_a_side_without_a_class_is_refused_where_it_is_needed_and_warned_of_elsewhere(sides, stage, refusal, caplog):
    placed = [(Example(Path(f"{side}{label}.jpg"), label.strip("-")), SIDES[side]) for side, labels in sides.items() for label in labels]
    if refusal:
        with pytest.raises(SplitError, match=refusal):
            check_classes(FILE, placed, ["c", "d"], stage=stage)
        return
    check_classes(FILE, placed, ["c", "d"], stage=stage)
    short = [side for side, labels in sides.items() if set(labels) != {"c", "d"}]
    assert [record.getMessage().rsplit(" ", 2)[-2] for record in caplog.records] == short


@pytest.fixture
def folder(picture_folder, tmp_path):
    return shutil.copytree(picture_folder, tmp_path / "pictures")


def data(folder, **options):
    given = {"root": str(folder), "split_file": str(folder.parent / "split.csv"), "val": 0.2, "test": 0.2, "num_workers": 0}
    return PictureDataModule(**(given | options))


def set_up(folder, stage="fit", **options):
    module = data(folder, **options)
    module.prepare_data()
    module.setup(stage)
    return module


def move(file, name, side):
    """Put the pictures whose path ends so on another side of a stored split."""
    with file.open(newline="") as stream:
        rows = [row | {"split": side} if row["path"].endswith(name) else row for row in csv.DictReader(stream)]
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["path", "label", "split"])
        writer.writeheader()
        writer.writerows(rows)


def test_a_stored_split_that_was_changed_so_that_copies_are_on_two_sides_is_refused(folder):
    with Image.open(folder / "cat" / "3.jpg") as image:
        image.resize((50, 40)).save(folder / "cat" / "copy.png")
    set_up(folder)
    split = folder.parent / "split.csv"
    move(split, "cat/3.jpg", "train")
    move(split, "cat/copy.png", "test")
    with pytest.raises(SplitError, match=r"split\.csv: .*cat/3\.jpg \(train\) and .*cat/copy\.png \(test\) are nearly the same"):
        set_up(folder)
    move(split, "cat/copy.png", "train")
    set_up(folder)


def test_a_class_without_training_pictures_is_refused_by_name(folder):
    set_up(folder)
    for i in range(12):
        move(folder.parent / "split.csv", f"owl/{i}.jpg", "val")
    with pytest.raises(SplitError, match=r"split\.csv: no picture of owl on the train side"):
        set_up(folder)
    set_up(folder, stage="validate")


def test_a_few_broken_pictures_are_left_out_of_all_sides_with_one_warning(folder, caplog):
    (folder / "cat" / "broken.jpg").write_text("text")
    whole = (folder / "owl" / "3.jpg").read_bytes()
    (folder / "owl" / "3.jpg").write_bytes(whole[: len(whole) // 2])
    module = set_up(folder, max_unreadable=0.1)
    served = {example.path.name for side in Side for example in module.pictures(side).examples}
    assert "broken.jpg" not in served
    assert len([e for side in Side for e in module.pictures(side).examples]) == 35
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith("2 of 37 pictures cannot be read: ")
    assert "cat/broken.jpg: not a picture" in warning
    assert "owl/3.jpg: not a picture that can be read" in warning
    (folder / "owl" / "3.jpg").write_bytes(whole)  # repaired, it is used again
    assert sum(len(set_up(folder, max_unreadable=0.1).pictures(side)) for side in Side) == 36


def test_too_many_broken_pictures_stop_before_a_split_is_made(folder):
    for i in range(3):
        (folder / "dog" / f"{i}.jpg").write_text("text")
    with pytest.raises(PictureError, match=r"3 of 36 pictures cannot be read: .*dog/0\.jpg.*max_unreadable lets 0\.05"):
        set_up(folder)
    assert not (folder.parent / "split.csv").exists()


@pytest.mark.parametrize("share", [-0.1, 1.0, 7])
def test_a_share_that_is_none_is_refused(folder, share):
    with pytest.raises(ValueError, match=r"data\.max_unreadable .*from 0 to below 1"):
        data(folder, max_unreadable=share)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_breaks_while_training_stops_it_in_one_line(fit_flags, folder, capsys, monkeypatch, workers):
    import animal_cls.data as module

    def break_one(path, size):
        raise PictureError(f"{path}: gone")

    monkeypatch.setattr(module, "load_picture", break_one)  # validation; workers are forked and have it too
    assert main(["fit", *fit_flags(f"--data.root={folder}", "--data.negatives=null", f"--data.num_workers={workers}")]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("animal_cls: ")]
    assert len(lines) == 1
    assert lines[0].endswith(".jpg: gone")
    assert lines[0].startswith(f"animal_cls: {folder}")
