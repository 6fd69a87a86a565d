"""How good answers and their probabilities are: pure functions on arrays.

Everywhere ``truth`` (N,) bool says whether each claim is true, and ``probability`` (N,) float in 0..1 how surely it was said to be.
A score that needs true and false claims, or any at all, is NaN without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Truths: TypeAlias = NDArray[np.bool_]
Numbers: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]

BINS = 15  # of equal width, as torchmetrics has them by default
REFUSED = 0.1  # share of the claims, the least sure ones, that selective accuracy leaves out


@dataclass(frozen=True)
class Rates:
    """How often answers are right.

    Attributes:
        pairs: number of claims.
        accuracy: share answered right.
        balanced_accuracy: mean of both rates below; the one there is when the other has no claims.
        true_positive_rate: share of the true claims that were answered true.
        true_negative_rate: share of the false claims that were answered false.
    """

    pairs: int
    accuracy: float
    balanced_accuracy: float
    true_positive_rate: float
    true_negative_rate: float


@dataclass(frozen=True)
class Scores(Rates):
    """How good answers are and the probabilities behind them.

    Attributes:
        auroc: see ``auroc``.
        ece: see ``calibration_error``.
        selective_accuracy: share answered right when the least sure tenth (``REFUSED``) is refused; see ``sureness``.
    """

    auroc: float
    ece: float
    selective_accuracy: float


def rate(truth: Truths, answer: Truths) -> Rates:
    """How often answers (N,) bool are right."""
    right = truth == answer
    positive, negative = _mean(right[truth]), _mean(right[~truth])
    one_sided = positive if np.isnan(negative) else negative
    balanced = one_sided if np.isnan(positive + negative) else (positive + negative) / 2
    return Rates(len(truth), _mean(right), balanced, positive, negative)


def score(truth: Truths, probability: Numbers, *, threshold: float) -> Scores:
    """How good answers are that are true from a threshold of the probability on."""
    answer = probability >= threshold
    _, risk = risk_coverage(truth == answer, sureness(probability, threshold=threshold))
    answered = len(risk) - int(REFUSED * len(risk))
    return Scores(
        **vars(rate(truth, answer)),
        auroc=auroc(truth, probability),
        ece=calibration_error(truth, probability),
        selective_accuracy=1 - float(risk[answered - 1]) if answered else float("nan"),
    )


def auroc(truth: Truths, probability: Numbers) -> float:
    """Chance, 0..1, that a true claim gets a larger probability than a false one; equal ones count half.

    This is the area under the ROC curve (Mann and Whitney, "On a test of whether one of two random variables is stochastically
    larger than the other", 1947).

    Example:
        >>> auroc(np.array([True, False, True, False]), np.array([0.9, 0.4, 0.4, 0.1]))
        0.875
    """
    positives = int(truth.sum())
    if not 0 < positives < len(truth):
        return float("nan")
    _, place, count = np.unique(probability, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    larger = rank[truth].sum() - positives * (positives + 1) / 2
    return float(larger / (positives * (len(truth) - positives)))


def reliability(truth: Truths, probability: Numbers, *, bins: int = BINS) -> tuple[Numbers, Numbers, Indices]:
    """Compare probabilities with what is true, in bins of equal width that hold their lower edge, the last one also its upper.

    Returns:
        Of each bin that is not empty the mean probability, the share of true claims, and the number of claims.
    """
    place = np.minimum((np.digitize(probability, np.linspace(0, 1, bins + 1)) - 1), bins - 1)
    count = np.bincount(place, minlength=bins)
    filled = count > 0
    mean = np.bincount(place, weights=probability, minlength=bins)[filled] / count[filled]
    share = np.bincount(place, weights=truth, minlength=bins)[filled] / count[filled]
    return mean, share, count[filled]


def plausible_share(share: Numbers, count: Indices) -> tuple[Numbers, Numbers]:
    """The ends of 95% intervals of shares (B,) that were found among so many (B,) claims (E. B. Wilson, 1927)."""
    z = 1.96
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return middle - half, middle + half


def calibration_error(truth: Truths, probability: Numbers, *, bins: int = BINS) -> float:
    """Expected calibration error, 0..1, of the probability of truth: sum over bins of n_bin / n * |share true - mean probability|.

    The formula is that of torchmetrics' ``binary_calibration_error`` with ``norm="l1"`` (Naeini et al., "Obtaining Well Calibrated
    Probabilities Using Bayesian Binning", 2015).

    Example:
        >>> calibration_error(np.array([True, True, False, False]), np.array([0.75, 0.75, 0.25, 0.25]))
        0.25
    """
    if not len(truth):
        return float("nan")
    mean, share, count = reliability(truth, probability, bins=bins)
    return float(np.sum(count * np.abs(share - mean)) / len(truth))


def sureness(probability: Numbers, *, threshold: float) -> Numbers:
    """How sure each answer is: the distance of its probability from the threshold."""
    return np.abs(probability - threshold)


def risk_coverage(right: Truths, sure: Numbers) -> tuple[Numbers, Numbers]:
    """What is wrong among what is answered when the least sure answers are refused.

    Args:
        right: (N,) whether each answer is right.
        sure: (N,) how sure each is; what is wrong among equally sure ones counts as evenly spread over them.

    Returns:
        Coverage (N,), rising to 1, and risk (N,), the share of wrong ones among the answered.
    """
    answered = np.arange(1, len(right) + 1)
    _, level, count = np.unique(-sure, return_inverse=True, return_counts=True)
    wrong = np.bincount(level, weights=~right, minlength=len(count))
    risk = np.interp(answered, np.cumsum([0, *count]), np.cumsum([0, *wrong])) / answered
    return answered / max(len(right), 1), risk


def resamples(*clusters: Sequence[str], times: int, seed: int) -> Iterator[Indices]:
    """Draw pairs again as if other texts and pictures had been found: the pigeonhole bootstrap.

    Pairs that share a text or a picture are not independent, so each sort of cluster is drawn anew with repetition, and a pair comes
    as often as all of its clusters do (A. Owen, "The pigeonhole bootstrap", 2007). Intervals are a little too wide rather than too
    narrow.

    Args:
        clusters: for each sort of cluster the name of the cluster that each of N pairs belongs to.
        times: number of draws.
        seed: of the draws.

    Yields:
        Indices of the pairs drawn, about N of them.
    """
    chance = np.random.default_rng(seed)
    numbered = [np.unique(np.asarray(names), return_inverse=True)[1] for names in clusters]
    pairs = len(numbered[0])
    for _ in range(times):
        often = np.ones(pairs, dtype=np.intp)
        for cluster in numbered:
            count = int(cluster.max()) + 1
            often *= np.bincount(chance.integers(count, size=count), minlength=count)[cluster]
        yield np.repeat(np.arange(pairs), often)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The middle 95% of what a figure was in ``resamples``; NaNs are left out.

    A resampled ``calibration_error`` leans upwards, since repeated pairs look like scatter, and so does its interval.
    """
    known = np.array([value for value in values if not np.isnan(value)])
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def _mean(values: Truths) -> float:
    return float(values.mean()) if len(values) else float("nan")
