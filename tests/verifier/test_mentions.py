import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_ner.names import Names
from animal_ner.tags import Claim, Span
from verifier.mentions import find_mentions

NAMES = Names(["bear", "cat", "cow", "dog", "horse", "lion", "ox", "shark"])
MARKED = re.compile(r"([+-])\[(.*?)\]")  # +[cat] is PRESENT, -[cat] ABSENT


def unmarked(marked: str) -> tuple[str, list[Span]]:
    """A text and its spans."""
    text, spans, end = "", [], 0
    for mark in MARKED.finditer(marked):
        text += marked[end : mark.start()]
        spans.append(Span(len(text), len(text) + len(mark[2]), Claim.PRESENT if mark[1] == "+" else Claim.ABSENT))
        text, end = text + mark[2], mark.end()
    return text + marked[end:], spans


def found(marked: str) -> list[tuple[str, str]]:
    text, spans = unmarked(marked)
    mentions = find_mentions(text, spans, NAMES)
    assert all(text[mention.start : mention.end] == mention.text for mention in mentions)
    return [(mention.text, " ".join(mention.kinds)) for mention in mentions]


@pytest.mark.parametrize(
    ("marked", "mentions"),
    [
        ("My +[cat Rex] is asleep", [("cat", "cat")]),
        ("this is my +[golden retriever Max].", [("golden retriever", "dog")]),
        ("my +[kitty Mr. Whiskers]", [("kitty", "cat")]),
        ("our +[dog Bella] loves the sun", [("dog", "dog")]),
        ("MY +[DOG BELLA]", [("DOG", "dog")]),
        ("a +[Siberian Husky]", [("Siberian Husky", "dog")]),
        ("a +[German Shepherd Dog]", [("German Shepherd Dog", "dog")]),
        ("a +[Bengal Cat] and a +[Maine Coon]", [("Bengal Cat", "cat"), ("Maine Coon", "cat")]),
        ("THERE IS A +[CAT]", [("CAT", "cat")]),
        ("a +[GOLDEN RETREIVER]", [("GOLDEN RETREIVER", "dog")]),
        ("a +[Tiger Sharkk]", [("Tiger Sharkk", "shark")]),
        ("a +[cat yeti]", [("cat yeti", "")]),
        ("a +[Blorp Rex]", [("Blorp Rex", "")]),
    ],
)
def test_the_own_name_behind_an_animal_is_no_part_of_it(marked, mentions):
    assert found(marked) == mentions


@pytest.mark.parametrize(
    ("marked", "mentions"),
    [
        ("+[Bella] the +[dog]", [("dog", "dog")]),
        ("+[Rex] (my +[dog]) in the garden", [("dog", "dog")]),
        ("+[Luna], our +[cat], sleeps", [("cat", "cat")]),
        ("+[Mr. Whiskers] the +[cat]", [("cat", "cat")]),
        ("+[fluffy] +[cat]", [("cat", "cat")]),
        ("+[Aardvarks] and the +[dog]", [("Aardvarks", ""), ("dog", "dog")]),
        ("+[Aardvarks], +[dogs]", [("Aardvarks", ""), ("dogs", "dog")]),
        ("+[Husky], my +[cat]", [("Husky", "dog"), ("cat", "cat")]),
        ("+[Coyote], my +[cat]", [("Coyote", ""), ("cat", "cat")]),
    ],
)
def test_the_own_name_before_an_animal_is_no_mention(marked, mentions):
    assert found(marked) == mentions


@pytest.mark.parametrize(
    ("marked", "mentions"),
    [
        ("a +[dog], +[xanthic] and all", [("dog", "dog")]),
        ("A +[BLORP], THE +[DOG]", [("DOG", "dog")]),
        ("-[Blorp], the +[dog]", [("dog", "dog")]),
        ("a +[xanthic]", [("xanthic", "")]),
        ("+[xanthic] or +[blorp]", [("xanthic", ""), ("blorp", "")]),
        ("a +[dog] and an +[aardvark]", [("dog", "dog"), ("aardvark", "")]),
        ("a +[dog] and an +[aardvarkk]", [("dog", "dog"), ("aardvarkk", "")]),
        ("an +[aardvark] and a +[xanthic]", [("aardvark", "")]),
        ("+[Oliver] and a +[dog]", [("dog", "dog")]),
        ("a +[xanthic], not a -[dog]", [("xanthic", ""), ("dog", "dog")]),
    ],
)
def test_a_word_that_is_no_name_nor_near_to_one_is_no_mention_beside_animals_that_are_claimed(marked, mentions):
    assert found(marked) == mentions


@pytest.mark.parametrize(
    ("marked", "kinds"),
    [
        ("The +[lioness] has no -[cubs].", ["lion", "lion"]),
        ("a +[cow], not a -[bull]", ["cow", "cow"]),
        ("a +[cow] and a +[horse], no -[bear cub]", ["cow", "horse", "bear"]),
        ("a +[cat], no -[cubs]", ["cat", "bear lion"]),
        ("no -[lioness], no -[cubs]", ["lion", "bear lion"]),
        ("a +[cub], not a -[bear]", ["bear lion", "bear"]),
    ],
)
def test_a_denied_young_is_that_of_the_animal_that_is_there(marked, kinds):
    assert [meant for _, meant in found(marked)] == kinds


words = st.sampled_from(["cat", "dog", "Cat", "DOG", "yeti", "Rex", "Mr.", "golden retriever", "Bella", "husky", "the", "my", ","])


@given(st.lists(st.tuples(st.lists(words, min_size=1, max_size=3).map(" ".join), words), max_size=4))
def test_mentions_are_beginnings_of_spans_and_keep_their_claims(pieces):
    text, spans = unmarked(" ".join(f"+[{name}] {word}" for name, word in pieces))
    mentions = find_mentions(text, spans, NAMES)
    by_start = {span.start: span for span in spans}
    for mention in mentions:
        span = by_start[mention.start]
        assert text[mention.start : mention.end] == mention.text
        assert mention.end <= span.end
        assert mention.claim == span.claim


@given(st.lists(words.map(str.lower), min_size=1, max_size=4).map(" ".join))
def test_nothing_is_cut_from_what_is_written_small(name):
    assert NAMES.without_own_name(name) == name


@given(st.text(max_size=30))
def test_what_is_cut_leads_from_nowhere_to_somewhere(name):
    kept = NAMES.without_own_name(name)
    assert name.startswith(kept)
    assert kept == name or (NAMES.is_listed(kept) and not NAMES.kinds(name))
