"""Variations of a sentence: other animals, things in the place of animals, and the slips of people who type."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cache

from animal_ner.names import EVERY_KIND, NO_KINDS, NOT_AN_ANIMAL, fold, lexicon, plural, singulars, things
from animal_ner.sentences import Sentence
from animal_ner.tags import Claim, Span


def swap_names(sentence: Sentence, chance: random.Random) -> Sentence:
    """Put other animals in a sentence, so that a tagger learns how an animal is spoken of and not a list of names.

    Equal names are swapped for equal ones and plurals for plurals, and "a" becomes "an" where it must. Names of groups and names
    that the lexicon lacks stay, as does a sentence without a name to swap.
    """
    names = {sentence.text[m.start : m.end] for m in sentence.mentions}
    swaps = {name: other for name in sorted(names) if (other := _another(name, chance))}
    return replace_spans(sentence, {m: swaps.get(sentence.text[m.start : m.end], "") for m in sentence.mentions})


def swap_for_things(sentence: Sentence, chance: random.Random) -> Sentence:
    """Put things in the place of animals, so that a tagger learns that not all that is spoken of like an animal is one.

    The things are no mentions. Where all mentions claim that something is there, or all that it is not, some may stay: what is said of
    one then does not hang on the others.
    """
    names = sorted({sentence.text[m.start : m.end] for m in sentence.mentions})
    claims = {m.claim for m in sentence.mentions}
    some = len(claims) == 1 and claims <= {Claim.PRESENT, Claim.ABSENT}
    chosen = {name: _in_place_of(name, chance.choice(things())) for name in names if not some or chance.random() < 0.5}
    swapped = replace_spans(sentence, {m: chosen.get(sentence.text[m.start : m.end], "") for m in sentence.mentions})
    left = [new for old, new in zip(sentence.mentions, swapped.mentions, strict=True) if sentence.text[old.start : old.end] not in chosen]
    return Sentence(swapped.text, tuple(left), swapped.category)


def replace_spans(sentence: Sentence, replacements: Mapping[Span, str]) -> Sentence:
    """Write other texts in the place of mentions; an empty one leaves the mention as it is."""
    return rewrite(sentence, lambda mention: replacements.get(mention, ""), _article_for)


def rewrite(sentence: Sentence, name: Callable[[Span], str], between: Callable[[str, str], str]) -> Sentence:
    """Write a sentence anew.

    Args:
        sentence: what to write anew.
        name: what to write for a mention; "" leaves it as it is.
        between: what to write for the text before a mention, given what ``name`` gave for it, and for the text after the last, given "".
    """
    text, at, mentions = "", 0, []
    for mention in sentence.mentions:
        new = name(mention)
        text += between(sentence.text[at : mention.start], new)
        new = new or sentence.text[mention.start : mention.end]
        mentions.append(Span(len(text), len(text) + len(new), mention.claim))
        text += new
        at = mention.end
    return Sentence(text + between(sentence.text[at:], ""), tuple(mentions), sentence.category)


def make_slips(sentence: Sentence, chance: random.Random) -> Sentence:
    """Type a sentence as people do: now and then without final mark, without apostrophes, or with a name or another word misspelt."""
    if chance.random() < 0.15 and sentence.text[-1:] in ".!?" and not any(m.end == len(sentence.text) for m in sentence.mentions):
        sentence = Sentence(sentence.text[:-1], sentence.mentions, sentence.category)
    if chance.random() < 0.06:
        sentence = _without_apostrophes(sentence)
    if sentence.mentions and chance.random() < 0.06:
        slipped = chance.choice(sentence.mentions)
        sentence = replace_spans(sentence, {slipped: misspell(sentence.text[slipped.start : slipped.end], chance)})
    if chance.random() < 0.1:
        sentence = _misspell_a_word(sentence, chance)
    return sentence


def misspell(name: str, chance: random.Random) -> str:
    """Swap, drop or double one letter inside a name of five letters or more."""
    if len(name) < 5:
        return name
    i = chance.randrange(1, len(name) - 2)
    if not name[i : i + 2].isalpha():
        return name
    return chance.choice((name[:i] + name[i + 1] + name[i] + name[i + 2 :], name[:i] + name[i + 1 :], name[: i + 1] + name[i:]))


def _misspell_a_word(sentence: Sentence, chance: random.Random) -> Sentence:
    """Misspell one word that is no part of a mention, if there is one that is long enough."""
    taken = [(m.start, m.end) for m in sentence.mentions]
    words = [w for w in re.finditer(r"[A-Za-z]{5,}", sentence.text) if all(w.end() <= start or end <= w.start() for start, end in taken)]
    if not words:
        return sentence
    word = chance.choice(words)
    new = misspell(word[0], chance)
    shift = len(new) - len(word[0])
    mentions = tuple(Span(m.start + shift, m.end + shift, m.claim) if m.start >= word.end() else m for m in sentence.mentions)
    return Sentence(sentence.text[: word.start()] + new + sentence.text[word.end() :], mentions, sentence.category)


def _without_apostrophes(sentence: Sentence) -> Sentence:
    """Drop the apostrophes between mentions: "isn't" -> "isnt"; possessives of mentions stay."""
    return rewrite(sentence, lambda _: "", lambda text, _: re.sub(r"(?<=\w)['\u2019](?=\w)", "", text))


def _article_for(before: str, name: str) -> str:
    """Text before a name, its indefinite article made to fit the name."""
    match = re.search(r"\b([Aa])n?( )$", before)
    if match is None or not name:
        return before
    return before[: match.start()] + match[1] + ("n" if re.match(r"[aeiouAEIOU](?!u)|8|11", name) else "") + " "


def _another(name: str, chance: random.Random) -> str:
    """Another animal's name in the same number and case, or "" when the name is none of one single kind."""
    of_one_kind = any(len(lexicon().get(form, NO_KINDS) - {EVERY_KIND}) == 1 for form in singulars(fold(name)))
    return _in_place_of(name, any_name(chance)) if of_one_kind else ""


def _in_place_of(name: str, other: str) -> str:
    """Another name, given in the singular, in the number and case of a name."""
    if next((i for i, form in enumerate(singulars(fold(name))) if form in lexicon()), 0):
        other = plural(other)
    return other.upper() if name.isupper() and len(name) > 1 else other.capitalize() if name[0].isupper() else other


def any_name(chance: random.Random) -> str:
    """Name of any kind, every kind as likely: its own name, or one of at most two words that means it alone."""
    kind = chance.choice(sorted(_names_of()))
    return chance.choice(_names_of()[kind]) if chance.random() < 0.5 else kind.replace("_", " ")


@cache
def _names_of() -> Mapping[str, tuple[str, ...]]:
    names: dict[str, list[str]] = defaultdict(list)
    for name, kinds in lexicon().items():
        if len(kinds) == 1 and name.count(" ") < 2 and name.isascii():
            names[min(kinds)].append(name)
    return {kind: tuple(listed) for kind, listed in names.items() if kind not in (EVERY_KIND, NOT_AN_ANIMAL)}
