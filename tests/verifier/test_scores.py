import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torchmetrics.functional.classification import (
    binary_accuracy,
    binary_auroc,
    binary_calibration_error,
    binary_recall,
    binary_specificity,
)

from verifier.scores import (
    auroc,
    calibration_error,
    interval,
    plausible_share,
    rate,
    reliability,
    resamples,
    risk_coverage,
    score,
    sureness,
)

TRUTH = np.array([True, True, True, False, False])
PROBABILITY = np.array([0.9, 0.8, 0.3, 0.6, 0.1])


@st.composite
def claims(draw):
    count = draw(st.integers(2, 40))
    truth = draw(hnp.arrays(np.bool_, count))
    truth[:2] = True, False  # of either truth at least one
    # Float32 values, since torchmetrics computes in float32, and few of them, so that many are equal; 1.0 has a bin of its own there.
    steps = draw(hnp.arrays(np.int64, count, elements=st.integers(0, 31)))
    return truth, steps / 32


def test_rates_of_a_small_case():
    rates = rate(TRUTH, PROBABILITY >= 0.5)
    assert (rates.pairs, rates.accuracy, rates.true_positive_rate, rates.true_negative_rate) == (5, 3 / 5, 2 / 3, 1 / 2)
    assert rates.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_always_answering_true_scores_one_half():
    assert rate(TRUTH, np.ones(5, dtype=bool)).balanced_accuracy == 0.5


def test_without_true_claims_the_balanced_accuracy_is_the_rate_of_the_false():
    scores = score(TRUTH[3:], PROBABILITY[3:], threshold=0.5)
    assert scores.balanced_accuracy == scores.true_negative_rate == 0.5
    assert np.isnan([scores.true_positive_rate, scores.auroc]).all()


def test_nothing_to_score_is_not_a_number():
    scores = score(TRUTH[:0], PROBABILITY[:0], threshold=0.5)
    assert scores.pairs == 0
    assert np.isnan([value for name, value in vars(scores).items() if name != "pairs"]).all()


@given(claims())
def test_scores_are_those_of_torchmetrics(case):
    truth, probability = case
    p, t = torch.from_numpy(probability.astype(np.float32)), torch.from_numpy(truth.astype(np.int64))
    scores = score(truth, probability, threshold=0.5)
    # torchmetrics answers true above the threshold, the decision from it on.
    answers = torch.from_numpy((probability >= 0.5).astype(np.int64))
    assert scores.accuracy == pytest.approx(binary_accuracy(answers, t).item(), abs=1e-6)
    assert scores.true_positive_rate == pytest.approx(binary_recall(answers, t).item(), abs=1e-6)
    assert scores.true_negative_rate == pytest.approx(binary_specificity(answers, t).item(), abs=1e-6)
    assert scores.auroc == pytest.approx(binary_auroc(p, t).item(), abs=1e-6)
    assert scores.ece == pytest.approx(binary_calibration_error(p, t, n_bins=15, norm="l1").item(), abs=1e-6)


def test_auroc_counts_equal_probabilities_half():
    assert auroc(TRUTH, np.full(5, 0.4)) == 0.5
    assert auroc(TRUTH, PROBABILITY) == pytest.approx(5 / 6)


def test_certainty_that_is_right_has_no_calibration_error():
    assert calibration_error(TRUTH, TRUTH.astype(float)) == 0.0


def test_reliability_leaves_out_empty_bins():
    mean, share, count = reliability(TRUTH, PROBABILITY, bins=2)
    np.testing.assert_allclose(mean, [0.2, 2.3 / 3])
    np.testing.assert_allclose(share, [1 / 2, 2 / 3])
    assert count.tolist() == [2, 3]


def test_refusing_the_least_sure_tenth_leaves_the_other_nine():
    truth = np.ones(10, dtype=bool)
    probability = np.array([0.45, *[0.9] * 9])
    assert score(truth, probability, threshold=0.5).accuracy == 0.9
    assert score(truth, probability, threshold=0.5).selective_accuracy == 1.0


def test_sureness_is_the_distance_from_the_threshold():
    np.testing.assert_allclose(sureness(np.array([0.0, 0.5, 0.9]), threshold=0.55), [0.55, 0.05, 0.35])


def test_risk_falls_as_the_unsure_and_wrong_are_refused():
    coverage, risk = risk_coverage(np.array([False, True, True, False]), np.array([0.1, 0.9, 0.5, 0.3]))
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(risk, [0, 0, 1 / 3, 1 / 2])


@given(claims(), st.randoms(use_true_random=False))
def test_risk_and_coverage_do_not_depend_on_the_order_of_the_claims(case, chance):
    right, sure = case
    order = np.array(chance.sample(range(len(right)), len(right)))
    np.testing.assert_allclose(risk_coverage(right, sure)[1], risk_coverage(right[order], sure[order])[1])


@given(hnp.arrays(np.float64, 5, elements=st.floats(0, 1)), hnp.arrays(np.int64, 5, elements=st.integers(1, 1000)))
def test_a_plausible_share_lies_between_0_and_1_around_the_share_found(share, count):
    low, high = plausible_share(share, count)
    assert (low >= -1e-12).all()
    assert (high <= 1 + 1e-12).all()
    assert (low <= share + 1e-12).all()
    assert (share <= high + 1e-12).all()


def test_pairs_of_one_text_are_drawn_together():
    pairs = 0
    for drawn in resamples(["a", "a", "b", "c"], times=50, seed=0):
        often = np.bincount(drawn, minlength=4)
        assert often[0] == often[1]
        assert often[0] + often[2] + often[3] == 3  # as many texts as there are
        pairs += len(drawn)
    assert 150 < pairs < 250


def test_a_pair_comes_as_often_as_its_text_and_its_picture_do():
    for drawn in resamples(["a", "a", "b", "b"], ["x", "y", "x", "y"], times=50, seed=0):
        ax, ay, bx, by = np.bincount(drawn, minlength=4)
        assert ax * by == ay * bx


def test_resamples_repeat_with_their_seed():
    one, other = ([drawn.tolist() for drawn in resamples(["a", "b", "c"], times=5, seed=3)] for _ in range(2))
    assert one == other


def test_an_interval_holds_the_middle_and_passes_over_what_is_no_number():
    assert interval([*np.linspace(0, 1, 201), float("nan")]) == pytest.approx((0.025, 0.975))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(interval([float("nan")])).all()


def test_intervals_cover_the_share_that_pairs_were_drawn_from():
    """The four pairs of a text are all right or all wrong here; drawn one by one they would cover it too rarely."""
    chance = np.random.default_rng(0)
    texts = [str(i) for i in range(60) for _ in range(4)]
    covered = 0
    for seed in range(100):
        right = np.repeat(chance.random(60) < 0.8, 4)
        low, high = interval([float(right[drawn].mean()) for drawn in resamples(texts, times=200, seed=seed)])
        covered += low <= 0.8 <= high
    assert covered >= 88
