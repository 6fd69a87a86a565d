"""Figures of what a classifier says: arrays in, matplotlib figures out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from animal_cls.picture import Pixels

DPI = 100
LONGEST = 22  # characters of a name
RIGHT, WRONG = "#2a6fbb", "#c8402f"


def confusion_figure(counts: NDArray[np.int64], classes: Sequence[str], *, most: int) -> Figure:
    """Draw which classes are taken for which: a row for each label, a column for each answer, colours by share of the row.

    Of more than ``most`` classes it shows the ``most`` confused, those that are taken for each other side by side, and puts all
    others into a last row and column.

    Args:
        counts: (K, K), pictures by label and answer.
        classes: their K names.
        most: most classes to draw.
    """
    names = [short(name) for name in classes]
    title = f"{counts.sum():,} pictures: label (row), answer (column)"
    if len(classes) > most:
        chosen = confused_block(counts, most=most)
        others = np.setdiff1d(np.arange(len(classes)), chosen)
        names = [*(names[k] for k in chosen), f"{len(others)} others"]
        title += f"; the {most} most confused of {len(classes)} classes"
        counts = _merged(counts, chosen, others)
    n = len(names)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right, wrong = np.eye(n, dtype=bool), ~np.eye(n, dtype=bool)
    right[-1, -1] &= len(classes) <= most  # among all others, right and wrong are not told apart
    with _style():
        side = max(1.9 + 0.235 * n, 4.5)
        figure = Figure(figsize=(side, side), dpi=DPI, layout="constrained")
        axes = figure.add_subplot()
        for cells, colours in ((right, "Blues"), (wrong & (counts > 0), "Reds")):
            axes.imshow(np.where(cells, share, np.nan), cmap=colours, vmin=-0.05, vmax=1)
        for row, column in np.argwhere(counts):
            ink = "white" if share[row, column] > 0.6 and (right | wrong)[row, column] else "black"
            text = axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=7, color=ink)
            text.set_in_layout(False)  # laying out hundreds of them takes seconds
        axes.set_xticks(range(n), names, rotation=90)
        axes.set_yticks(range(n), names)
        axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="0.9", linewidth=0.5)
        axes.tick_params(which="both", length=0, labeltop=True)
        axes.set_title(title, fontsize=9)
    return figure


def confused_block(counts: NDArray[np.int64], *, most: int) -> NDArray[np.int64]:
    """The ``most`` classes with the most mistakes in counts (K, K), each followed by the one it is most confused with."""
    mistakes = counts * ~np.eye(len(counts), dtype=bool)
    mistakes = mistakes + mistakes.T
    left = list(np.argsort(-mistakes.sum(axis=1), kind="stable")[:most])
    block = [left.pop(0)]
    while left:
        block.append(left.pop(int(np.argmax(mistakes[block[-1], left]))))
    return np.array(block, dtype=np.int64)


def class_figure(precision: NDArray[np.float64], recall: NDArray[np.float64], names: Sequence[str], *, most: int) -> Figure:
    """Draw precision and recall (K,) of the first ``most`` of some classes as bars, from the top down."""
    n = min(most, len(names))
    rows = np.arange(n)
    with _style():
        figure = Figure(figsize=(7, 1.1 + 0.24 * n), dpi=DPI, layout="constrained")
        axes = figure.add_subplot()
        axes.barh(rows - 0.2, precision[:n], height=0.38, color=RIGHT, label="precision")
        axes.barh(rows + 0.2, recall[:n], height=0.38, color="#e8a33d", label="recall")
        axes.set_yticks(rows, names[:n])
        axes.set_xlim(0, 1)
        axes.set_ylim(n - 0.4, -0.6)
        axes.grid(axis="x", color="0.85", linewidth=0.5)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        figure.legend(loc="outside upper right", ncols=2, frameon=False)
        figure.suptitle(
            f"The {n} worst of {len(names)} classes (pictures)" if n < len(names) else "Classes (pictures), worst first",
            x=0.02,
            ha="left",
            fontsize=9,
        )
    return figure


def reliability_figure(presence: NDArray[np.floating], right: NDArray[np.bool_], *, bins: int) -> Figure:
    """Draw how often the largest presence is right, against how large it is, and how many pictures there are of each size.

    Args:
        presence: (N,) largest presence of each picture, 0..1.
        right: (N,) whether the picture shows that class.
        bins: number of bins of equal width.
    """
    edges = np.linspace(0, 1, bins + 1)
    of = np.clip(np.digitize(presence, edges[1:-1]), 0, bins - 1)
    count = np.bincount(of, minlength=bins)
    said = np.bincount(of, presence, bins) / np.maximum(count, 1)
    held = np.bincount(of, right, bins) / np.maximum(count, 1)
    error = float(np.sum(count * np.abs(said - held)) / max(len(presence), 1))
    with _style():
        figure = Figure(figsize=(5, 5.6), dpi=DPI, layout="constrained")
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        axes.bar(edges[:-1], held, width=1 / bins, align="edge", color=RIGHT, edgecolor="white", label="right, of those")
        axes.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1, label="as right as it is sure")
        axes.plot(said[count > 0], held[count > 0], "o", color=WRONG, markersize=4, label="mean of the bin")
        axes.set(ylim=(0, 1), xlim=(0, 1), ylabel="share that is right")
        axes.legend(loc="upper left", frameon=False)
        axes.set_title(f"{len(presence):,} pictures, ECE {error:.3f}", fontsize=9)
        below.bar(edges[:-1], count, width=1 / bins, align="edge", color="0.6", edgecolor="white")
        below.set(xlabel="largest presence", ylabel="pictures")
    return figure


def picture_grid(pictures: Sequence[Pixels], captions: Sequence[Sequence[str]], *, columns: int = 6) -> Figure:
    """Draw pictures, all (S, S, 3), in rows, each with up to three lines of text above it; at least one."""
    size = pictures[0].shape[0]
    gap, line = size // 10, 13
    head = 3 * line + gap
    rows = -(-len(pictures) // columns)
    canvas = np.full((rows * (size + head), columns * (size + gap), 3), 255, dtype=np.uint8)
    with _style():
        figure = Figure(figsize=(canvas.shape[1] / DPI, canvas.shape[0] / DPI), dpi=DPI)
        axes = figure.add_axes((0, 0, 1, 1))  # one for all: an axes for each takes ten times as long
        for i, (picture, lines) in enumerate(zip(pictures, captions, strict=True)):
            y, x = (i // columns) * (size + head) + head, (i % columns) * (size + gap) + gap // 2
            canvas[y : y + size, x : x + size] = picture
            for up, (text, colour) in enumerate(zip(reversed(lines), ("0.4", WRONG, "black"), strict=False)):
                axes.text(x, y - up * line - 4, text, va="baseline", fontsize=8 if up else 6, color=colour)
        axes.imshow(canvas)
        axes.axis("off")
    return figure


def short(name: str) -> str:
    """A name that fits beside a figure: cut in the middle when it is long."""
    half = LONGEST // 2
    return name if len(name) <= LONGEST else f"{name[:half]}…{name[1 - half :]}"


def _style() -> AbstractContextManager[None]:
    # A $ in a name is a $; each figure says itself how it is laid out.
    return mpl.rc_context({"font.size": 8, "text.parse_math": False, "figure.constrained_layout.use": False, "figure.autolayout": False})


def _merged(counts: NDArray[np.int64], chosen: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    """The counts of the chosen classes, with all others as one more."""
    return np.block(
        [
            [counts[np.ix_(chosen, chosen)], counts[np.ix_(chosen, others)].sum(axis=1, keepdims=True)],
            [counts[np.ix_(others, chosen)].sum(axis=0, keepdims=True), counts[np.ix_(others, others)].sum(keepdims=True)],
        ]
    )
