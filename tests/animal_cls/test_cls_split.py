"""Dividing pictures into train, val and test: laws of the split, and its file."""

from __future__ import annotations

import csv
import importlib.util
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from animal_cls.picture import PictureError
from animal_cls.split import (
    Example,
    Side,
    SplitError,
    assign_sides,
    clusters,
    fingerprint,
    make_split,
    near_duplicates,
    read_split,
    write_split,
)

PHOTOS = Path(next(iter(importlib.util.find_spec("skimage").submodule_search_locations))) / "data"
SHARES = {Side.TRAIN: 0.8, Side.VAL: 0.1, Side.TEST: 0.1}

labelled_clusters = st.lists(st.tuples(st.sampled_from(["cat", "dog", "owl", ""]), st.integers(0, 12)), min_size=1, max_size=60)


@given(items=labelled_clusters, seed=st.integers(0, 99))
def test_every_cluster_stays_on_one_side(items, seed):
    labels, cluster_of = zip(*items, strict=True)
    sides = assign_sides(labels, cluster_of, shares=SHARES, seed=seed)
    assert len(sides) == len(labels)
    for number in set(cluster_of):
        assert len({side for side, cluster in zip(sides, cluster_of, strict=True) if cluster == number}) == 1


@given(items=labelled_clusters, seed=st.integers(0, 99))
def test_every_label_reaches_train(items, seed):
    labels, cluster_of = zip(*items, strict=True)
    sides = assign_sides(labels, cluster_of, shares=SHARES, seed=seed)
    assert {label for label, side in zip(labels, sides, strict=True) if side == Side.TRAIN} == set(labels)


@given(
    labels=st.lists(st.sampled_from(["cat", "dog", "owl"]), min_size=1, max_size=150),
    val=st.floats(0.05, 0.4),
    test=st.floats(0.05, 0.4),
    seed=st.integers(0, 99),
)
def test_pictures_without_duplicates_are_shared_out_to_within_one_of_what_was_asked(labels, val, test, seed):
    shares = {Side.TRAIN: 1 - val - test, Side.VAL: val, Side.TEST: test}
    sides = assign_sides(labels, range(len(labels)), shares=shares, seed=seed)
    got = Counter(zip(labels, sides, strict=True))
    for label, total in Counter(labels).items():
        for side in Side:
            assert abs(got[label, side] - shares[side] * total) <= 1.0 + 1e-9


@given(items=labelled_clusters)
def test_a_seed_gives_the_same_split_again(items):
    labels, cluster_of = zip(*items, strict=True)
    assert assign_sides(labels, cluster_of, shares=SHARES, seed=3) == assign_sides(labels, cluster_of, shares=SHARES, seed=3)


def test_another_seed_gives_another_split():
    labels = ["cat"] * 100
    assert assign_sides(labels, range(100), shares=SHARES, seed=0) != assign_sides(labels, range(100), shares=SHARES, seed=1)


@given(
    count=st.integers(1, 12),
    pairs=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=10),
    names=st.lists(st.sampled_from(["", "", "herd", "flock"]), min_size=12, max_size=12),
)
def test_items_are_in_one_cluster_exactly_when_pairs_and_groups_join_them(count, pairs, names):
    pairs = [(i, j) for i, j in pairs if i < count and j < count]
    joined = np.eye(count, dtype=bool)
    for i, j in [*pairs, *((i, j) for i, j in combinations(range(count), 2) if names[i] and names[i] == names[j])]:
        joined[i, j] = joined[j, i] = True
    reach = np.linalg.matrix_power(joined.astype(float), count) > 0
    found = clusters(count, pairs, names[:count])
    for i in range(count):
        for j in range(count):
            assert (found[i] == found[j]) == reach[i, j]


@given(seed=st.integers(0, 1000), distance=st.integers(0, 70))
def test_near_duplicates_are_all_pairs_within_the_distance(seed, distance):
    prints = np.random.default_rng(seed).integers(0, 256, (7, 16)).astype(np.uint8)
    bits = np.unpackbits(prints, axis=1).astype(int)
    expected = [(i, j) for i, j in combinations(range(7), 2) if np.abs(bits[i] - bits[j]).sum() <= distance]
    assert near_duplicates(prints, max_distance=distance) == expected


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_pictures_have_no_near_duplicates(count):
    assert near_duplicates(np.zeros((count, 16), np.uint8)) == []


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Different photos as JPEGs."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg", "motorcycle_left.png", "hubble_deep_field.jpg"):
        Image.open(PHOTOS / name).convert("RGB").save(folder / f"{Path(name).stem}.jpg", quality=92)
    return sorted(folder.iterdir())


CHANGES = {
    "halved": lambda image: image.resize((image.width // 2, image.height // 2)),
    "doubled": lambda image: image.resize((image.width * 2, image.height * 2)),
    "a little brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "grey": lambda image: image.convert("L"),
    "same": lambda image: image,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_of_another_size_or_compression_is_a_near_duplicate_and_other_photos_are_not(photos, tmp_path, change):
    files = list(photos)
    for photo in photos:
        files.append(tmp_path / photo.name)
        CHANGES[change](Image.open(photo)).save(files[-1], quality=40)
    found = near_duplicates(np.stack([fingerprint(file) for file in files]))
    assert found == [(i, i + len(photos)) for i in range(len(photos))]


def test_copies_and_groups_stay_together_when_pictures_are_split(photos, tmp_path):
    examples = [Example(photo, "photo", "space" if photo.stem in {"rocket", "hubble_deep_field"} else "") for photo in photos]
    for photo in photos:
        copy = tmp_path / photo.name
        Image.open(photo).resize((150, 100)).save(copy, quality=60)
        examples.append(Example(copy, "photo"))
    for seed in range(8):
        sides = make_split(examples, val=0.3, test=0.3, seed=seed)
        assert sides[: len(photos)] == sides[len(photos) :]
        side_of = {photo.stem: side for photo, side in zip(photos, sides, strict=False)}
        assert side_of["rocket"] == side_of["hubble_deep_field"]


def test_a_picture_that_cannot_be_read_is_named_when_splitting(tmp_path):
    (tmp_path / "broken.jpg").write_text("text")
    with pytest.raises(PictureError, match=r"broken\.jpg"):
        make_split([Example(tmp_path / "broken.jpg", "cat")], val=0.1, test=0.1, seed=0)


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(words, words, st.sampled_from(Side)), max_size=8, unique_by=lambda row: Path(row[0]).as_posix()))
def test_a_split_written_and_read_back_is_the_same(rows, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "splits" / "again.csv"
    examples = [Example(Path(path), label) for path, label, _ in rows]
    sides = [side for _, _, side in rows]
    write_split(file, examples, sides)
    assert read_split(file, examples) == sides
    assert read_split(file, examples[::-1]) == sides[::-1]
    assert [other.name for other in file.parent.iterdir()] == ["again.csv"]


PAIR = [Example(Path("a.jpg"), "cat"), Example(Path("b.jpg"), "dog")]


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([*PAIR, Example(Path("c.jpg"), "cat")], "says nothing of c.jpg; delete"),
        (PAIR[:1], "1 pictures of it are not in the data, first b.jpg"),
        ([PAIR[0], Example(Path("b.jpg"), "owl")], "b.jpg is 'dog' there and 'owl' in the data"),
    ],
)
def test_a_split_of_other_pictures_is_refused(tmp_path, examples, message):
    file = tmp_path / "split.csv"
    write_split(file, PAIR, [Side.TRAIN, Side.VAL])
    with pytest.raises(SplitError) as caught:
        read_split(file, examples)
    assert str(caught.value).startswith(f"{file}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["path", "label", "split"], ["a.jpg", "cat", "trian"], ["b.jpg", "dog", "val"]], "a.jpg is on the side 'trian'"),
        ([["path", "label", "split"], ["a.jpg", "cat"], ["b.jpg", "dog", "val"]], "a.jpg is on the side None"),
        ([["file", "label", "side"], ["a.jpg", "cat", "train"]], "columns are ['file', 'label', 'side']"),
        ([], "columns are None"),
    ],
)
def test_a_file_that_is_no_split_is_refused(tmp_path, rows, message):
    file = tmp_path / "split.csv"
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    with pytest.raises(SplitError) as caught:
        read_split(file, PAIR)
    assert str(caught.value).startswith(f"{file}: ")
    assert message in str(caught.value)


def test_pictures_of_held_out_sources_are_for_testing_alone(picture_folder):
    examples = [Example(path, path.parent.name) for path in sorted(picture_folder.rglob("*.jpg"))]
    sides = make_split(examples, val=0.25, test=0, seed=0, test_only=["*/1*.jpg"])
    for example, side in zip(examples, sides, strict=True):
        assert (side == Side.TEST) == example.path.name.startswith("1")
    assert {Side.TRAIN, Side.VAL} <= set(sides)


def test_paths_and_labels_that_a_spreadsheet_would_run_are_stored_safely_and_come_back(tmp_path):
    examples = [Example(Path("=1+1.jpg"), "@cat"), Example(Path("2.jpg"), "")]
    write_split(tmp_path / "split.csv", examples, [Side.TRAIN, Side.VAL])
    assert "'=1+1.jpg,'@cat,train" in (tmp_path / "split.csv").read_text()
    assert read_split(tmp_path / "split.csv", examples) == [Side.TRAIN, Side.VAL]
