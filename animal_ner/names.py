"""From the names people give animals to kinds: a lexicon of names and groups, plurals, heads and misspellings.

The lexicon is two tables beside this file: ``names.tsv`` (kind, names) and ``groups.tsv`` (names of a group, its kinds). It knows
more kinds than any one release, so that an animal outside a release's vocabulary is known to be outside it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from functools import cache, cached_property
from importlib import resources
from types import MappingProxyType
from typing import TypeAlias

from rapidfuzz import process
from rapidfuzz.distance import OSA

Kinds: TypeAlias = frozenset[str]

NO_KINDS: Kinds = frozenset()
EVERY_KIND = "*"
MOST_KNOWN = 10_000  # answers that are remembered
MOST_WORDS = 3  # of a misspelt name that are looked at
YOUNG = frozenset("baby calf calves chick colt cub filly foal hatchling joey kid kit kitten kitty lamb piglet pup puppy whelp".split())  # noqa: SIM905
EVERYDAY = frozenset("alligator bird bug bunny bull cattle doggo falcon hen heron insect pelican pony rooster toad tortoise".split())  # noqa: SIM905
NOT_AN_ANIMAL = "not_an_animal"  # the lexicon's kind of hot dogs and computer mice; in no vocabulary


class Names:
    """Leads from names to the kinds of one vocabulary.

    Args:
        vocabulary: the kinds that count, such as the classes of a release. A kind that the lexicon lacks is known by its own
            name and its plural.
    """

    def __init__(self, vocabulary: Collection[str]) -> None:
        self._vocabulary = frozenset(vocabulary)
        self._own = {fold(kind): frozenset({kind}) for kind in vocabulary}
        self._known: dict[str, Kinds] = {}

    def kinds(self, name: str) -> Kinds:
        """Kinds of the vocabulary that a name may mean; none when it names an animal outside it.

        Example:
            >>> names = Names(["cat", "dog", "sheep"])
            >>> sorted(names.kinds("Puppies")), sorted(names.kinds("aardvark"))
            (['dog'], [])
        """
        folded = fold(name)
        if folded not in self._known:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[folded] = self._look_up(folded)
        return self._known[folded]

    def is_listed(self, name: str) -> bool:
        """Whether a name, or an ending of it, is that of an animal, within the vocabulary or outside it; misspelt ones are not."""
        return bool(self._meaning(fold(name)))

    def _look_up(self, folded: str) -> Kinds:
        forms = (folded, _unstretch(folded, 1), _unstretch(folded, 2))
        kinds = next((kinds for form in forms if (kinds := self._meaning(form))), NO_KINDS) or self._misspelt(folded)
        return self._vocabulary if EVERY_KIND in kinds else kinds & self._vocabulary

    def _meaning(self, name: str) -> Kinds:
        """Kinds of a name, of its singular, or of the longest ending of it that has some."""
        words = name.split()
        for start in range(len(words)):
            kinds = self._listed(" ".join(words[start:]))
            if kinds:
                owner = self._listed(" ".join(words[:start]))
                if owner and start == len(words) - 1 and not YOUNG.isdisjoint(singulars(words[-1])):
                    return owner  # "leopard cub", "fox kitten": the young of what stands before
                return kinds & owner or kinds
        return NO_KINDS

    def _listed(self, name: str) -> Kinds:
        table = lexicon()
        for form in singulars(name):
            if form in table or form in self._own:
                return table.get(form) or self._own[form]
        return NO_KINDS

    def _misspelt(self, name: str) -> Kinds:
        """Kinds of the nearest everyday name or, for longer words, of the nearest listed one, if no other kinds are as near."""
        words = name.split()[-MOST_WORDS:]
        for start in range(len(words)):
            ending = " ".join(words[start:])
            for names, least in ((self._everyday, 5), (spellings(), 6)):
                allowed = (len(ending) >= least) + (len(ending) >= least + 4)
                near = process.extract(ending, names.keys(), scorer=OSA.distance, score_cutoff=allowed, limit=None) if allowed else []
                nearest = min((distance for _, distance, _ in near), default=0)
                meanings = {self._listed(names[found]) for found, distance, _ in near if distance == nearest}
                if len(meanings) == 1:
                    return meanings.pop()
        return NO_KINDS

    @cached_property
    def _everyday(self) -> Mapping[str, str]:
        """The kinds' own names and what everybody calls young and pets, with their plurals, each with the listed name."""
        names = {*self._own, *(fold(kind) for kind in lexicon_kinds()), *YOUNG, *EVERYDAY}
        return {**{plural(name): name for name in names}, **{name: name for name in names}}


def names_an_animal(text: str) -> bool:
    """Whether any one to three words of a text, in a row, are a name that the lexicon lists, in whatever sense they are meant."""
    words = re.findall(r"\w+", fold(text))
    runs = (" ".join(words[i : i + length]) for length in (1, 2, 3) for i in range(len(words) - length + 1))
    return any(form in lexicon() for run in runs for form in singulars(run))


def fold(name: str) -> str:
    """Write a name as the lexicon does: lower case, no accents, single spaces for hyphens and underscores, no possessive."""
    decomposed = unicodedata.normalize("NFKD", name.replace("\u2019", "'"))
    letters = "".join(c for c in decomposed if unicodedata.category(c) not in ("Mn", "Cf", "Cc"))
    words = re.sub(r"[\s\-_#\u2010-\u2015]+", " ", letters.casefold()).strip()
    return re.sub(r"'s?$", "", words)


def singulars(name: str) -> Iterator[str]:
    """The name itself, then what it may be the plural of, by the regular rules of English.

    Example:
        >>> list(singulars("ponies"))
        ['ponies', 'pony', 'ponie', 'poni']
    """
    yield name
    if name.endswith("ies"):
        yield name[:-3] + "y"
    if name.endswith("ves"):
        yield name[:-3] + "f"
        yield name[:-3] + "fe"
    if name.endswith("s") and not name.endswith("ss"):
        yield name[:-1]  # before the next: "kites" are kites, not kits
    if name.endswith("es"):
        yield name[:-2]


def plural(name: str) -> str:
    """The regular plural of a name: the inverse of ``singulars``.

    Example:
        >>> plural("pony"), plural("fox"), plural("wolf"), plural("cow")
        ('ponies', 'foxes', 'wolves', 'cows')
    """
    if re.search(r"[^aeiou]y$", name):
        return name[:-1] + "ies"
    if re.search(r"(s|x|z|ch|sh)$", name):
        return name + "es"
    if re.search(r"[^f](lf|eaf)$", name):
        return name[:-1] + "ves"
    return name + "s"


@cache
def lexicon() -> Mapping[str, Kinds]:
    """Every listed name with the kinds it may mean; a group's name with all its kinds, ``*`` standing for every one."""
    table: dict[str, set[str]] = defaultdict(set)
    for kind, names in _rows("names.tsv"):
        for name in names.split("; "):
            table[name].add(kind)
    for names, kinds in _rows("groups.tsv"):
        for name in names.split("; "):
            table[name].update(kinds.split())
    return MappingProxyType({name: frozenset(kinds) for name, kinds in table.items()})


@cache
def spellings() -> Mapping[str, str]:
    """Every listed name and its regular plural, with the listed name."""
    return MappingProxyType({**{plural(name): name for name in lexicon()}, **{name: name for name in lexicon()}})


def lexicon_kinds() -> Kinds:
    """Every kind that the lexicon knows."""
    return frozenset(kind for kind, _ in _rows("names.tsv"))


def _rows(file: str) -> Iterator[tuple[str, str]]:
    text = resources.files("animal_ner").joinpath(file).read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            left, right = line.split("\t")
            yield left.strip("; "), right.strip("; ")


def _unstretch(name: str, letters: int) -> str:
    """Shorten runs of three or more equal letters: "kittyyy" -> "kitty", or with two letters "sheeeep" -> "sheep"."""
    return re.sub(r"(.)\1{2,}", r"\1" * letters, name)
