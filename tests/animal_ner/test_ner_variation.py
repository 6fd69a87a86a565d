"""Variations of a sentence keep its meaning."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_ner.names import NOT_AN_ANIMAL, Names, lexicon, lexicon_kinds
from animal_ner.sentences import Sentence, read_sentences
from animal_ner.tags import Claim, Span
from animal_ner.variation import any_name, make_slips, misspell, replace_spans, swap_for_things, swap_names

CORPUS = read_sentences(Path(__file__).parents[2] / "animal_ner" / "corpus" / "val.jsonl")
NAMES = Names(lexicon_kinds() - {NOT_AN_ANIMAL})
SEEDS = st.integers(0, 2**32)


def names_of(sentence: Sentence) -> list[str]:
    return [sentence.text[m.start : m.end] for m in sentence.mentions]


def marked(text: str, *names: str, claim: Claim = Claim.PRESENT) -> Sentence:
    """A sentence whose mentions are the first place of each name, in order."""
    spans, at = [], 0
    for name in names:
        start = text.index(name, at)
        at = start + len(name)
        spans.append(Span(start, at, claim))
    return Sentence(text, tuple(spans))


def between(sentence: Sentence) -> list[str]:
    """What stands before, between and after the mentions."""
    edges = [0, *(edge for m in sentence.mentions for edge in (m.start, m.end)), len(sentence.text)]
    return [sentence.text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]


def without_articles(texts: list[str]) -> list[str]:
    return [text.removesuffix("an ").removesuffix("a ").removesuffix("An ").removesuffix("A ") for text in texts]


@given(st.sampled_from(CORPUS), SEEDS)
def test_swapped_names_are_names_in_the_place_and_with_the_claim_of_the_old_ones(sentence: Sentence, seed: int) -> None:
    swapped = swap_names(sentence, random.Random(seed))
    assert [m.claim for m in swapped.mentions] == [m.claim for m in sentence.mentions]
    assert without_articles(between(swapped)) == without_articles(between(sentence))
    for old, new in zip(names_of(sentence), names_of(swapped), strict=True):
        assert new == old or NAMES.kinds(new), (old, new)
    assert swapped.category == sentence.category


@given(st.sampled_from(CORPUS), SEEDS)
def test_things_are_no_mentions_and_leave_the_others_as_they_were(sentence: Sentence, seed: int) -> None:
    swapped = swap_for_things(sentence, random.Random(seed))
    old = [(sentence.text[m.start : m.end], m.claim) for m in sentence.mentions]
    left = [(swapped.text[m.start : m.end], m.claim) for m in swapped.mentions]
    gone = {name for name, _ in old} - {name for name, _ in left}
    assert left == [each for each in old if each[0] not in gone]
    assert not left or len({claim for _, claim in old}) == 1
    assert gone or swapped == sentence


def test_a_thing_takes_number_case_and_article_of_the_animal() -> None:
    texts = {
        swap_for_things(marked("A dog. Two COWS.", "dog", "COWS", claim=Claim.EITHER), random.Random(seed)).text for seed in range(200)
    }
    assert all(re.fullmatch(r"An? [a-z' -]+\. Two [A-Z' -]+S\.", text) or "MEN." in text or "WOMEN." in text for text in texts), texts
    assert any(text.startswith("An ") for text in texts)


@given(st.sampled_from(CORPUS), SEEDS)
def test_slips_keep_claims_and_leave_names_but_for_one_letter(sentence: Sentence, seed: int) -> None:
    slipped = make_slips(sentence, random.Random(seed))
    assert [m.claim for m in slipped.mentions] == [m.claim for m in sentence.mentions]
    changed = [(old, new) for old, new in zip(names_of(sentence), names_of(slipped), strict=True) if old != new]
    assert len(changed) <= 1
    assert all(new and abs(len(new) - len(old)) <= 1 for old, new in changed)


@given(st.sampled_from(CORPUS), SEEDS)
def test_equal_seeds_vary_equally(sentence: Sentence, seed: int) -> None:
    once, again = (make_slips(swap_names(sentence, chance), chance) for chance in (random.Random(seed), random.Random(seed)))
    assert once == again


@given(SEEDS)
def test_equal_names_are_swapped_for_equal_ones(seed: int) -> None:
    first, second = names_of(swap_names(marked("a dog? I see no dog", "dog", "dog"), random.Random(seed)))
    assert first == second


@given(SEEDS)
def test_a_plural_is_swapped_for_a_plural(seed: int) -> None:
    (name,) = names_of(swap_names(marked("two cats", "cats"), random.Random(seed)))
    assert name.endswith("s")


@given(SEEDS)
def test_the_case_of_a_name_stays(seed: int) -> None:
    upper, capital = names_of(swap_names(marked("CAT or Dog", "CAT", "Dog"), random.Random(seed)))
    assert upper.isupper()
    assert capital[0].isupper()


@pytest.mark.parametrize(("text", "name"), [("no animals", "animals"), ("some birds", "birds"), ("a zorblax", "zorblax")])
def test_groups_and_unknown_names_stay(text: str, name: str) -> None:
    sentence = marked(text, name)
    assert swap_names(sentence, random.Random(0)) == sentence


@pytest.mark.parametrize(
    ("text", "new", "expected"),
    [
        ("a cat", "owl", "an owl"),
        ("an owl", "cat", "a cat"),
        ("An owl", "cat", "A cat"),
        ("the owl", "cat", "the cat"),
        ("panda owl", "cat", "panda cat"),
        ("a small owl", "cat", "a small cat"),
    ],
)
def test_the_article_fits_the_new_name(text: str, new: str, expected: str) -> None:
    sentence = marked(text, "cat" if "cat" in text else "owl")
    replaced = replace_spans(sentence, {sentence.mentions[0]: new})
    assert replaced.text == expected
    assert names_of(replaced) == [new]


def test_an_empty_replacement_leaves_the_mention_and_its_article() -> None:
    sentence = marked("an cat and a owl", "cat", "owl")
    assert replace_spans(sentence, {sentence.mentions[0]: ""}) == sentence


@given(st.text(max_size=20), SEEDS)
def test_a_misspelling_keeps_the_first_letter_and_all_but_one_of_the_others(name: str, seed: int) -> None:
    slipped = misspell(name, random.Random(seed))
    assert slipped[:1] == name[:1]
    assert abs(len(slipped) - len(name)) <= 1
    assert set(slipped) <= set(name)
    assert len(name) >= 5 or slipped == name


@given(SEEDS)
def test_slips_keep_the_possessive_of_a_name(seed: int) -> None:
    slipped = make_slips(marked("It isn't the dog's, it's the owl's.", "dog", "owl"), random.Random(seed))
    assert names_of(slipped) == ["dog", "owl"]
    assert slipped.text.count("'s") >= 2


def test_slips_do_happen_but_seldom() -> None:
    sentence = marked("It isn't a leopard.", "leopard")
    texts = [make_slips(sentence, chance).text for chance in map(random.Random, range(300))]
    assert "It isn't a leopard" in texts
    assert "It isnt a leopard." in texts
    assert 0.6 < texts.count(sentence.text) / 300 < 0.9


@given(SEEDS)
def test_any_name_is_a_name_of_one_kind(seed: int) -> None:
    name = any_name(random.Random(seed))
    assert name in lexicon() or name.replace(" ", "_") in lexicon_kinds()
    assert NAMES.kinds(name)
