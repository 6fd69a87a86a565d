"""Is a text in English? Told by its function words, where they speak for another language."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

from animal_ner.names import lexicon, singulars
from animal_ner.text import plain

ENGLISH = "English"
LATIN = "LATIN"
WORD = re.compile(r"[^\W\d_]+")
LONGEST_NAME = 4  # words


def is_foreign(text: str) -> bool:
    """Whether a text is in another language than English.

    It is if most of its letters are not Latin, or if it has more function words of one other language than of English, where words with
    letters that English lacks count with the others', but for one ("Galápagos"), and English ones may be typed with too many letters
    ("noo"). Names of animals count as English beside a word that is English alone ("a dog called La Luna"). A text that tells neither
    ("gato", "2 dogs") is taken for English.
    (By its function words: G. Grefenstette, "Comparing two language identification schemes", 1995.)

    Example:
        >>> is_foreign("Das Gift steht im Schrank."), is_foreign("a gift on the shelf"), is_foreign("没有狗。"), is_foreign("gato")
        (True, False, True, False)
    """
    words = WORD.findall(unicodedata.normalize("NFC", plain(text)).casefold())
    letters = Counter(_is_latin(letter) for word in words for letter in word)
    if letters[False] > letters[True]:
        return True
    if not _speaks_another(words, names=0):
        return False
    names, others = _apart(words)
    return _speaks_another(others, names=names)


def _speaks_another(words: Sequence[str], *, names: int) -> bool:
    """Whether words, beside so many names of animals, are more of another language than of English."""
    listed = [languages()[word] for word in words if word in languages()]
    others = [word for word in words if word not in languages()]
    accented = max(sum(not word.isascii() for word in others) - 1, 0)
    typed = sum(_squeezed(word) in _squeezed_english() for word in others)
    english = [each for each in listed if ENGLISH in each]

    def for_english(language: str) -> int:
        """Words that speak for English against another language, and names if any does so alone."""
        alone = typed or any(language not in each for each in english)
        return typed + len(english) + (names if alone else 0)

    spoken = Counter(language for each in listed for language in each - {ENGLISH})
    return any(number + accented > for_english(language) for language, number in (spoken or {"": 0}).items())


def _apart(words: Sequence[str]) -> tuple[int, list[str]]:
    """How many animals words name, and the words beside those names; a function word alone is none ("dove", Italian for where)."""
    others, names, at = [], 0, 0
    while at < len(words):
        runs = (" ".join(words[at : at + length]) for length in range(LONGEST_NAME, 0, -1))
        name = next((run for run in runs if run not in languages() and not _names().isdisjoint(singulars(run))), "")
        names += bool(name)
        others += [] if name else [words[at]]
        at += len(name.split()) or 1
    return names, others


@cache
def _names() -> frozenset[str]:
    """Every listed name, of words as a text is cut into: "de brazza s monkey"."""
    return frozenset(" ".join(WORD.findall(name)) for name in lexicon())


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
