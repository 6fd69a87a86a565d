import numpy as np
import pytest

from animal_cls.calibration import log_odds
from verifier.asked import Asked
from verifier.validation import claims_probability, fit_reading, fit_seen_from, fit_threshold, fit_to_claims, simulate_claims


def test_a_perfect_classifier_gets_every_simulated_claim_right():
    labels = np.array([0, 1, 2, -1])
    presence = (labels[:, None] == np.arange(4)).astype(float)
    claims = simulate_claims(presence, labels, seed=0)
    truth = np.array([claim.truth for claim in claims])
    probability = claims_probability(claims, presence, asked=Asked())
    assert len(truth) == 18
    assert truth.mean() == 0.5
    assert ((probability >= 0.5) == truth).all()


def test_simulated_claims_work_with_two_kinds():
    claims = simulate_claims(np.eye(2), np.array([0, 1]), seed=0)
    assert {kind for claim in claims for kind in claim.kinds} == {0, 1}
    assert claims_probability(claims, np.eye(2), asked=Asked()).shape == (12,)


def test_the_threshold_lies_in_the_middle_of_the_gap():
    threshold = fit_threshold(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True]))
    assert threshold == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("seed", range(20))
def test_chance_hardly_moves_the_threshold_of_probabilities_that_are_true(seed):
    chance = np.random.default_rng(seed)
    probability = chance.beta(0.3, 0.3, size=3000)
    assert fit_threshold(probability, chance.random(3000) < probability) == pytest.approx(0.5, abs=0.07)


def test_the_asked_share_of_animals_counts_as_seen():
    presence = np.linspace(0, 1, 101)[:, None]
    assert fit_seen_from(presence, np.zeros(101, dtype=int), accepted=0.9) == pytest.approx(0.1)


def test_a_small_presence_counts_for_more_once_somebody_speaks_of_it_but_not_for_truth():
    chance = np.random.default_rng(0)
    labels = np.repeat(np.arange(20), 30)
    shown = labels[:, None] == np.arange(20)
    presence = np.clip(np.where(shown, chance.beta(4, 1, shown.shape), chance.beta(0.3, 12, shown.shape)), 1e-4, 1 - 1e-4)
    asked = fit_to_claims(presence, labels, seed=0)
    half = 1 / (1 + np.exp(asked.shift / asked.scale))
    assert 0.05 < half < 0.5


def test_a_sure_tagging_is_likely_to_be_right_as_often_as_such_ones_were():
    chance = np.random.default_rng(0)
    sureness = chance.uniform(0.3, 1.0, 2000)
    right = chance.random(2000) < 0.5 + 0.45 * (sureness > 0.6)
    reading = fit_reading(sureness, right)
    certainty = reading.presence(log_odds(sureness))
    assert certainty[sureness > 0.6].mean() == pytest.approx(0.95, abs=0.05)
    assert certainty[sureness < 0.6].mean() == pytest.approx(0.5, abs=0.15)
