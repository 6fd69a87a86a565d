"""Figures: what they choose to show, and that no name breaks them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from torchmetrics.functional.classification import binary_calibration_error

from animal_cls.figures import LONGEST, class_figure, confused_block, confusion_figure, picture_grid, reliability_figure, short

NAMES = ["cat", "$x_{", r"a\frac", "a name that is far too long for any figure to show it whole", "_", "%d"]


def drawn(figure):
    """The pixels of a figure (H, W, 3); a warning fails the test."""
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def words(figure):
    return [text.get_text() for axes in figure.axes for text in [axes.title, *axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels()]]


def confused(classes, pairs):
    counts = 5 * np.eye(classes, dtype=np.int64)
    for label, said, number in pairs:
        counts[label, said] += number
    return counts


def test_the_most_confused_classes_are_chosen_and_stand_side_by_side():
    counts = confused(50, [(3, 40, 4), (40, 3, 1), (7, 20, 3), (20, 7, 1), (10, 11, 1)])
    assert confused_block(counts, most=4).tolist() == [3, 40, 7, 20]


@given(st.integers(2, 12), st.integers(1, 12), st.randoms())
def test_the_block_is_of_different_classes_and_of_the_size_asked_for(classes, most, random):
    counts = np.array([[random.randrange(4) for _ in range(classes)] for _ in range(classes)])
    block = confused_block(counts, most=most).tolist()
    assert len(block) == len(set(block)) == min(most, classes)


def test_a_confusion_matrix_counts_every_picture_even_of_classes_it_does_not_show():
    counts = confused(60, [(3, 40, 4), (7, 20, 3), (1, 59, 2)])
    figure = confusion_figure(counts, [f"kind {i}" for i in range(60)], most=5)
    cells = [text.get_text() for text in figure.axes[0].texts]
    assert sum(int(cell) for cell in cells) == counts.sum()
    assert {"kind 3", "kind 40", "kind 7", "kind 20", "55 others"} <= set(words(figure))
    assert drawn(figure).shape[0] < 600


@pytest.mark.parametrize("classes", [2, 6, 117])
def test_a_confusion_matrix_is_large_enough_for_its_labels(classes):
    names = (NAMES * 20)[:classes]
    pixels = drawn(confusion_figure(confused(classes, [(0, 1, 3)]), names, most=40))
    assert min(pixels.shape[:2]) >= 20 * min(classes, 41)


def test_only_the_first_classes_get_bars():
    figure = class_figure(np.linspace(0, 1, 50), np.linspace(0, 1, 50), [f"kind {i}" for i in range(50)], most=8)
    assert [word for word in words(figure) if word.startswith("kind")] == [f"kind {i}" for i in range(8)]
    drawn(figure)
    drawn(class_figure(np.zeros(6), np.ones(6), NAMES, most=8))


BETWEEN_EDGES = st.integers(0, 999).map(lambda i: (i + 0.5) / 1000)  # where rounding puts no presence into another bin


@settings(max_examples=20)
@given(st.lists(st.tuples(BETWEEN_EDGES, st.booleans()), min_size=1, max_size=40))
def test_the_reliability_diagram_tells_the_calibration_error_of_the_metric(answers):
    presence, right = np.array([p for p, _ in answers], dtype=np.float32), np.array([r for _, r in answers])
    error = binary_calibration_error(torch.from_numpy(presence), torch.from_numpy(right).long(), n_bins=15)
    (title,) = [word for word in words(reliability_figure(presence, right, bins=15)) if "ECE" in word]
    assert float(title.split()[-1]) == pytest.approx(float(error), abs=6e-4)


@pytest.mark.parametrize("count", [1, 7])
def test_pictures_stand_in_a_grid_below_their_captions(count):
    red = np.full((60, 60, 3), (255, 0, 0), np.uint8)
    pixels = drawn(picture_grid([red] * count, [NAMES[:3]] * count))
    assert (pixels == (255, 0, 0)).all(axis=2).sum() == pytest.approx(count * 3600, rel=0.1)
    assert pixels.shape[0] > (60 if count == 1 else 120)


@given(st.text())
def test_short_names_stay_and_long_ones_keep_both_ends(name):
    assert len(short(name)) <= LONGEST
    assert short(name) == name or (short(name)[0], short(name)[-1]) == (name[0], name[-1])
