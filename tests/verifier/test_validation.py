import numpy as np
import pytest

from verifier.validation import fit_seen_from, fit_threshold, simulated_claims


def test_a_perfect_classifier_gets_every_simulated_claim_right():
    labels = np.array([0, 1, 2, -1])
    presence = (labels[:, None] == np.arange(4)).astype(float)
    probability, truth = simulated_claims(presence, labels, prior=0.2, seed=0)
    assert len(truth) == 18
    assert truth.mean() == 0.5
    assert ((probability >= 0.5) == truth).all()


def test_simulated_claims_work_with_two_kinds():
    probability, truth = simulated_claims(np.eye(2), np.array([0, 1]), prior=0.5, seed=0)
    assert probability.shape == truth.shape


def test_the_threshold_lies_in_the_middle_of_the_gap():
    threshold = fit_threshold(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True]))
    assert threshold == pytest.approx(0.5, abs=0.02)


def test_the_asked_share_of_animals_counts_as_seen():
    presence = np.linspace(0, 1, 101)[:, None]
    assert fit_seen_from(presence, np.zeros(101, dtype=int), accepted=0.9) == pytest.approx(0.1)
