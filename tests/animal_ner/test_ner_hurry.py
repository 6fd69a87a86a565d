"""Sentences as they are typed in a hurry."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_ner.hurry import BY_EAR, hurry, spell_by_ear
from animal_ner.names import NO_KINDS, Kinds, fold, lexicon, singulars
from animal_ner.sentences import Sentence, read_sentences
from animal_ner.tags import Claim, Span

CORPUS = read_sentences(Path(__file__).parents[2] / "animal_ner" / "corpus" / "val.jsonl")
SEEDS = st.integers(0, 2**32 - 1)


def kinds(word: str) -> Kinds:
    return NO_KINDS.union(*(lexicon().get(form, NO_KINDS) for form in singulars(fold(word))))


@given(st.sampled_from(CORPUS), SEEDS)
def test_every_mention_keeps_its_claim_and_is_still_a_part_of_the_text(sentence: Sentence, seed: int) -> None:
    hurried = hurry(sentence, random.Random(seed))
    assert [m.claim for m in hurried.mentions] == [m.claim for m in sentence.mentions]
    for old, new in zip(sentence.mentions, hurried.mentions, strict=True):
        before, after = sentence.text[old.start : old.end], hurried.text[new.start : new.end]
        assert after == after.strip() != ""
        assert abs(len(after) - len(before)) <= 3 * (before.count(" ") + 1)


@given(st.sampled_from(CORPUS), SEEDS)
def test_no_name_becomes_the_name_of_another_animal(sentence: Sentence, seed: int) -> None:
    hurried = hurry(sentence, random.Random(seed))
    for old, new in zip(sentence.mentions, hurried.mentions, strict=True):
        before, after = sentence.text[old.start : old.end].lower(), hurried.text[new.start : new.end].lower()
        if " " not in after:
            assert kinds(after) in (NO_KINDS, kinds(before))


@pytest.mark.parametrize("text", ["coats and boats", "files, months, clocks", "aunts by the beech"])
@given(seed=SEEDS)
def test_no_other_word_becomes_an_animal(text: str, seed: int) -> None:
    hurried = hurry(Sentence(text), random.Random(seed))
    assert not any(kinds(word) for word in hurried.text.lower().split())


def test_names_with_a_mark_and_no_space_between_them_stay_apart() -> None:
    sentence = Sentence("cat,dog:cow!", (Span(0, 3, Claim.PRESENT), Span(4, 7, Claim.PRESENT), Span(8, 11, Claim.PRESENT)))
    for seed in range(50):
        one, two, three = hurry(sentence, random.Random(seed)).mentions
        assert one.end < two.start <= two.end < three.start


@given(st.sampled_from(CORPUS), SEEDS)
def test_equal_seeds_hurry_equally(sentence: Sentence, seed: int) -> None:
    once, again = (hurry(sentence, random.Random(seed)) for _ in range(2))
    assert once == again


def test_short_forms_misspellings_small_letters_and_missing_marks_all_happen() -> None:
    text = "There isn't a giraffe, nothing except the photo."
    sentence = Sentence(text, (Span(14, 21, Claim.ABSENT),))
    texts = {hurry(sentence, random.Random(seed)).text for seed in range(3000)}
    for piece in ("nuthin", "xcept", "foto", "isnt", "girafe", "jiraffe", "THERE"):
        assert any(piece in each for each in texts), piece
    assert any("," not in each and not each.endswith(".") for each in texts)


@pytest.mark.parametrize(
    ("word", "typed"), [("pheasant", "feasant"), ("duck", "duk"), ("squirrel", "skwirrel"), ("dog", "dogg"), ("donkey", "donky")]
)
def test_a_word_is_spelt_as_it_sounds(word: str, typed: str) -> None:
    assert typed in {spell_by_ear(word, random.Random(seed)) for seed in range(300)}


@given(st.text(max_size=12), SEEDS)
def test_any_text_can_be_spelt_and_changes_in_one_place_at_most(word: str, seed: int) -> None:
    assert abs(len(spell_by_ear(word, random.Random(seed))) - len(word)) <= max(len(written) for _, written in BY_EAR)


def test_a_text_of_marks_alone_stays() -> None:
    assert hurry(Sentence("..."), random.Random(0)) == Sentence("...")
