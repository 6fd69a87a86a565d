"""Where pictures come from: folders, tables, negatives; and how they are drawn."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from animal_cls.cache import PixelCache
from animal_cls.data import NO_CLASS, FolderDataset, PictureDataModule, PictureDataset, collate_views
from animal_cls.examples import DataError
from animal_cls.picture import PictureError, open_picture
from animal_cls.split import Example, Side, SplitError, read_split
from animal_cls.transforms import TrainTransform


@pytest.fixture
def module(picture_folder, negatives_folder, tmp_path):
    """A data module of the three colours and the grey pictures, split and set up; options may be changed."""

    def build(**options):
        given = {"size": 24, "train_size": 16, "batch_size": 8, "num_workers": 0, "val": 0.2, "test": 0.2}
        given |= {"root": str(picture_folder), "negatives": str(negatives_folder), "split_file": str(tmp_path / "split.csv")}
        data = PictureDataModule(**(given | options))
        data.prepare_data()
        data.setup("fit")
        return data

    return build


@pytest.mark.parametrize(("most", "count"), [(None, 46), (46, 46), (9, 9), (100, 46)])
def test_whole_pictures_of_a_side_are_spread_over_it_and_never_augmented(module, most, count):
    data = module(val=0.05, test=0.05)
    examples = data.pictures(Side.TRAIN).examples
    loader = data.whole_pictures(Side.TRAIN, most=most)
    count = min(count, len(examples))
    paths = [path for batch in loader for path in batch["path"]]
    assert len(paths) == count
    assert paths == sorted(paths, key=[str(e.path) for e in examples].index)
    assert {e.label for e in loader.dataset.examples} == {"cat", "dog", "owl", ""}
    assert next(iter(loader))["image"].shape[1:] == (3, 24, 24)
    assert torch.equal(next(iter(loader))["image"], next(iter(loader))["image"])


@pytest.mark.parametrize(("val", "test"), [(0, 0.1), (0.1, 0), (1, 0.1), (0.5, 0.5), (-0.1, 0.2)])
def test_shares_that_leave_nothing_to_train_or_evaluate_are_refused(picture_folder, val, test):
    with pytest.raises(DataError, match=r"data\.val"):
        PictureDataModule(root=str(picture_folder), val=val, test=test)


def test_every_picture_is_on_exactly_one_side_and_every_class_on_each(module):
    data = module()
    paths = [e.path for side in Side for e in data.pictures(side).examples]
    assert len(paths) == len(set(paths)) == 46
    for side in Side:
        assert {e.label for e in data.pictures(side).examples} == {"cat", "dog", "owl", ""}


def test_training_images_are_augmented_and_evaluation_images_whole(module):
    data = module()
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (8, 3, 16, 16)
    assert batch["image"].dtype == torch.uint8
    for loader in (data.val_dataloader(), data.test_dataloader()):
        first, again = (torch.cat([b["image"] for b in loader]) for _ in range(2))
        assert first.shape[1:] == (3, 24, 24)
        assert torch.equal(first, again)


def test_labels_are_indices_of_the_classes_and_negatives_have_none(module):
    data = module()
    for i, example in enumerate(data.pictures(Side.VAL).examples):
        item = data.pictures(Side.VAL)[i]
        assert item["label"] == (data.classes.index(example.label) if example.label else NO_CLASS)
        assert item["path"] == str(example.path)


def batches_of(data, epoch=0, batches=0):
    """The batches that a fit trains on from here on, in this epoch."""
    data.load_state_dict({"epoch": epoch, "batches": batches})
    return list(data.train_dataloader())


def assert_same_batches(some, others):
    assert [batch["path"] for batch in some] == [batch["path"] for batch in others]
    assert all(torch.equal(one["image"], other["image"]) for one, other in zip(some, others, strict=True))


def test_each_epoch_augments_anew(module):
    data = module()
    first, second = (
        {path: image for batch in batches_of(data, epoch) for path, image in zip(batch["path"], batch["image"], strict=True)}
        for epoch in (0, 1)
    )
    both = sorted(set(first) & set(second))
    assert len(both) > 5
    assert sum(torch.equal(first[path], second[path]) for path in both) < len(both) / 2


def test_a_picture_that_is_drawn_twice_is_augmented_in_two_ways(module):
    data = module(val=0.1, test=0.1)
    drawn = [(path, image) for batch in batches_of(data) for path, image in zip(batch["path"], batch["image"], strict=True)]
    twice = [(a, b) for i, (path, a) in enumerate(drawn) for other, b in drawn[:i] if path == other]
    assert len(twice) > 5
    assert not any(torch.equal(a, b) for a, b in twice)


def test_a_seed_repeats_the_training_images_with_any_number_of_workers_and_another_gives_others(module, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    alone = batches_of(module())
    torch.manual_seed(1)
    assert_same_batches(alone, batches_of(module(num_workers=2)))
    monkeypatch.setenv("PL_GLOBAL_SEED", "8")
    assert [batch["path"] for batch in alone] != [batch["path"] for batch in batches_of(module())]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_fit_that_resumes_within_an_epoch_trains_on_the_rest_of_it(module, workers):
    whole = batches_of(module(), epoch=2)
    rest = batches_of(module(num_workers=workers), epoch=2, batches=1)
    assert len(module().train_dataloader()) == len(whole) == 3
    assert_same_batches(whole[1:], rest)


@pytest.mark.parametrize(("balance", "ratio"), [(0.0, 3.0), (0.5, 3.0**0.5), (1.0, 1.0)])
def test_balance_says_how_much_more_often_a_frequent_class_is_drawn_and_negatives_keep_their_share(
    picture_folder, negatives_folder, tmp_path, balance, ratio, write_table
):
    rows = [[f"cat/{i}.jpg", "cat"] for i in range(12)] + [[f"dog/{i}.jpg", "dog"] for i in range(12)]
    table = write_table(tmp_path / "table.csv", rows, header=("path", "label"))
    data = PictureDataModule(
        root=str(picture_folder), table=str(table), negatives=str(negatives_folder), split_file=str(tmp_path / "s.csv"), balance=balance
    )
    sides = {e.path: Side.VAL for e in data._all_examples()}
    train = [e for e in data._all_examples() if e.label != "dog" or e.path.stem in {"0", "1", "2", "3"}]
    sides |= {e.path: Side.TRAIN for e in train}
    from animal_cls.split import write_split

    write_split(tmp_path / "s.csv", data._all_examples(), [sides[e.path] for e in data._all_examples()])
    data.setup("fit")
    weights = data.train_dataloader().sampler.weights
    labels = [e.label for e in data.pictures(Side.TRAIN).examples]
    total = {name: float(sum(w for w, label in zip(weights, labels, strict=True) if label == name)) for name in ("cat", "dog", "")}
    assert total["cat"] / total["dog"] == pytest.approx(ratio)
    assert total[""] / sum(total.values()) == pytest.approx(10 / 26)


def test_a_split_is_kept_for_later_runs_and_refused_when_the_pictures_change(picture_folder, tmp_path):
    shutil.copytree(picture_folder, tmp_path / "pictures")
    options = {"root": str(tmp_path / "pictures"), "split_file": str(tmp_path / "split.csv")}
    first = PictureDataModule(**options, seed=0)
    first.prepare_data()
    again = PictureDataModule(**options, seed=1)
    again.prepare_data()
    again.setup("fit")
    assert read_split(tmp_path / "split.csv", first.examples) == read_split(tmp_path / "split.csv", again.examples)
    shutil.copy(picture_folder / "cat" / "0.jpg", tmp_path / "pictures" / "cat" / "new.jpg")
    changed = PictureDataModule(**options)
    changed.prepare_data()
    with pytest.raises(SplitError, match=r"says nothing of .*new\.jpg; delete .*split\.csv"):
        changed.setup("fit")


def test_a_class_that_a_side_lacks_is_warned_of(picture_folder, tmp_path, caplog, write_table):
    table = write_table(tmp_path / "t.csv", [*([f"cat/{i}.jpg", "cat", ""] for i in range(10)), ["owl/0.jpg", "owl", ""]])
    data = PictureDataModule(root=str(picture_folder), table=str(table), split_file=str(tmp_path / "s.csv"))
    data.prepare_data()
    data.setup("fit")
    assert "no picture of owl on the val side" in caplog.text
    assert "no picture of owl on the train side" not in caplog.text


def test_a_broken_training_picture_is_named(picture_folder, tmp_path):
    shutil.copytree(picture_folder, tmp_path / "pictures")
    (tmp_path / "pictures" / "cat" / "broken.jpg").write_text("text")
    data = PictureDataModule(root=str(tmp_path / "pictures"), split_file=str(tmp_path / "split.csv"), max_unreadable=0)
    with pytest.raises(PictureError, match=r"cat/broken\.jpg: not a picture"):
        data.prepare_data()
    assert not (tmp_path / "split.csv").exists()


@pytest.fixture
def opened(monkeypatch):
    """How often each picture file is opened from now on, in this process."""
    counts = Counter()

    def counted(source, **options):
        counts[source] += 1
        return open_picture(source, **options)

    monkeypatch.setattr("animal_cls.data.open_picture", counted)
    monkeypatch.setattr("animal_cls.picture.open_picture", counted)
    return counts


@pytest.mark.parametrize("place", ["ram", "disk", "auto"])
def test_pictures_that_are_kept_are_opened_once_and_are_the_same(module, tmp_path, opened, place):
    plain = [batches_of(module(), epoch) for epoch in range(3)]
    data = module(cache=place, cache_folder=str(tmp_path / "cache"))
    opened.clear()
    for epoch, batches in enumerate(plain):
        assert_same_batches(batches, batches_of(data, epoch))
    for _ in range(2):
        whole = torch.cat([batch["image"] for batch in data.val_dataloader()])
    assert torch.equal(whole, torch.cat([batch["image"] for batch in module().val_dataloader()]))
    served = {Path(path) for batches in plain for batch in batches for path in batch["path"]}
    validated = {example.path for example in data.pictures(Side.VAL).examples}
    # The other data module's validation pictures were opened as well.
    assert {path: count for path, count in opened.items() if path in served} == dict.fromkeys(served, 1)
    assert all(opened[path] <= 2 for path in validated)
    folder = data.pictures(Side.TRAIN).cache.folder
    data.teardown("fit")
    assert folder.exists() == (folder == tmp_path / "cache")


def test_workers_keep_pictures_for_each_other_and_for_later_runs(module, tmp_path, opened):
    options = {"cache": "disk", "cache_folder": str(tmp_path / "cache")}
    for epoch in range(8):
        batches_of(module(num_workers=2, **options), epoch)
    opened.clear()
    batches_of(module(**options), 3)
    assert not opened


def test_a_picture_that_changed_is_decoded_anew(picture_folder, tmp_path):
    file = tmp_path / "picture.jpg"
    shutil.copy(picture_folder / "cat" / "0.jpg", file)
    dataset = PictureDataset([Example(file, "cat")], ["cat"], 24, cache=PixelCache(tmp_path / "cache"))
    before = dataset[0]["image"]
    assert torch.equal(dataset[0]["image"], before)
    shutil.copy(picture_folder / "dog" / "0.jpg", file)
    assert torch.equal(dataset[0]["image"], PictureDataset([Example(file, "cat")], ["cat"], 24)[0]["image"])
    assert not torch.equal(dataset[0]["image"], before)


def test_what_is_kept_is_large_enough_for_crops_and_no_larger(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 700, 3), dtype=np.uint8)).save(tmp_path / "large.png")
    Image.fromarray(np.full((20, 70, 3), 9, np.uint8)).save(tmp_path / "small.png")
    examples = [Example(tmp_path / f"{name}.png", "cat") for name in ("large", "small")]
    dataset = PictureDataset(examples, ["cat"], 32, transform=TrainTransform(32, smallest_crop=0.3, colour=0.3))
    assert [dataset.pixels(i).shape for i in range(2)] == [(64, 149, 3), (20, 70, 3)]


def test_a_picture_to_predict_that_cannot_be_read_is_served_blank_with_the_reason(tmp_path):
    Image.fromarray(np.full((5, 7, 3), 9, np.uint8)).save(tmp_path / "good.png")
    good, bad = FolderDataset([tmp_path / "good.png", tmp_path / "absent.png"], 16)
    assert (good["error"], good["image"].shape) == ("", (1, 3, 16, 16))
    assert (good["image"] == 9).all()
    assert bad["error"] == f"{tmp_path / 'absent.png'}: no such file"
    assert not bad["image"].any()


def test_long_pictures_to_predict_come_with_their_parts(tmp_path):
    for name, size in (("long", (40, 20)), ("square", (20, 20))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    paths = [tmp_path / "long.png", tmp_path / "square.png"]
    batch = collate_views(list(FolderDataset(paths, 16)))
    assert (batch["views"], batch["path"], batch["error"]) == ([3, 1], [str(path) for path in paths], ["", ""])
    assert batch["image"].shape == (4, 3, 16, 16)
    assert collate_views(list(FolderDataset(paths, 16, parts=False)))["views"] == [1, 1]


def test_predict_paths_may_be_files_and_folders_and_must_hold_pictures(picture_folder, tmp_path):
    data = PictureDataModule(predict_paths=[str(picture_folder / "owl" / "3.jpg"), str(picture_folder / "cat")], size=16, num_workers=0)
    paths = [path for batch in data.predict_dataloader() for path in batch["path"]]
    assert paths[0] == str(picture_folder / "owl" / "3.jpg")
    assert len(paths) == 13
    for wrong, message in ((tmp_path / "absent", "absent: no such file or folder"), (tmp_path, "no picture there")):
        with pytest.raises(DataError, match=message):
            PictureDataModule(predict_paths=[str(wrong)], num_workers=0).predict_dataloader()
