"""Is a text in English? Told by its function words, where they speak for another language."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import cache
from importlib import resources

from animal_ner.text import plain

ENGLISH = "English"
LATIN = "LATIN"


def is_foreign(text: str) -> bool:
    """Whether a text is in another language than English.

    It is if most of its letters are not Latin, or if it has more function words of one other language than of English, where words with
    letters that English lacks count with the others', but for one ("Galápagos"), and English ones may be typed with too many letters
    ("noo"). A text that tells neither ("gato", "2 dogs") is taken for English.
    (By its function words: G. Grefenstette, "Comparing two language identification schemes", 1995.)

    Example:
        >>> is_foreign("Das Gift steht im Schrank."), is_foreign("a gift on the shelf"), is_foreign("没有狗。"), is_foreign("gato")
        (True, False, True, False)
    """
    words = re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", plain(text)).casefold())
    letters = Counter(_is_latin(letter) for word in words for letter in word)
    if letters[False] > letters[True]:
        return True
    known = Counter(language for word in words for language in languages().get(word, ()))
    english = known.pop(ENGLISH, 0) + sum(_squeezed(word) in _squeezed_english() for word in words if word not in languages())
    accented = sum(not word.isascii() for word in words if word not in languages())
    return max(known.values(), default=0) + max(accented - 1, 0) > english


@cache
def languages() -> Mapping[str, frozenset[str]]:
    """The languages that each listed function word is of."""
    found: dict[str, set[str]] = {}
    for line in resources.files("animal_ner").joinpath("function_words.tsv").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            language, words = line.split("\t")
            for word in words.split():
                found.setdefault(word, set()).add(language)
    return {word: frozenset(names) for word, names in found.items()}


@cache
def _squeezed_english() -> frozenset[str]:
    return frozenset(_squeezed(word) for word, names in languages().items() if ENGLISH in names)


def _squeezed(word: str) -> str:
    """A word with every letter once where it stands several times in a row."""
    return re.sub(r"(.)\1+", r"\1", word)


@cache
def _is_latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(LATIN)
