import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_ner.names import lexicon_kinds
from animal_ner.sentences import Sentence
from animal_ner.tags import Claim, Span
from verifier.decision import InputError
from verifier.lookalikes import read_look_alikes
from verifier.pairs import NO_KIND, Picture, Shown, holds, make_pairs, read_pictures
from verifier.release import Release

CAT = Sentence("a cat", (Span(2, 5, Claim.PRESENT),))
NO_CAT = Sentence("no cat", (Span(3, 6, Claim.ABSENT),))
MY_CAT = Sentence("my cat says hi", (Span(3, 6, Claim.MENTIONED),))
NO_YETI = Sentence("no yeti", (Span(3, 7, Claim.ABSENT),))
KINDS = ("cat", "dog", "owl", "fox", "lynx")
PICTURES = [Picture(Path(f"{label}/{i}.jpg"), label) for label in KINDS for i in range(40)]
BLANKS = [Picture(Path(f"nothing/{i}.jpg"), NO_KIND) for i in range(40)]
ALIKE = {"cat": frozenset({"lynx"}), "lynx": frozenset({"cat"})}


def draw(sentences, pictures=PICTURES, **options):
    chosen = {"alike": ALIKE, "rounds": 20, "look_alikes": 0.0, "without_animal": 0.0, "seed": 0} | options
    return make_pairs(sentences, pictures, lambda name: {name} & set(KINDS), **chosen)


@pytest.mark.parametrize(
    ("mentions", "shown", "truth"),
    [
        ([(Claim.PRESENT, {"cat"}), (Claim.PRESENT, {"dog"})], {"cat"}, False),
        ([(Claim.EITHER, {"cat"}), (Claim.EITHER, {"dog"})], {"dog"}, True),
        ([(Claim.ABSENT, set())], {"dog"}, True),
        ([(Claim.ABSENT, {"cat"})], set(), True),
        ([(Claim.PRESENT, {"cat"})], set(), False),
        ([(Claim.MENTIONED, {"dog"})], {"dog"}, False),
    ],
)
def test_the_truth_rule_is_that_of_the_guideline(mentions, shown, truth):
    assert holds(mentions, shown) == truth


def test_a_text_is_as_often_true_as_false_where_it_can_be_both():
    pairs = draw([CAT, NO_CAT], [picture for picture in PICTURES if picture.label in ("cat", "dog")], rounds=3)
    assert Counter((pair.sentence.text, pair.picture.label, pair.truth) for pair in pairs) == {
        ("a cat", "cat", True): 3,
        ("a cat", "dog", False): 3,
        ("no cat", "dog", True): 3,
        ("no cat", "cat", False): 3,
    }


@given(st.lists(st.sampled_from([CAT, NO_CAT, MY_CAT, NO_YETI]), max_size=8), st.integers(1, 3), st.integers(0, 9), st.booleans())
def test_true_and_false_are_in_equal_parts_and_no_text_meets_a_picture_twice(sentences, rounds, seed, blanks):
    sentences = [CAT, NO_CAT, *sentences]
    pairs = draw(sentences, PICTURES + BLANKS * blanks, rounds=rounds, seed=seed, look_alikes=0.5, without_animal=0.1)
    assert sum(pair.truth for pair in pairs) * 2 == len(pairs)
    met = Counter((pair.sentence.text, pair.picture.path) for pair in pairs)
    assert all(
        count <= sentences.count(Sentence(text, next(s.mentions for s in sentences if s.text == text))) for (text, _), count in met.items()
    )


def test_where_pictures_do_not_suffice_there_are_fewer_pairs():
    few = [Picture(Path("cat.jpg"), "cat"), Picture(Path("dog.jpg"), "dog")]
    assert len(draw([CAT, MY_CAT], few, rounds=5)) == 4


def test_all_look_alikes_are_drawn_where_these_give_the_truth():
    pairs = draw([CAT, NO_CAT], look_alikes=1.0)
    assert {(p.sentence.text, p.truth, p.picture.label, p.shown) for p in pairs} == {
        ("a cat", True, "cat", Shown.NAMED),
        ("a cat", False, "lynx", Shown.LOOK_ALIKE),
        ("no cat", True, "lynx", Shown.LOOK_ALIKE),
        ("no cat", False, "cat", Shown.NAMED),
    }


def test_a_kind_that_is_only_mentioned_is_shown_as_often_as_its_look_alikes():
    shown = Counter(pair.shown for pair in draw([MY_CAT], look_alikes=1.0, rounds=40))
    assert set(shown) == {Shown.NAMED, Shown.LOOK_ALIKE}
    assert min(shown.values()) >= 10


def test_half_look_alikes_are_about_half():
    shown = Counter(pair.shown for pair in draw([CAT], look_alikes=0.5, rounds=40) if not pair.truth)
    assert 12 <= shown[Shown.LOOK_ALIKE] <= 32  # half, and a quarter of the others are lynxes by chance


def test_a_kind_without_look_alikes_falls_back_to_any_kind():
    labels = {pair.picture.label for pair in draw([CAT], look_alikes=1.0, alike={}) if not pair.truth}
    assert labels == {"dog", "owl", "fox", "lynx"}


def test_pictures_without_an_animal_are_drawn_as_asked():
    assert not [pair for pair in draw([CAT, NO_CAT], PICTURES + BLANKS) if pair.shown == Shown.NOTHING]
    pairs = draw([CAT, NO_CAT], PICTURES + BLANKS, without_animal=1.0)
    assert {(p.sentence.text, p.truth) for p in pairs if p.shown == Shown.NOTHING} == {("a cat", False), ("no cat", True)}


def test_pairs_repeat_with_their_seed():
    assert draw([CAT, NO_CAT], seed=1, look_alikes=0.5) == draw([CAT, NO_CAT], seed=1, look_alikes=0.5)
    assert draw([CAT, NO_CAT], seed=1) != draw([CAT, NO_CAT], seed=2)


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        ("dog", "wolf"),
        ("wolf", "coyote"),
        ("cheetah", "leopard"),
        ("rabbit", "hare"),
        ("horse", "donkey"),
        ("seal", "walrus"),
        ("cow", "ox"),
        ("crane", "pelecaniformes"),
        ("moth", "butterfly"),
        ("bee", "fly"),
    ],
)
def test_look_alikes_are_mutual(kind, other):
    alike = read_look_alikes()
    assert other in alike[kind]
    assert kind in alike[other]


def test_look_alikes_are_kinds_of_the_lexicon_and_most_kinds_of_the_release_have_some():
    alike = read_look_alikes()
    assert alike.keys() <= lexicon_kinds()
    kinds = set(Release().manifest.kinds)
    assert sum(bool(alike.get(kind, frozenset()) & kinds) for kind in kinds) > 0.8 * len(kinds)
    assert not any(kind in others for kind, others in alike.items())


def write_table(file, rows):
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return file


def test_a_folder_gives_labels_and_file_names_give_sources(tmp_path):
    for name in ("cat/web_search_0012.jpg", "cat/7.jpg", ".hidden/cat_1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [(p.path.name, p.label, p.source) for p in read_pictures(tmp_path, side="test")] == [
        ("7.jpg", "cat", ""),
        ("web_search_0012.jpg", "cat", "web_search"),
    ]


def test_a_table_names_files_in_the_folder_of_its_name(tmp_path, picture_folder):
    (tmp_path / "animals").symlink_to(picture_folder)
    table = write_table(tmp_path / "animals.csv", [["file", "label", "source"], ["cat/0.jpg", "cat", "web"], ["dog/0.jpg", "", "web"]])
    assert read_pictures(table, side="test") == [
        Picture(tmp_path / "animals" / "cat" / "0.jpg", "cat", "web"),
        Picture(tmp_path / "animals" / "dog" / "0.jpg", NO_KIND, "web"),
    ]


def test_of_a_split_one_side_counts(tmp_path, picture_folder):
    rows = [[str(picture_folder / f"cat/{i}.jpg"), "cat", side] for i, side in enumerate(("train", "test", "val"))]
    table = write_table(tmp_path / "split.csv", [["path", "label", "split"], *rows])
    assert [picture.path.name for picture in read_pictures(table, side="test")] == ["1.jpg"]
    with pytest.raises(InputError, match=r"'dev'.*test, train, val"):
        read_pictures(table, side="dev")


def test_negatives_show_no_animal(picture_folder, negatives_folder):
    pictures = read_pictures(picture_folder, side="test", negatives=negatives_folder)
    assert Counter(picture.label for picture in pictures) == {"cat": 12, "dog": 12, "owl": 12, NO_KIND: 10}


def test_negatives_that_a_split_lists_count_on_their_own_side_alone(tmp_path, picture_folder, negatives_folder):
    without = sorted(negatives_folder.rglob("*.jpg"))
    rows = [
        [str(picture_folder / "cat/0.jpg"), "cat", "test"],
        *([str(path), "", "train"] for path in without[2:]),
        [str(without[1]), "", "test"],
    ]
    table = write_table(tmp_path / "split.csv", [["path", "label", "split"], *rows])
    pictures = read_pictures(table, side="test", negatives=negatives_folder)
    assert sorted(picture.path for picture in pictures if picture.label == NO_KIND) == without[:2]
    table = write_table(tmp_path / "whole.csv", [["path", "label", "split"], *rows, [str(without[0]), "", "val"]])
    with pytest.raises(InputError, match="leave --negatives out"):
        read_pictures(table, side="test", negatives=negatives_folder)


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([["picture", "label"], ["a.jpg", "cat"]], "picture, label"),
        ([["path", "label"], ["none.jpg", "cat"]], "line 2: none.jpg"),
        ([["path", "label"], ["", "cat"]], "line 2: empty path"),
        ([["path", "label"]], "no labelled picture"),
        ([], "columns are none"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_its_row(tmp_path, rows, named):
    with pytest.raises(InputError, match=named) as caught:
        read_pictures(write_table(tmp_path / "table.csv", rows), side="test")
    assert "table.csv" in str(caught.value)


def test_a_table_in_another_encoding_is_named(tmp_path):
    (tmp_path / "table.csv").write_bytes("path,label\nätsch.jpg,cat\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"table\.csv.*UTF-8"):
        read_pictures(tmp_path / "table.csv", side="test")


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir])
def test_a_place_without_pictures_is_named(tmp_path, make):
    make(tmp_path / "place")
    with pytest.raises(InputError, match="place: no "):
        read_pictures(tmp_path / "place", side="test")


def test_a_folder_of_negatives_without_pictures_is_named(tmp_path, picture_folder):
    with pytest.raises(InputError, match="blank: no picture"):
        read_pictures(picture_folder, side="test", negatives=tmp_path / "blank")
