"""From names to kinds."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_ner.names import NOT_AN_ANIMAL, Names, fold, lexicon, lexicon_kinds, plural, singulars, spellings

WRITTEN = [line.split("\t") for line in Path(__file__).with_name("names_written.tsv").read_text(encoding="utf-8").splitlines()]
VOCABULARY = sorted({kind for _, kinds in WRITTEN for kind in kinds.split()})
EVERYDAY = Names(["cat", "dog", "leopard", "sheep", "mouse", "fox", "bear", "koala", "deer", "wolf", "goldfish", "pelecaniformes", "bat"])
WHOLE = Names(lexicon_kinds() - {NOT_AN_ANIMAL})


def test_names_written_by_somebody_who_never_saw_the_lexicon_lead_to_their_kinds() -> None:
    names = Names(VOCABULARY)
    wrong = [(name, kinds, sorted(names.kinds(name))) for name, kinds in WRITTEN if names.kinds(name) != frozenset(kinds.split())]
    assert len(wrong) <= 0.03 * len(WRITTEN), wrong


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("dog", "dog"),
        ("Dogs", "dog"),
        ("DOG", "dog"),
        ("dog's", "dog"),
        ("dogs'", "dog"),
        ("puppies", "dog"),
        ("German-shepherd", "dog"),
        ("kitty_cat", "cat"),
        ("mice", "mouse"),
        ("wolves", "wolf"),
        ("leopard cub", "leopard"),
        ("brown bears", "bear"),
        ("flying fox", "bat"),
        ("aardvark", ""),
        ("hot dog", ""),
        ("teddy bear", ""),
        ("computer mouse", ""),
        ("deer", "deer"),
        ("", ""),
        ("   ", ""),
        ("xyzzyplugh", ""),
        ("42", ""),
    ],
)
def test_a_name_leads_to_its_kinds_in_any_writing(name: str, kinds: str) -> None:
    assert EVERYDAY.kinds(name) == frozenset(kinds.split())


@pytest.mark.parametrize(("name", "kind"), [("leopord", "leopard"), ("doggggg", "dog"), ("sheeeep", "sheep"), ("koalla", "koala")])
def test_a_misspelt_name_leads_to_the_nearest_kind(name: str, kind: str) -> None:
    assert EVERYDAY.kinds(name) == {kind}


@pytest.mark.parametrize("name", ["cot", "dug", "rot", "bet"])
def test_a_short_word_is_no_misspelling(name: str) -> None:
    assert EVERYDAY.kinds(name) == frozenset()


@pytest.mark.parametrize("name", ["animal", "animals", "creature", "Critters", "wildlife"])
def test_the_word_animal_leads_to_every_kind(name: str) -> None:
    assert EVERYDAY.kinds(name) == {"cat", "dog", "leopard", "sheep", "mouse", "fox", "bear", "koala", "deer", "wolf"} | {
        "goldfish",
        "pelecaniformes",
        "bat",
    }


def test_a_group_leads_to_its_members_in_the_vocabulary_alone() -> None:
    assert Names(["duck", "goose", "swan", "eagle", "cat"]).kinds("waterfowl") == {"duck", "goose", "swan"}


def test_a_kind_that_the_lexicon_lacks_is_known_by_its_name_and_plural() -> None:
    names = Names(["zorblax", "moon_calf"])
    assert names.kinds("Zorblaxes") == {"zorblax"}
    assert names.kinds("moon calf") == {"moon_calf"}
    assert names.kinds("cat") == frozenset()


def test_an_empty_vocabulary_has_no_kinds() -> None:
    assert Names([]).kinds("animal") == frozenset()


def test_an_animal_outside_the_vocabulary_is_not_taken_for_a_misspelling_of_one_inside() -> None:
    assert Names(["hare"]).kinds("mare") == frozenset()
    assert Names(["goose"]).kinds("moose") == frozenset()


def test_every_listed_name_leads_to_its_kinds() -> None:
    every = lexicon_kinds() - {NOT_AN_ANIMAL}
    wrong = {name for name, kinds in lexicon().items() if WHOLE.kinds(name) != (every if "*" in kinds else kinds - {NOT_AN_ANIMAL})}
    assert not wrong


def test_a_plural_leads_to_the_kind_of_its_singular() -> None:
    listed = {plural(name) for name in lexicon()} & lexicon().keys()  # "tweeties": "tweety" is a songbird, "tweetie" any bird
    wrong = [name for name in lexicon() if WHOLE.kinds(plural(name)) != WHOLE.kinds(name) and plural(name) not in listed]
    assert set(wrong) <= {"tweetie"}


@pytest.mark.parametrize(("name", "kind"), [("kites", "hawk"), ("minkes", "whale"), ("horses", "horse"), ("foxes", "fox")])
def test_a_plural_is_that_of_the_longer_name_where_two_have_it(name: str, kind: str) -> None:
    assert WHOLE.kinds(name) == {kind}


def test_groups_hold_kinds_of_the_lexicon_alone() -> None:
    assert {kind for kinds in lexicon().values() for kind in kinds} - {"*"} <= lexicon_kinds()


def test_every_kind_of_the_written_names_is_a_kind_of_the_lexicon() -> None:
    assert set(VOCABULARY) <= lexicon_kinds()


@given(st.from_regex(r"[a-z]{2,9}( [a-z]{2,9})?", fullmatch=True))
def test_a_name_is_among_the_singulars_of_its_plural(name: str) -> None:
    assert name in list(singulars(plural(name)))


def test_a_listed_name_is_among_the_singulars_of_its_plural() -> None:
    assert all(name in list(singulars(plural(name))) for name in lexicon())


@given(st.text(st.characters()))
def test_a_name_is_the_first_of_its_own_singulars(name: str) -> None:
    assert next(singulars(name)) == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [("fox", "foxes"), ("pony", "ponies"), ("monkey", "monkeys"), ("wolf", "wolves"), ("finch", "finches"), ("giraffe", "giraffes")],
)
def test_plurals_are_regular(name: str, expected: str) -> None:
    assert plural(name) == expected


@given(st.text(st.characters(), max_size=30))
def test_no_text_is_a_name_that_crashes(name: str) -> None:
    assert EVERYDAY.kinds(name) <= {*EVERYDAY.kinds("animal")}


@given(st.lists(st.sampled_from(sorted(lexicon())), min_size=1, max_size=3).map(" ".join))
def test_names_of_names_lead_into_the_vocabulary(name: str) -> None:
    assert WHOLE.kinds(name) <= lexicon_kinds() - {NOT_AN_ANIMAL}


@given(st.sampled_from(sorted(lexicon())))
def test_case_hyphens_and_possessive_change_no_kinds(name: str) -> None:
    kinds = WHOLE.kinds(name)
    assert WHOLE.kinds(name.upper()) == WHOLE.kinds(name.replace(" ", "-")) == WHOLE.kinds(f"  {name}'s ") == kinds


@given(st.text(st.characters(exclude_characters="'\u2019"), max_size=30))
def test_folding_twice_is_folding_once(name: str) -> None:
    assert fold(fold(name)) == fold(name)


def test_every_spelling_leads_to_a_listed_name() -> None:
    assert set(spellings().values()) == set(lexicon())
