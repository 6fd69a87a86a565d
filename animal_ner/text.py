"""Texts as people type them, made readable for the tagger without moving a character."""

from __future__ import annotations

import re
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
# Letters of other scripts that look like Latin ones (Unicode Technical Standard 39, confusables), in words that are Latin but for them.
_ALIKE = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0445\u0443\u0456\u0458\u0455\u04bb\u0501\u051b\u051d\u0261"  # Cyrillic, and IPA's g
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0423\u0406\u0408\u0405"
    "\u03b1\u03bf\u03c1\u03bd\u03b9\u03ba\u03c5\u03f2"  # Greek
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7",
    "aeopcxyijshdqwgABEKMHOPCTXYIJSaopvikucABEZHIKMNOPTYX",
)
_UNSEEN = "\u00ad\u034f\u200b-\u200f\u2060-\u2064\ufeff"  # what may stand within a word without being seen
_WORD = re.compile(rf"[^\W\d_](?:[{_UNSEEN}]*[^\W\d_])*")


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

    Cyrillic and Greek letters that look like Latin ones are led to these in words that are Latin but for them ("d\u043eg").

    The result is as long as the text, so that offsets into it are offsets into the text.
    """
    folded = "".join(_fold(c) for c in text.translate(STRAIGHT))
    return folded if folded.isascii() else _WORD.sub(_as_latin, folded)


def _as_latin(word: re.Match[str]) -> str:
    letters = [c for c in word[0] if c.isalpha()]
    spoofed = any(map(str.isascii, letters)) and all(c.isascii() or ord(c) in _ALIKE for c in letters)
    return word[0].translate(_ALIKE) if spoofed else word[0]


def _fold(character: str) -> str:
    if character.isascii():
        return character
    category = unicodedata.category(character)
    if category == "Cs":
        return " "  # half of a surrogate pair, which no encoder takes
    folded = unicodedata.normalize("NFKC", character)
    if category in {"So", "Sk"} and not (folded.isascii() and folded.isalpha() and len(folded) == 1):
        return " "  # an emoji beside a name is no part of it: "cat\N{CAT FACE}"; letters in circles are
    return folded if len(folded) == 1 else character
