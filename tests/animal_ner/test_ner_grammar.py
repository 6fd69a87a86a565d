"""Generated sentences."""

from __future__ import annotations

import random
import re
from itertools import chain, islice, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_ner.grammar import CLAIMS, FILLERS, FRAMES, generate, make_sentence
from animal_ner.names import NOT_AN_ANIMAL, Names, lexicon_kinds
from animal_ner.sentences import read_sentences, write_sentences
from animal_ner.tags import Claim

SEEDS = st.integers(0, 2**32)
NAMES = Names(lexicon_kinds() - {NOT_AN_ANIMAL})


@given(SEEDS)
def test_mentions_do_not_overlap_and_lie_on_names(seed: int) -> None:
    for sentence in islice(generate(seed), 5):
        assert all(one.end <= other.start for one, other in pairwise(sentence.mentions))
        for m in sentence.mentions:
            assert 0 <= m.start < m.end <= len(sentence.text)
            assert NAMES.kinds(sentence.text[m.start : m.end]), sentence
        assert not re.search(r"[{}]", sentence.text)
        assert sentence.text == sentence.text.strip()


@given(SEEDS)
def test_equal_seeds_give_equal_sentences(seed: int) -> None:
    assert list(islice(generate(seed), 4)) == list(islice(generate(seed), 4))


def test_other_seeds_give_other_sentences() -> None:
    assert len({next(generate(seed)).text for seed in range(200)}) > 150


def test_every_category_comes_about_as_often() -> None:
    counts = dict.fromkeys({*FRAMES} - {"objects"}, 0)
    for sentence in islice(generate(1), 900):
        if sentence.category in counts:
            counts[sentence.category] += 1
    assert min(counts.values()) > 60


def test_sentences_of_the_category_none_and_no_others_mention_nothing() -> None:
    for sentence in islice(generate(3), 900):
        assert (sentence.category == "none") == (not sentence.mentions), sentence


def test_every_word_in_braces_is_a_filler_or_a_slot() -> None:
    for frame in chain(*FRAMES.values(), *FILLERS.values()):
        left = re.sub(r"\{G?[PAEM]:(a|the|n|s|some)\}", "", frame)
        assert set(re.findall(r"\{(.*?)\}", left)) <= FILLERS.keys(), frame


def test_every_claim_is_generated() -> None:
    assert {m.claim for s in islice(generate(2), 300) for m in s.mentions} == set(Claim)


@pytest.mark.parametrize("frame", [frame for frames in FRAMES.values() for frame in frames])
def test_a_frame_gives_a_mention_with_its_claim_for_each_slot(frame: str) -> None:
    sentence = make_sentence(frame, random.Random(3))
    assert [m.claim for m in sentence.mentions] == [CLAIMS[letter] for letter in re.findall(r"\{G?([A-Z]):?[a-z]*:?[a-z]*\}", frame)]


def test_a_sentence_without_a_slot_has_no_mention() -> None:
    assert make_sentence("{decoy}, {food}", random.Random(0)).mentions == ()


@pytest.mark.parametrize("word", FILLERS)
def test_every_filler_can_be_filled(word: str) -> None:
    for options in FILLERS[word]:
        assert "{" not in make_sentence(options, random.Random(0)).text


@given(SEEDS)
def test_an_article_fits_the_word_after_it(seed: int) -> None:
    text = make_sentence("there is {P:a}", random.Random(seed)).text
    article, word = re.fullmatch(r"[Tt]here is (an?) (.+)", text).groups()  # type: ignore[union-attr]
    assert (article == "an") == (word[0] in "aeiou")


@given(SEEDS)
def test_the_slot_for_a_group_holds_a_name_of_several_kinds(seed: int) -> None:
    sentence = make_sentence("no {GA:s} here", random.Random(seed))
    (m,) = sentence.mentions
    assert len(NAMES.kinds(sentence.text[m.start : m.end])) > 1
    assert m.claim == Claim.ABSENT


def test_generated_sentences_are_sentences_of_a_file(tmp_path: Path) -> None:
    sentences = list(islice(generate(5), 50))
    write_sentences(tmp_path / "s.jsonl", sentences)
    assert read_sentences(tmp_path / "s.jsonl") == sentences
