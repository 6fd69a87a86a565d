"""From the names people give animals to kinds: a lexicon of names and groups, plurals, heads and misspellings.

The lexicon is four tables beside this file: ``names.tsv`` (kind, names), ``groups.tsv`` (names of a group, its kinds), ``ordinary.tsv``
(words that are no misspelt animals) and ``things.tsv`` (nouns that name none). It knows more kinds than any one release, so that an
animal outside a release's vocabulary is known to be outside it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache, cached_property, lru_cache
from itertools import chain, takewhile
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from jellyfish import damerau_levenshtein_distance

from animal_ner.text import plain

Kinds: TypeAlias = frozenset[str]
_Shelves: TypeAlias = Mapping[tuple[str, int], Collection[str]]

NO_KINDS: Kinds = frozenset()
EVERY_KIND = "*"
MOST_KNOWN = 10_000  # answers that are remembered
LONGEST = 100  # characters of a name that are looked at, its last; no name is that long, and looking takes the longer the more words
MOST_WORDS = 3  # of a misspelt name that are looked at
YOUNG = frozenset("baby calf calves chick colt cub fawn filly foal hatchling joey kid kit kitten kitty lamb piglet pup puppy whelp".split())  # noqa: SIM905
SEXES = frozenset("boar buck bull cock cow doe ewe hen jack jenny mare ram sow stallion tom".split())  # noqa: SIM905
TAILS = frozenset("breed couple cross crossbreed dad family father hybrid mix mom mother mum pair species".split())  # noqa: SIM905
EVERYDAY = frozenset(  # beside the kinds' own names and the young: what everybody knows
    """
    alligator anaconda beagle bird blackbird bluebird buffalo bug bull bulldog bumblebee bunny calico canary caribou catfish cattle
    chihuahua clownfish cobra cockatoo cod collie condor corgi cygnet dachshund dalmatian doberman doggo dove duckling eel egret falcon
    finch gazelle gecko goldfinch gosling greyhound grizzly heifer hen heron hippo honeybee hound husky iguana impala insect jay kestrel
    koi labrador ladybird ladybug lamb lioness macaw mallard mammal mare mongrel mustang narwhal orca oriole osprey panther parakeet
    pelican piranha pony poodle pug puma python raven reptile retriever rhino robin rodent rooster rottweiler salmon seagull shepherd
    siamese spaniel stallion starling stingray swallow swordfish tabby tarantula terrier thrush toad tomcat tortoise trout tuna viper
    wren
    """.split()  # noqa: SIM905
)
MARKS = " '\""  # around a name
NOT_AN_ANIMAL = "not_an_animal"  # the lexicon's kind of hot dogs and computer mice; in no vocabulary
STARTS = str.maketrans("kqszxjpveiouy", "cccccgffaaaaa")  # letters that begin a name when it is written by ear
SPELLINGS = (  # what is written differently and sounds alike
    (r"(.)\1+", r"\1"),
    ("ph", "f"),
    ("wh", "w"),
    ("ck|qu?|c(?![ehiy])", "k"),
    ("x", "ks"),
    ("z|c(?=[eiy])", "s"),
    ("(ey|ie|y)(s?)$", r"i\2"),
    ("ea", "e"),
    ("ai", "a"),
    ("(?<=[^aeiou])e(s?)$", r"\1"),
)


class Names:
    """Leads from names to the kinds of one vocabulary.

    Args:
        vocabulary: the kinds that count, such as the classes of a release. A kind that the lexicon lacks is known by its own
            name and its plural.
    """

    def __init__(self, vocabulary: Collection[str]) -> None:
        self._vocabulary = frozenset(vocabulary)
        self._own = {fold(kind): frozenset({kind}) for kind in vocabulary}
        self._instead = stand_ins(self._vocabulary)
        self._known: dict[str, Kinds] = {}

    def kinds(self, name: str) -> Kinds:
        """Kinds of the vocabulary that a name may mean; none when it names an animal outside it.

        A kind outside the vocabulary that is a sort of one inside, as ladybirds are beetles and owls are birds, leads to that one.

        Example:
            >>> names = Names(["cat", "dog", "sheep"])
            >>> sorted(names.kinds("Puppies")), sorted(names.kinds("bighorn")), sorted(names.kinds("aardvark"))
            (['dog'], ['sheep'], [])
        """
        name = name[-LONGEST:]
        kinds = self._known.get(name)
        if kinds is None:  # another thread may forget everything at any time
            kinds = self._look_up(name)
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[name] = kinds
        return kinds

    def is_listed(self, name: str) -> bool:
        """Whether a name, or an ending of it, is that of an animal, within the vocabulary or outside it; misspelt ones are not."""
        name = name[-LONGEST:]
        return bool(self._meaning(fold(name)) or self._meaning(fold(split_camel_case(name))))

    def without_own_name(self, name: str) -> str:
        """A name without capitalised words at its end that nobody knows, the animal's own name, if it is listed without them.

        Example:
            >>> names = Names(["cat", "dog"])
            >>> [names.without_own_name(name) for name in ("golden retriever Max", "cat Mr. Whiskers", "Siberian Husky", "glorp Bob")]
            ['golden retriever', 'cat', 'Siberian Husky', 'glorp Bob']
        """
        if len(name) > LONGEST or self.is_listed(name) or self.kinds(name):
            return name
        words = list(re.finditer(r"\S+", name))
        own = list(takewhile(lambda word: word[0][0].isupper(), reversed(words)))
        without = (name[: word.start()].rstrip() for word in own)
        return next(filter(self.is_listed, without), name)

    def suggestion(self, name: str) -> str:
        """Everyday name nearest to one that leads nowhere; "" when it leads to kinds, is listed, or nothing is near.

        Example:
            >>> names = Names(["bear", "deer", "goat"])
            >>> names.suggestion("goal"), names.suggestion("goat"), names.suggestion("aardvark"), names.suggestion("bicycle")
            ('goat', '', '', '')
        """
        if self.is_listed(name) or self.kinds(name):
            return ""
        for ending in _endings(fold(name[-LONGEST:])):
            near = dict(_within(min(len(ending) // 3, 3), ending, self._everyday))
            if near:
                return min(near, key=lambda each: (near[each], _start(each) != _start(ending), not self.kinds(each), each))
        return ""

    def is_near(self, name: str) -> bool:
        """Whether a name begins like an everyday one and is at most a slip or two away, as a misspelt one is.

        Example:
            >>> names = Names(["bear", "deer", "goat"])
            >>> names.is_near("goatt"), names.is_near("badgr"), names.is_near("Oliver")
            (True, True, False)
        """
        return any(any(_near(ending, self._shelved_everyday, least=4)) for ending in _endings(fold(name[-LONGEST:])))

    def _look_up(self, name: str) -> Kinds:
        written = tuple(dict.fromkeys((fold(name), fold(split_camel_case(name)))))
        forms = (*written, _unstretch(written[0], 1), _unstretch(written[0], 2))
        kinds = next(filter(None, chain(map(self._meaning, forms), map(self._misspelt, written))), NO_KINDS)
        if EVERY_KIND in kinds:
            return self._vocabulary
        return kinds & self._vocabulary or NO_KINDS.union(*(self._instead.get(kind, NO_KINDS) for kind in kinds))

    def _meaning(self, name: str) -> Kinds:
        """Kinds of a name, of its singular, or of the longest ending of it that has some."""
        words = name.split()
        for start in range(len(words)):
            kinds = self._listed(" ".join(words[start:]))
            if kinds:
                owner = self._meaning(re.sub(r"'s?$", "", " ".join(words[:start])))
                if owner and start == len(words) - 1 and not (YOUNG | SEXES).isdisjoint(singulars(words[-1])):
                    return owner  # "leopard cub", "giraffe bull": the young or sex of what stands before
                return kinds & owner or kinds
        if len(words) > 1 and not TAILS.isdisjoint(singulars(words[-1])):
            return self._meaning(" ".join(words[:-1]))  # "beagle cross", "cheetah mother"
        return NO_KINDS

    def _listed(self, name: str) -> Kinds:
        table = lexicon()
        for form in singulars(name):
            if form in table or form in self._own:
                return table.get(form, NO_KINDS) | self._own.get(form, NO_KINDS)
        return next((table[joined()[form]] for form in singulars(name) if form in joined()), NO_KINDS)

    def _misspelt(self, name: str) -> Kinds:
        """Kinds of the nearest listed name, an everyday one before others as near; none for ordinary words, and if others are as near."""
        for ending in _endings(name):
            if ordinary().isdisjoint(singulars(ending)):
                near = {name: distance + 0.5 for name, distance in _near(ending, _shelved_spellings(), least=7)}
                near |= dict(_near(ending, self._shelved_everyday, least=5))
                near |= {name: 1 for name in self._everyday if _swapped(name, ending)}
                near |= {name: 0.5 for name in self._everyday if len(ending) > 3 and sound(name) == sound(ending)}
                meanings = {self._listed(found) for found, distance in near.items() if distance == min(near.values())}
                if len(meanings) == 1:
                    return meanings.pop()
        return NO_KINDS

    @cached_property
    def _everyday(self) -> frozenset[str]:
        """The kinds' own names and what everybody calls young and pets, with their plurals."""
        names = {*self._own, *(fold(kind) for kind in lexicon_kinds()), *YOUNG, *EVERYDAY} - {""}
        return frozenset(names | {plural(name) for name in names})

    @cached_property
    def _shelved_everyday(self) -> _Shelves:
        return _shelved(self._everyday)


def stand_ins(vocabulary: Kinds) -> Mapping[str, Kinds]:
    """Kinds of the lexicon with those of a vocabulary that stand in for them where it lacks them.

    Example:
        >>> stands = stand_ins(frozenset({"Cats", "bird", "beetle"}))
        >>> [sorted(stands[kind]) for kind in ("cat", "owl", "ladybugs")]
        [['Cats'], ['bird'], ['beetle']]
    """
    meant = {kind: next((lexicon()[form] for form in singulars(fold(kind)) if form in lexicon()), NO_KINDS) for kind in vocabulary}
    alone: dict[str, set[str]] = defaultdict(set)
    groups: dict[str, set[str]] = defaultdict(set)
    for kind, parts in meant.items():
        for part in parts:
            (groups if len(parts) > 1 else alone)[part].add(kind)
    return {
        **{part: frozenset(kinds) for part, kinds in groups.items()},
        **{kind: frozenset({other}) for kind, other in broader().items() if other in vocabulary},
        **{part: frozenset(kinds) for part, kinds in alone.items() if len(kinds) == 1},  # of several breeds none is the dog
    }


def names_an_animal(text: str) -> bool:
    """Whether any one to three words of a text, in a row, are a name that the lexicon lists, in whatever sense they are meant."""
    words = re.findall(r"\w+", fold(text))
    runs = (" ".join(words[i : i + length]) for length in (1, 2, 3) for i in range(len(words) - length + 1))
    return any(form in lexicon() for run in runs for form in singulars(run))


def fold(name: str) -> str:
    """Write a name as the lexicon does: lower case, no accents, single spaces for hyphens and underscores, no possessive."""
    decomposed = unicodedata.normalize("NFKD", plain(name))
    letters = "".join(c for c in decomposed if unicodedata.category(c) not in ("Mn", "Cf", "Cc"))
    words = re.sub(r"[\s\-_#\u2010-\u2015]+", " ", letters.casefold()).strip()
    return re.sub(r"([\s\"]*'s?)+$", "", words.strip(MARKS)).strip(MARKS)


def split_camel_case(name: str) -> str:
    """Set the words of a hashtag apart: "#GoldenRetriever" -> "#Golden Retriever"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


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
            table[name].add(kind.split(" < ")[0])
    for names, kinds in _rows("groups.tsv"):
        for name in names.split("; "):
            table[name].update(kinds.split())
    return MappingProxyType({name: frozenset(kinds) for name, kinds in table.items()})


@cache
def broader() -> Mapping[str, str]:
    """The kinds that are a sort of another, with that other: a ladybird is a beetle."""
    return MappingProxyType(dict(kind.split(" < ") for kind, _ in _rows("names.tsv") if " < " in kind))


@cache
def spellings() -> frozenset[str]:
    """Every listed name and its regular plural."""
    return frozenset(lexicon()) | {plural(name) for name in lexicon()}


@lru_cache(maxsize=MOST_KNOWN)
def sound(name: str) -> str:
    """A name as it is spelt by ear, the same for names that sound alike.

    Example:
        >>> sound("donkie") == sound("donkey"), sound("foks") == sound("fox"), sound("dogg") == sound("dog"), sound("goat") == sound("boat")
        (True, True, True, False)
    """
    for letters, written in SPELLINGS:
        name = re.sub(letters, written, name)
    return name


@cache
def joined() -> Mapping[str, str]:
    """Every listed name of several words, written as one, with the listed name: "polarbear"."""
    return MappingProxyType({name.replace(" ", ""): name for name in lexicon() if " " in name})


@cache
def ordinary() -> frozenset[str]:
    """English words that may be one or two letters from an animal's name and are no misspelling of it, such as "coat" and "window"."""
    return frozenset(thing for thing in things() if " " not in thing) | {
        word for _, words in _rows("ordinary.tsv") for word in words.split()
    }


@cache
def things() -> tuple[str, ...]:
    """Nouns in the singular that name no animal, such as "kennel", "milkmaid" and "horseshoe"."""
    return tuple(thing for _, listed in _rows("things.tsv") for thing in listed.split("; "))


def lexicon_kinds() -> Kinds:
    """Every kind that the lexicon knows."""
    return frozenset(kind.split(" < ")[0] for kind, _ in _rows("names.tsv"))


def _rows(file: str) -> Iterator[tuple[str, str]]:
    text = Path(__file__).with_name(file).read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            left, right = line.split("\t")
            yield left.strip("; "), right.strip("; ")


def _endings(name: str) -> Iterator[str]:
    """The last words of a name, then fewer of them."""
    words = name.split()[-MOST_WORDS:]
    return (" ".join(words[start:]) for start in range(len(words)))


def _near(word: str, names: _Shelves, *, least: int) -> Iterator[tuple[str, int]]:
    """Names that begin like a word and are one slip away, from ``least`` letters on, or two, from four more, with their number."""
    letters = len(word) - word.endswith("s")  # those of the singular
    slips = (letters >= least) + (letters >= least + 4)
    if slips:
        lengths = range(len(word) - slips, len(word) + slips + 1)
        yield from _within(slips, word, chain.from_iterable(names.get((_start(word), length), ()) for length in lengths))


def _within(slips: int, word: str, names: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Names that are at most so many slips (a letter wrong, missing, too much, or two swapped) from a word, with their number.

    (F. J. Damerau, "A technique for computer detection and correction of spelling errors", 1964.)
    """
    for name in names:
        if abs(len(name) - len(word)) <= slips and (distance := damerau_levenshtein_distance(word, name)) <= slips:
            yield name, distance


def _shelved(names: Iterable[str]) -> _Shelves:
    """Names by how they start and how long they are: of 23,000 some hundred have to be compared."""
    shelves: dict[tuple[str, int], list[str]] = defaultdict(list)
    for name in names:
        shelves[_start(name), len(name)].append(name)
    return dict(shelves)


@cache
def _shelved_spellings() -> _Shelves:
    return _shelved(spellings())


def _start(name: str) -> str:
    """The first letter of a name, the same for letters that are taken for each other there."""
    return name[0].translate(STARTS)


def _swapped(one: str, other: str) -> bool:
    """Whether two letters changed places, the first one not among them: "dgo"."""
    return one[0] == other[0] and sorted(one) == sorted(other) and damerau_levenshtein_distance(one, other) == 1


def _unstretch(name: str, letters: int) -> str:
    """Shorten runs of three or more equal letters: "kittyyy" -> "kitty", or with two letters "sheeeep" -> "sheep"."""
    return re.sub(r"(.)\1{2,}", r"\1" * letters, name)
