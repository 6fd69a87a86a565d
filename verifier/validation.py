"""Fitting what turns probabilities into answers, on validation pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from animal_cls.calibration import Calibration, fit_calibration, log_odds
from animal_ner.tags import Claim
from verifier.asked import Asked, fit_asked
from verifier.decision import Mention, decide

NO_CLASS = -1
FEWEST_MISTAKES = 10  # from which one number can be fitted (ten events a variable: Peduzzi et al., 1996)


def calibrate(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Calibration:
    """Fit what the logit of a picture's likeliest kind says of it: of that kind people ask how sure it is.

    Fitted to all kinds of all pictures, of which nearly none is shown, presences of likeliest kinds were too small: their calibration
    error on the test side was 0.042 in place of 0.025. For claims it is all the same, as ``fit_to_claims`` weighs presences anew. All
    kinds it is where the likeliest ones are hardly ever wrong, and so tell nothing of smaller logits.

    Args:
        logits: (N, K) of validation pictures.
        labels: (N,) index of the kind shown, -1 for none.
    """
    likeliest = logits.argmax(axis=1)
    right = likeliest == labels
    if min(right.sum(), (~right).sum()) >= FEWEST_MISTAKES:
        calibration = fit_calibration(logits[np.arange(len(logits)), likeliest][:, None], right[:, None])
        if calibration.scale > 0:
            return calibration
    return fit_calibration(logits, labels[:, None] == np.arange(logits.shape[1]))


def fit_to_claims(presence: NDArray[np.float64], labels: NDArray[np.int64], *, seed: int) -> Asked:
    """Fit what presences say of a kind that somebody speaks of, on about as many claims that are right as are wrong.

    Of the wrong ones every third is about a kind that looks alike: for a picture of an animal one of the three that its kind is most
    taken for, for a picture without any one of the three that it is most taken for. The others are drawn evenly. Each picture is also put
    beside another one, so that two animals may be there; a kind is then as present as in the picture that shows it more.

    Args:
        presence: (N, K) calibrated presences.
        labels: (N,) index of the kind shown, -1 for none.
        seed: of the kinds that are drawn.
    """
    chance = np.random.default_rng(seed)
    alike = _alike(presence, labels)
    claims: list[tuple[float, float, bool]] = []  # presence of the kind, of its likeliest rival, and whether the kind is there
    for picture, label in enumerate(labels.tolist()):
        wrong = [int(k) for k in chance.choice(presence.shape[1], size=3) if k != label][:2]
        wrong.append(int(chance.choice(_most_alike(presence[picture], label) if label == NO_CLASS else alike[label])))
        claims += _claims_of(presence[picture], [] if label == NO_CLASS else [label] * 3, wrong)
        beside = int(chance.integers(len(labels)))
        both = sorted({label, int(labels[beside])} - {NO_CLASS})
        if len(both) > 1:
            claims += _claims_of(np.maximum(presence[picture], presence[beside]), both, [k for k in wrong if k not in both][-2:])
    kinds, rivals, right = map(np.array, zip(*claims, strict=True))
    return fit_asked(kinds, rivals, right)


def _claims_of(row: NDArray[np.float64], there: Sequence[int], missing: Sequence[int]) -> list[tuple[float, float, bool]]:
    """Presence of the kind, presence of its likeliest rival and truth of claims that name one kind each."""
    first, second = np.argsort(-row)[:2] if len(row) > 1 else (0, 0)
    return [(float(row[k]), float(row[second if k == first else first]), k in there) for k in (*there, *missing)]


def fit_reading(sureness: NDArray[np.float64], right: NDArray[np.bool_]) -> Calibration:
    """Fit what the sureness of a tagging says of it: whether all mentions of the text, and their claims, are right.

    Args:
        sureness: (N,) of the taggings, 0..1.
        right: (N,) whether each is exactly what was annotated.
    """
    return fit_calibration(log_odds(sureness)[:, None], right[:, None])


class SimulatedClaim(NamedTuple):
    """A claim about a validation picture.

    Attributes:
        picture: its row.
        claim: what is said of the kinds.
        kinds: indices of what is named.
        truth: whether it is true of the picture.
    """

    picture: int
    claim: Claim
    kinds: tuple[int, ...]
    truth: bool


def simulate_claims(presence: NDArray[np.float64], labels: NDArray[np.int64], *, seed: int) -> list[SimulatedClaim]:
    """Claims about validation pictures, as many true as false.

    Each picture meets as many true as false claims of each sort: that its own kind, or another one, is PRESENT or ABSENT, or that one
    of two kinds is shown (EITHER). Of the other kinds every third looks alike, as in ``fit_to_claims``.

    Args:
        presence: (N, K) calibrated presences, which say what looks alike.
        labels: (N,) index of the kind shown, -1 for none; pictures without an animal are left out.
        seed: of the other kinds.
    """
    chance = np.random.default_rng(seed)
    kinds = presence.shape[1]
    alike = _alike(presence, labels)
    claims: list[SimulatedClaim] = []
    for picture, label in enumerate(labels.tolist()):
        if label == NO_CLASS:
            continue
        drawn = (label + 1 + chance.choice(kinds - 1, size=2, replace=kinds < 3)) % kinds
        other, another = (int(chance.choice(alike[label])) if chance.random() < 1 / 3 else int(k) for k in drawn)
        claims += [
            SimulatedClaim(picture, Claim.PRESENT, (label,), True),
            SimulatedClaim(picture, Claim.PRESENT, (other,), False),
            SimulatedClaim(picture, Claim.ABSENT, (label,), False),
            SimulatedClaim(picture, Claim.ABSENT, (other,), True),
            SimulatedClaim(picture, Claim.EITHER, (label, other), True),
            SimulatedClaim(picture, Claim.EITHER, (other, another), False),
        ]
    return claims


def claims_probability(claims: Sequence[SimulatedClaim], presence: NDArray[np.float64], *, asked: Asked) -> NDArray[np.float64]:
    """The probability of truth, 0..1, that each of M claims gets: (M,).

    Args:
        claims: about the pictures.
        presence: (N, K) calibrated presences of all pictures.
        asked: as ``fit_to_claims`` gives it.
    """
    rows = [{str(kind): float(value) for kind, value in enumerate(row)} for row in presence]
    return np.array(
        [
            decide(
                mentions=[Mention("", 0, 0, each.claim, (str(kind),)) for kind in each.kinds],
                presence=rows[each.picture],
                asked=asked,
                threshold=0.5,
                seen_from=0.5,
            ).probability
            for each in claims
        ]
    )


def _alike(presence: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[int, list[int]]:
    """For each kind the three others that its pictures are most taken for."""
    return {label: _most_alike(presence[labels == label].mean(axis=0), label) for label in set(labels.tolist()) - {NO_CLASS}}


def _most_alike(presence: NDArray[np.float64], label: int) -> list[int]:
    return [int(k) for k in np.argsort(-presence) if k != label][:3]


def fit_threshold(probability: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """The middle of the thresholds that answer nearly as many claims right as the best one.

    Nearly: within one standard error of its share, as around the best one that share hardly changes and chance chooses. (The rule of one
    standard error: Breiman et al., "Classification and Regression Trees", 1984.)

    Args:
        probability: (M,) of truth, 0..1.
        truth: (M,) whether each claim is true.
    """
    candidates = np.linspace(0.01, 0.99, 99)
    accuracy = np.array([((probability >= candidate) == truth).mean() for candidate in candidates])
    best = accuracy.max()
    near = candidates[accuracy >= best - np.sqrt(best * (1 - best) / len(truth)) - 1e-12]
    return round(float(np.median(near)), 4)


def fit_seen_from(presence: NDArray[np.float64], labels: NDArray[np.int64], *, accepted: float = 0.95) -> float:
    """The largest presence that this share of the pictures with an animal reach.

    Args:
        presence: (N, K) calibrated presences.
        labels: (N,) index of the kind shown, -1 for none.
        accepted: share of the pictures with an animal, 0..1.
    """
    largest = presence[labels != NO_CLASS].max(axis=1)
    return round(float(np.quantile(largest, 1.0 - accepted)), 4)
