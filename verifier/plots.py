"""Figures of an evaluation. The only part of the package that needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from verifier.scores import BINS, Numbers, Truths, plausible_share, reliability, risk_coverage

MOST_CONFUSIONS = 30


def plot_risk_coverage(right: Truths, sure: Numbers, controls: Mapping[str, float]) -> Figure:
    """Share of wrong answers among the surest ones, for every share that is answered.

    Args:
        right: (N,) whether each answer is right.
        sure: (N,) how sure each is.
        controls: share of wrong answers of the rules that answer everything, by name.
    """
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(*risk_coverage(right, sure), label="decision, least sure refused", clip_on=False, zorder=3)
    for (name, risk), marker in zip(controls.items(), "os^Dv", strict=False):
        axes.plot([1.0], [risk], marker, label=name, clip_on=False)
    axes.set(xlabel="share of the pairs that is answered", ylabel="share of the answers that is wrong", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def plot_reliability(truth: Truths, probability: Numbers, *, threshold: float) -> Figure:
    """Share of true claims against their probability, in bins of equal width, and how many claims each bin holds.

    Args:
        truth: (N,) whether each claim is true.
        probability: (N,) of truth, 0..1.
        threshold: probability from which answers are true.
    """
    mean, share, count = reliability(truth, probability)
    figure = Figure(figsize=(6, 7), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="grey", linestyle="--", label="as it should be")
    low, high = plausible_share(share, count)
    error = np.clip([share - low, high - share], 0, None)  # at 0 and 1 an end is the share itself, but for rounding
    upper.errorbar(mean, share, yerr=error, marker="o", capsize=3, clip_on=False, label="share true, 95% interval")
    upper.set(ylabel="share of the claims that is true", xlim=(0, 1), ylim=(-0.02, 1.02))
    lower.hist([probability[truth], probability[~truth]], bins=BINS, range=(0, 1), stacked=True, label=["true", "false"])
    lower.set(xlabel="probability of truth", ylabel="claims")
    for axes in (upper, lower):
        axes.axvline(threshold, color="black", linestyle=":", label="threshold")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    return figure


def plot_confusions(confusions: Sequence[tuple[str, str, int]]) -> Figure:
    """The most frequent confusions as bars.

    Args:
        confusions: (label, what it was taken for, number of pictures), most frequent first.
    """
    most = confusions[:MOST_CONFUSIONS]
    figure = Figure(figsize=(7, 1.2 + 0.24 * len(most)), layout="constrained")
    axes = figure.subplots()
    places = range(len(most))
    axes.barh(places, [count for _, _, count in most])
    axes.set_yticks(places, [f"{label} taken for {kind}" for label, kind, _ in most])
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("pictures")
    axes.grid(axis="x", alpha=0.3)
    return figure
