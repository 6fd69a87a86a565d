"""The decision: from what a text claims and what a picture shows to a verdict. Pure functions, no files, no models."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import permutations
from types import MappingProxyType

import numpy as np

from animal_cls.calibration import log_odds
from animal_ner.names import fold, singulars
from animal_ner.tags import Claim
from verifier.asked import Asked

UNKNOWN = ""  # among the kinds that a text speaks of: any animal outside the vocabulary
LOOKS = 1.5  # log-odds that an animal lends the kinds it is taken for; chosen on validation pictures
NONE_ALIKE: Mapping[str, Collection[str]] = MappingProxyType({})


class InputError(ValueError):
    """Input that cannot be verified; the message names what was wrong and what would be right."""


@dataclass(frozen=True)
class Mention:
    """An animal that a text names: what it says, where (character offsets, ``end`` exclusive), its claim and its kinds.

    ``kinds`` are in alphabetical order; none means an animal outside the vocabulary. ``suggestion`` is the everyday name that may be
    meant by a name that nobody knows, and empty otherwise.
    """

    text: str
    start: int
    end: int
    claim: Claim
    kinds: tuple[str, ...]
    suggestion: str = ""


@dataclass(frozen=True)
class Reading:
    """What was read in a text.

    Attributes:
        mentions: the animals that it names, in reading order.
        certainty: probability, 0..1, that these are the mentions with their claims, and all of them.
        foreign: whether the text is in a language that the release does not read, so that nothing was read.
    """

    mentions: tuple[Mention, ...]
    certainty: float
    foreign: bool = False


@dataclass(frozen=True)
class Animal:
    """A kind with the calibrated probability, 0..1, that the picture shows it."""

    kind: str
    probability: float


@dataclass(frozen=True)
class Finding:
    """What a picture says of one mention.

    Attributes:
        holds: whether what the mention claims holds; None if it claims nothing that can be told. In a false answer to a claim at least the
            least likely one does not hold, even if each of several seems likely enough by itself.
        probability: that it holds, 0..1, alternatives taken together; None where ``holds`` is. An animal outside the vocabulary never
            gets enough to be confirmed, nor so much that its denial fails.
        likeliest: of the kinds that the mention may mean, the likeliest one in the picture; None for an animal outside the vocabulary.
        instead: animals seen in place of the one that should be in the picture and is not, likeliest first.
    """

    holds: bool | None
    probability: float | None
    likeliest: Animal | None
    instead: tuple[Animal, ...]


class Reason(StrEnum):
    """Why a verdict is as it is."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    DENIED_ANIMAL_SEEN = "denied animal in the picture"
    NO_CLAIM = "no claim in the text"
    FOREIGN = "text in another language"
    UNKNOWN_ANIMAL = "unknown animal"
    NO_ANIMAL_SEEN = "no known animal in the picture"

    @property
    def sentence(self) -> str:
        """The reason in words for people."""
        return _SENTENCES[self]


_SENTENCES = {
    Reason.AGREES: "What the text says agrees with the picture.",
    Reason.DISAGREES: "The picture does not show an animal that the text says it shows.",
    Reason.DENIED_ANIMAL_SEEN: "The picture shows an animal that the text says it does not show.",
    Reason.NO_CLAIM: "The text claims nothing about animals in the picture.",
    Reason.FOREIGN: "The text is in a language that this release does not read.",
    Reason.UNKNOWN_ANIMAL: "The text names an animal that this release does not know.",
    Reason.NO_ANIMAL_SEEN: "No animal that this release knows was seen in the picture.",
}


@dataclass(frozen=True)
class Verdict:
    """The answer to a text and a picture.

    Attributes:
        answer: whether what the text says about the animals in the picture is true.
        probability: that it is true, 0..1.
        reason: the rule that settled it.
        mentions: what the text says, in reading order.
        findings: what the picture says of each mention, in the same order.
        animals: what the picture shows, likeliest first.
    """

    answer: bool
    probability: float
    reason: Reason
    mentions: tuple[Mention, ...]
    findings: tuple[Finding, ...]
    animals: tuple[Animal, ...]


def decide(
    *,
    mentions: Sequence[Mention],
    presence: Mapping[str, float],
    asked: Asked,
    threshold: float,
    seen_from: float,
    certainty: float = 1.0,
    foreign: bool = False,
    alike: Mapping[str, Collection[str]] = NONE_ALIKE,
    shown: int = 5,
) -> Verdict:
    """Tell whether what the mentions claim holds for a picture.

    PRESENT mentions must all be shown, ABSENT ones must all be missing, and of the EITHER ones at least one must be shown. Kinds are
    taken as independent given the picture, so that the probabilities of these conditions multiply; a condition that another one
    implies counts once, and a kind that is denied satisfies nothing. Sorts of one kind are not told apart, so that "a hen, not a rooster"
    asks for a chicken and no more. Kinds that look alike lend each other presence, which counts where a text sets one against the other,
    and an animal outside the vocabulary cannot be seen, only guessed at: it makes an answer less sure and never turns it (``weigh_all``).

    Args:
        mentions: what the text says, in reading order; may be empty.
        presence: calibrated probability 0..1 that the picture shows each kind, for every kind of the release.
        asked: what presences say of a kind that somebody speaks of; fitted on claims about validation pictures.
        threshold: probability of truth, 0..1, from which the answer is true; fitted on validation pairs.
        seen_from: presence, 0..1, from which an animal counts as seen in reason and findings; the answer does not depend on it.
        certainty: probability, 0..1, that the mentions are what the text says. What is true of a text that was misread is open: the less
            certain the reading, the nearer lies the probability of truth to the threshold. The answer does not depend on it.
        foreign: whether the text is in a language that is not read; what it says is open, and its answer false.
        alike: for each kind those that look like it; a kind that is missing looks like none.
        shown: number of animals, likeliest first, that the verdict lists.

    Returns:
        The verdict, with the first rule that settled it as its reason.

    Raises:
        InputError: a mention names a kind that ``presence`` lacks.
    """
    unsearched = {kind for mention in mentions for kind in mention.kinds} - presence.keys()
    if unsearched:
        raise InputError(f"mentions name kinds that the picture was not searched for: {', '.join(sorted(unsearched))}")
    animals = _likeliest(presence, presence)[:shown]

    wanted, denied = conditions(mentions)
    weights = weigh_all(wanted, denied, presence, asked=asked, alike=alike, threshold=threshold)

    def verdict(probability: float, reason: Reason) -> Verdict:
        answer = reason is Reason.AGREES
        seen = [animal for animal in animals if animal.probability >= seen_from]
        findings = _find(mentions, presence, weights, threshold=threshold, seen=seen, answer=answer)
        probability = threshold + certainty * (probability - threshold)
        return Verdict(answer, probability, reason, tuple(mentions), findings, animals)

    # 1. A text that claims nothing is not true of any picture; of one that could not be read all is open.
    if all(mention.claim is Claim.MENTIONED for mention in mentions):
        return verdict(math.nextafter(threshold, 0.0), Reason.FOREIGN) if foreign else verdict(0.0, Reason.NO_CLAIM)

    lacks = 1.0 - weigh(denied, weights)
    truth = lacks * math.prod(weigh(kinds - denied, weights) for kinds in wanted)

    # 2. What must be shown cannot be confirmed when the release does not know what it looks like. An unknown alternative leaves it to
    #    the others.
    if {UNKNOWN} in wanted:
        return verdict(truth, Reason.UNKNOWN_ANIMAL)
    # 3. All conditions hold together surely enough. An unknown animal that is denied may be there, but is no reason to say so.
    if truth >= threshold:
        doubt = weights[UNKNOWN] if any(_is_unknown(mention) for mention in _claimed(mentions, Claim.ABSENT)) else 0.0
        return verdict(max(threshold, truth * (1.0 - doubt)), Reason.AGREES)
    # 4. Otherwise the weakest condition says why.
    if lacks <= min((weigh(kinds, weights) for kinds in wanted), default=1.0):
        return verdict(truth, Reason.DENIED_ANIMAL_SEEN)
    if max(presence.values(), default=0.0) < seen_from:
        return verdict(truth, Reason.NO_ANIMAL_SEEN)
    return verdict(truth, Reason.DISAGREES)


def conditions(mentions: Sequence[Mention]) -> tuple[frozenset[frozenset[str]], frozenset[str]]:
    """What a text asks of a picture.

    Args:
        mentions: what the text says, in reading order. An ABSENT one is no condition if a PRESENT one has the same kinds by another name,
            "a horse but no foal": taken at its word it would deny what the text says is there, and what it means is a sort of it.

    Returns:
        Sets of kinds of each of which the picture must show one, and the kinds of which it must show none. A set that holds another
        one is left out: a picture that meets the narrower meets it too. ``UNKNOWN`` stands in a set for what is outside the vocabulary;
        it is not among what must not be shown, since nothing can be told of it.
    """
    wanted = {_meant(mention) for mention in _claimed(mentions, Claim.PRESENT)}
    if either := _claimed(mentions, Claim.EITHER):
        wanted.add(frozenset().union(*map(_meant, either)))
    denials = [mention for mention in _claimed(mentions, Claim.ABSENT) if not _denies_a_sort(mention, mentions)]
    denied = frozenset(kind for mention in denials for kind in mention.kinds)
    return frozenset(kinds for kinds in wanted if not any(_narrower(other, kinds) for other in wanted)), denied


def _narrower(kinds: frozenset[str], than: frozenset[str]) -> bool:
    """Whether a picture that meets the one set meets the other; an unknown alternative leaves that to the others."""
    known = kinds - {UNKNOWN}
    return kinds != than and bool(known) and known < than


def weigh_all(
    wanted: Collection[frozenset[str]],
    denied: frozenset[str],
    presence: Mapping[str, float],
    *,
    asked: Asked,
    alike: Mapping[str, Collection[str]],
    threshold: float,
) -> dict[str, float]:
    """Probability 0..1 that a picture shows each kind, if a text asks these conditions of it.

    A cheetah is always something of a leopard too. So of kinds that look alike and that a text sets against each other, "a cheetah and
    a leopard", "a cheetah, not a leopard", all but the likeliest must be seen more plainly, by ``LOOKS``. A picture may show both: of 114
    pairs of look-alikes side by side, 75% are confirmed (83% without this), and of 1,620 that name the one animal of a picture and a
    look-alike, 0.7% (4.4%; ``scripts/evaluate.py --two-animals 400`` on validation). Whether it was one view of a picture that showed
    both, or two, is not known here.

    An animal that is plainly seen stands against each kind (see ``Asked``) but those of the same condition: an owl that is plainly seen
    is a bird.

    Of the kinds that a text names, about every second is there. So of what the likeliest known kind leaves, an unknown animal
    (``UNKNOWN``) gets about half: the largest part with which neither its claim is confirmed nor its denial fails. A known kind that the
    text says is there beside it takes nothing from it: "a cat and a mouse" are two, and a cat that is seen says nothing of the mouse.

    Args:
        wanted: sets of kinds of each of which one must be shown, as ``conditions`` gives them.
        denied: kinds of which none must be shown.
        presence: calibrated probability 0..1 of each kind.
        asked: from what a picture shows to the probability that it shows a kind of which a text speaks.
        alike: for each kind those that look like it.
        threshold: probability of truth, 0..1, from which an answer is true.
    """
    outdone = _outdone([*wanted, denied], presence, alike)
    evidence = log_odds(np.array(list(presence.values()))) - LOOKS * np.array([kind in outdone for kind in presence])
    likeliest_others = _rivals([*wanted, denied], presence)
    rivals = log_odds(np.array([likeliest_others.get(kind, 0.0) for kind in presence]))
    weights = dict(zip(presence, asked.probability(evidence, rivals).tolist(), strict=True))
    beside = frozenset().union(*wanted) if {UNKNOWN} in wanted else frozenset()
    unrivalled = asked.probability(evidence, np.full_like(rivals, -np.inf)).tolist()
    likeliest = max((weight for kind, weight in zip(presence, unrivalled, strict=True) if kind not in beside), default=0.0)
    half = min(math.nextafter(threshold, 0.0), 1.0 - threshold)
    return weights | {UNKNOWN: half * (1.0 - likeliest)}


def _rivals(conditions: Collection[frozenset[str]], presence: Mapping[str, float]) -> dict[str, float]:
    """For each kind that conditions name the presence of the likeliest one outside these; 0 if there is none."""
    ranked = sorted(presence, key=presence.__getitem__, reverse=True)

    def rival(kind: str) -> float:
        own = frozenset().union(*(condition for condition in conditions if kind in condition))
        return next((presence[other] for other in ranked if other not in own), 0.0)

    return {kind: rival(kind) for kind in frozenset().union(*conditions)}


def _outdone(conditions: Iterable[frozenset[str]], presence: Mapping[str, float], alike: Mapping[str, Collection[str]]) -> set[str]:
    """Kinds of a condition that are less present than a look-alike in another one, if no one animal can meet both."""
    return {
        kind
        for one, other in permutations(conditions, 2)
        if one.isdisjoint(other)
        for kind in one
        if any(presence[rival] > presence[kind] for rival in other.intersection(alike.get(kind, ())))
    }


def weigh(kinds: Collection[str], weights: Mapping[str, float]) -> float:
    """Probability 0..1 that a picture shows one of some kinds of which a text speaks.

    A group is as likely as its likeliest kind: kinds that look alike share one animal's presence between them, and the small presences
    of many kinds that are not there must not add up to an animal. So a group is never less likely than a part of it.

    Args:
        kinds: the kinds of which one is enough; with none the probability is 0.
        weights: of each kind, as ``weigh_all`` gives them.
    """
    return max((weights[kind] for kind in kinds), default=0.0)


def _find(
    mentions: Sequence[Mention],
    presence: Mapping[str, float],
    weights: Mapping[str, float],
    *,
    threshold: float,
    seen: Sequence[Animal],
    answer: bool,
) -> tuple[Finding, ...]:
    """What a picture says of each mention, given the animals seen in it and the answer to all mentions together."""
    alternatives = frozenset().union(*map(_meant, _claimed(mentions, Claim.EITHER)))
    meant = [alternatives if mention.claim is Claim.EITHER else _meant(mention) for mention in mentions]
    probabilities = [
        None if mention.claim is Claim.ABSENT and _denies_a_sort(mention, mentions) else _holds(mention.claim, weigh(kinds, weights))
        for mention, kinds in zip(mentions, meant, strict=True)
    ]
    no_reason = [mention.claim is Claim.ABSENT and _is_unknown(mention) for mention in mentions]
    weakest = min((p for p, none in zip(probabilities, no_reason, strict=True) if p is not None and not none), default=1.0)
    findings = []
    for mention, kinds, probability, none in zip(mentions, meant, probabilities, no_reason, strict=True):
        holds = None if probability is None else probability >= threshold and (answer or none or probability > weakest)
        missed = holds is False and mention.claim is not Claim.ABSENT
        instead = tuple(animal for animal in seen if missed and animal.kind not in kinds)
        findings.append(Finding(holds, probability, next(iter(_likeliest(mention.kinds, presence)), None), instead))
    return tuple(findings)


def _denies_a_sort(denial: Mention, mentions: Sequence[Mention]) -> bool:
    """Whether a denied animal is, by its kinds, one that the text says is there, and by its name another."""
    there = [mention for mention in _claimed(mentions, Claim.PRESENT) if mention.kinds and mention.kinds == denial.kinds]
    return bool(there) and not any(_same_name(denial.text, mention.text) for mention in there)


def _same_name(one: str, other: str) -> bool:
    """Whether two names are the same but for case and number."""
    return not set(singulars(fold(one))).isdisjoint(singulars(fold(other)))


def _meant(mention: Mention) -> frozenset[str]:
    """The kinds of which a mention speaks."""
    return frozenset({UNKNOWN} if _is_unknown(mention) else mention.kinds)


def _is_unknown(mention: Mention) -> bool:
    return not mention.kinds


def _holds(claim: Claim, shown: float) -> float | None:
    """Probability that a claim holds of kinds that are shown with a probability; None for a mention without a claim."""
    match claim:
        case Claim.PRESENT | Claim.EITHER:
            return shown
        case Claim.ABSENT:
            return 1.0 - shown
        case Claim.MENTIONED:
            return None


def _likeliest(kinds: Iterable[str], presence: Mapping[str, float]) -> tuple[Animal, ...]:
    """Kinds as animals, likeliest first."""
    return tuple(Animal(kind, presence[kind]) for kind in sorted(kinds, key=lambda kind: (-presence[kind], kind)))


def _claimed(mentions: Sequence[Mention], claim: Claim) -> list[Mention]:
    return [mention for mention in mentions if mention.claim == claim]
