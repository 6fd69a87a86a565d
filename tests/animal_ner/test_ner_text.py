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
        ("\ud83d cat", "\ufffd cat"),
        ("\ufb01sh", "\ufb01sh"),
    ],
)
def test_quotes_and_compatibility_letters_are_folded_one_for_one(text: str, expected: str) -> None:
    assert plain(text) == expected


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


@pytest.mark.parametrize("text", ["cat", "?", "\U0001f98a", "7", "\u732b"])
def test_any_visible_character_makes_a_text(text: str) -> None:
    assert check_text(text) == text
