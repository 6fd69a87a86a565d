"""Texts as people type them: what is read, what is refused, and that no character moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_ner.text import MAX_CHARACTERS, TextError, check_text, plain

ANY_TEXT = st.text(st.characters())  # half surrogates too, which JSON can carry


@given(ANY_TEXT)
def test_plain_keeps_the_length(text: str) -> None:
    assert len(plain(text)) == len(text)


@given(ANY_TEXT)
def test_plain_text_can_be_encoded(text: str) -> None:
    plain(text).encode("utf-8")


@given(ANY_TEXT)
def test_plain_of_plain_is_the_same(text: str) -> None:
    assert plain(plain(text)) == plain(text)


@given(st.text(st.characters(max_codepoint=127, exclude_characters="`_")))
def test_ascii_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("isn\u2019t", "isn't"),
        ("\u201ccow\u201d", '"cow"'),
        ("\uff43\uff41\uff54", "cat"),
        ("sea_lion", "sea lion"),
        ("a cat\u2026", "a cat."),
        ("a\u00a0cat", "a cat"),
        ("\ud83dcat", " cat"),
        ("\ufb01sh", "\ufb01sh"),
        ("\U0001d4ec\U0001d4ea\U0001d4fd", "cat"),
        ("\u24d2\u24d0\u24e3", "cat"),
        ("cat\U0001f431", "cat "),
    ],
)
def test_quotes_and_compatibility_letters_are_folded_one_for_one(text: str, expected: str) -> None:
    assert plain(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a d\u043eg", "a dog"),
        ("\u0421ow", "Cow"),
        ("h\u03bfrse", "horse"),
        ("\u0441\u200bat", "c\u200bat"),
        ("c\u0430\u00adt", "ca\u00adt"),
        ("\u0441\u043e\u043c", "\u0441\u043e\u043c"),  # Russian for catfish: a word without a Latin letter is one of its own script
        ("\u043a\u043e\u0448\u043a\u0430 cat", "\u043a\u043e\u0448\u043a\u0430 cat"),
        ("\u03b1-cat", "\u03b1-cat"),
        ("x\u0434", "x\u0434"),
    ],
)
def test_letters_that_look_latin_are_led_to_latin_ones_in_latin_words_alone(text: str, expected: str) -> None:
    assert plain(text) == expected


@given(st.text(st.sampled_from("cat \u0441\u0430\u0442\u200b\u00ad\u0301\U0001f431\ud83d\0\u202e"), max_size=12))
def test_whatever_letters_look_like_none_moves(text: str) -> None:
    assert len(plain(text)) == len(text)
    assert plain(plain(text)) == plain(text)


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\u200b", "\u00a0", "\x00"])
def test_a_text_without_a_visible_character_is_refused(text: str) -> None:
    with pytest.raises(TextError, match="empty"):
        check_text(text)


@pytest.mark.parametrize("text", [None, 3, b"cat", ["cat"], float("nan")])
def test_what_is_no_string_is_refused_by_its_type(text: object) -> None:
    with pytest.raises(TextError, match=f"{type(text).__name__} given; a string is needed"):
        check_text(text)


def test_a_text_that_is_too_long_is_refused_and_the_longest_is_read() -> None:
    assert check_text("c" * MAX_CHARACTERS) == "c" * MAX_CHARACTERS
    with pytest.raises(TextError, match=r"20,001 characters; at most 20,000"):
        check_text("c" * (MAX_CHARACTERS + 1))
    with pytest.raises(TextError, match=r"1,048,576 characters"):
        check_text("cat " * 2**18)


@pytest.mark.parametrize("text", ["cat", "?", "\U0001f98a", "7", "\u732b"])
def test_any_visible_character_makes_a_text(text: str) -> None:
    assert check_text(text) == text
