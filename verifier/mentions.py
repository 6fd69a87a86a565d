"""From the spans that a tagger finds in a text to mentions: names without what is no part of them, led to kinds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from animal_ner.names import SEXES, YOUNG, Names, fold, singulars
from animal_ner.tags import Claim, Span
from verifier.decision import Mention

# What stands between a pet's name and what it is: "Bella the dog", "Rex, our cat", "Rex (my dog)".
INTRODUCED = re.compile(r"\s*[,(\u2013\u2014-]?\s*(the|my|our|your|his|her|their)\s+", re.IGNORECASE)


def find_mentions(text: str, spans: Sequence[Span], names: Names) -> tuple[Mention, ...]:
    """The mentions of a text.

    Args:
        text: as it was given.
        spans: in characters of the text, in reading order.
        names: of the vocabulary.

    Returns:
        A mention for each span, in the same order, but for spans that are only an adjective or the own name of the animal beside them
        ("fluffy" in "fluffy cat", "Bella" in "Bella the dog"), and those that are no animal's name nor near to one, where the
        text claims that others are there: the tagger is then wrong more often than the lexicon ("warts" in "a toad, warts and all").
    """
    mentions: list[Mention] = []
    for span in spans:
        mention = _as_mention(text, span, names)
        if mentions and _describes(mentions[-1], mention, text, names):
            mentions.pop()
        mentions.append(mention)
    named = [mention for mention in mentions if mention.kinds or names.is_listed(mention.text) or names.is_near(mention.text)]
    if any(mention.claim in (Claim.PRESENT, Claim.EITHER) for mention in named):
        mentions = named
    return tuple(_in_context(mention, mentions) for mention in mentions)


def _as_mention(text: str, span: Span, names: Names) -> Mention:
    name = names.without_own_name(text[span.start : span.end])
    return Mention(name, span.start, span.start + len(name), span.claim, tuple(sorted(names.kinds(name))), names.suggestion(name))


def _describes(before: Mention, mention: Mention, text: str, names: Names) -> bool:
    """Whether what was read as a mention is but an adjective of the next one, or its own name."""
    if before.claim != mention.claim or not mention.kinds or names.is_listed(before.text):
        return False
    between = text[before.end : mention.start]
    return not between.strip(" -") or bool(_is_own_name(before, text) and INTRODUCED.fullmatch(between))


def _is_own_name(mention: Mention, text: str) -> bool:
    """Whether a mention that nobody knows is written as people write names; where all is in capitals it cannot be told."""
    return not mention.kinds and not text.isupper() and all(word[0].isupper() for word in mention.text.split())


def _in_context(mention: Mention, mentions: Sequence[Mention]) -> Mention:
    """Take a denied young or sex for that of an animal that the text says is there: where a lioness has no cubs, no lion's are meant."""
    if mention.claim is not Claim.ABSENT or (YOUNG | SEXES).isdisjoint(singulars(fold(mention.text))):
        return mention
    there = [other for other in mentions if other.claim is Claim.PRESENT and other.kinds and set(other.kinds) < set(mention.kinds)]
    return replace(mention, kinds=tuple(sorted({kind for other in there for kind in other.kinds}))) if there else mention
