import numpy as np
import pytest

from animal_cls.calibration import log_odds
from verifier.asked import Asked
from verifier.validation import calibrate, claims_probability, fit_reading, fit_seen_from, fit_threshold, fit_to_claims, simulate_claims


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


def logits_of(named, sure, *, kinds=4):
    """Logits of a classifier that gives so much to the kinds that it names, and as little to the others."""
    return np.where(named[:, None] == np.arange(kinds), sure[:, None], -np.abs(sure)[:, None]).astype(np.float32)


@pytest.mark.parametrize("wrong", [(), (7,)])
def test_presences_tell_kinds_apart_when_hardly_a_picture_was_mistaken(wrong):
    labels = np.arange(60) % 4
    named, sure = labels.copy(), np.linspace(2, 5, 60)
    for picture in wrong:
        named[picture] = (labels[picture] + 1) % 4
        sure[picture] = 9  # the surest of all
    logits = logits_of(named, sure)
    presence = calibrate(logits, labels).presence(logits)
    right = np.setdiff1d(np.arange(60), wrong)
    assert presence[right, labels[right]].min() > 0.7
    assert presence[right, (labels[right] + 2) % 4].max() < 0.3


def test_presences_of_likeliest_kinds_are_as_often_right_as_they_say():
    chance = np.random.default_rng(0)
    labels, sure = chance.integers(0, 4, 4000), chance.uniform(0.1, 5, 4000)
    named = np.where(chance.random(4000) < 1 / (1 + np.exp(-sure)), labels, (labels + 1) % 4)
    logits = 2 * logits_of(named, sure)
    found = calibrate(logits, labels)
    assert (found.scale, found.shift) == (pytest.approx(0.5, abs=0.05), pytest.approx(0, abs=0.15))


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
