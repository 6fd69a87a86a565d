"""Texts as people type them, made readable for the tagger without moving a character."""

from __future__ import annotations

import unicodedata

MAX_CHARACTERS = 20_000  # a message about a picture is short; more than this is a mistake, and is refused rather than cut

STRAIGHT = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u02bc": "'",
        "\u201b": "'",
        "`": "'",
        "\u00b4": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2026": ".",
        "_": " ",
    }
)


class TextError(ValueError):
    """A text that cannot be read; the message says why."""


def check_text(text: object) -> str:
    """Return the text if it is one that can be read.

    Raises:
        TextError: it is no string, has no visible character, or has more than ``MAX_CHARACTERS``.
    """
    if not isinstance(text, str):
        raise TextError(f"text: {type(text).__name__} given; a string is needed")
    if len(text) > MAX_CHARACTERS:
        raise TextError(f"text: {len(text):,} characters; at most {MAX_CHARACTERS:,} can be read (one message about one picture)")
    if not any(unicodedata.category(c)[0] in "LMNPS" for c in text):
        raise TextError("text: empty; write what the picture should show, such as 'There is a cat in the picture.'")
    return text


def plain(text: str) -> str:
    """Straighten quotes, fold full-width and other compatibility letters and blank out emoji, one character for one.

    The result is as long as the text, so that offsets into it are offsets into the text.
    """
    return "".join(_fold(c) for c in text.translate(STRAIGHT))


def _fold(character: str) -> str:
    if character.isascii():
        return character
    category = unicodedata.category(character)
    if category in {"So", "Sk"}:
        return " "  # an emoji beside a name is no part of it: "cat\N{CAT FACE}"
    if category == "Cs":
        return "\ufffd"  # half of a surrogate pair, which no encoder takes
    folded = unicodedata.normalize("NFKC", character)
    return folded if len(folded) == 1 else character
