"""What the scores of an evaluation count, and what they leave out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from animal_cls.data import NO_CLASS
from animal_cls.metrics import BothAmongThree, false_positive_rate, picture_scores


def scores(logits, labels):
    collection = picture_scores(len(logits[0]))
    collection.update(torch.tensor(logits), torch.tensor(labels))
    return {name: float(value) for name, value in collection.compute().items()}


def test_pictures_of_no_animal_count_for_the_presence_and_not_for_the_accuracies():
    animals = [[9.0, -9.0], [-9.0, 9.0], [9.0, -9.0]]
    some = scores(animals, [0, 1, 1])
    more = scores([*animals, [9.0, -9.0]], [0, 1, 1, NO_CLASS])
    assert set(some) == {"top1", "top5", "macro_f1", "ece"}
    assert set(more) == set(some) | {"animal_auroc", "animal_fpr95"}
    assert some["top1"] == more["top1"] == pytest.approx(2 / 3)
    assert some["macro_f1"] == more["macro_f1"]
    assert some["ece"] == pytest.approx(1 / 3, abs=1e-3)
    assert more["ece"] == pytest.approx(1 / 2, abs=1e-3)


def test_a_side_without_any_animal_has_no_roc_curve():
    assert set(scores([[0.0, 1.0]], [NO_CLASS])) == {"top1", "top5", "macro_f1", "ece"}


def test_animals_that_are_all_surer_than_the_others_are_told_apart():
    apart = scores([[3.0, -5.0], [-5.0, 2.0], [-1.0, -2.0]], [0, 1, NO_CLASS])
    assert (apart["animal_auroc"], apart["animal_fpr95"]) == (1.0, 0.0)
    mixed = scores([[3.0, -5.0], [-5.0, -2.0], [-1.0, -2.0]], [0, 1, NO_CLASS])
    assert (mixed["animal_auroc"], mixed["animal_fpr95"]) == (0.5, 1.0)


def test_scores_do_not_depend_on_the_batches():
    torch.manual_seed(0)
    logits, labels = torch.randn(40, 5), torch.randint(NO_CLASS, 5, (40,))
    whole, parts = picture_scores(5), picture_scores(5)
    whole.update(logits, labels)
    for chunk in range(0, 40, 7):
        parts.update(logits[chunk : chunk + 7], labels[chunk : chunk + 7])
    for name, value in whole.compute().items():
        torch.testing.assert_close(parts.compute()[name], value)


def test_logits_that_are_no_numbers_break_nothing():
    broken = picture_scores(3)
    broken.update(torch.full((4, 3), torch.nan), torch.tensor([0, 1, 2, NO_CLASS]))
    assert 0 <= float(broken.compute()["top1"]) <= 1


@given(
    positives=st.lists(st.integers(0, 20), min_size=1, max_size=60),
    negatives=st.lists(st.integers(0, 20), min_size=1, max_size=60),
)
def test_the_false_positive_rate_is_that_of_the_strictest_threshold_that_accepts_enough(positives, negatives):
    rates = [
        sum(n >= threshold for n in negatives) / len(negatives)
        for threshold in positives
        if sum(p >= threshold for p in positives) >= 0.95 * len(positives) - 1e-6
    ]
    values = torch.tensor([*positives, *negatives]) / 20
    rate = false_positive_rate(values, torch.tensor([1] * len(positives) + [0] * len(negatives)))
    assert float(rate) == pytest.approx(min(rates), abs=1e-6)


def test_a_picture_of_two_kinds_counts_when_its_three_likeliest_hold_both():
    metric = BothAmongThree()
    assert metric.compute().isnan()
    shown = torch.tensor([[1.0, 1.0, 0.0, 0.0, 0.0]])
    metric.update(torch.tensor([[3.0, 1.0, 2.0, 0.0, 0.0]]), shown)
    assert metric.compute() == 1.0
    metric.update(torch.tensor([[4.0, 0.0, 2.0, 3.0, 1.0]]), shown)
    assert metric.compute() == 0.5


def test_of_two_classes_both_are_always_among_three():
    metric = BothAmongThree()
    metric.update(torch.randn(4, 2), torch.ones(4, 2))
    assert metric.compute() == 1.0
