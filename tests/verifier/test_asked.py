"""What presences say of kinds that a text speaks of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_cls.calibration import log_odds
from verifier.asked import HINTED, PLAIN, Asked, fit_asked, in_place

ODDS = st.floats(-14, 14)


@given(ODDS, ODDS, ODDS)
def test_the_likelier_the_kind_and_the_fainter_its_rival_the_likelier_is_the_claim(evidence, rival, more):
    asked = Asked(scale=1.5, shift=2.0, rival=2.0)
    low, high = sorted((rival, more))
    beside_faint, beside_plain = asked.probability(np.array([evidence, evidence]), np.array([low, high]))
    assert beside_plain <= beside_faint
    fainter, plainer = asked.probability(np.array([min(evidence, more), max(evidence, more)]), np.array([rival, rival]))
    assert fainter <= plainer


def test_a_rival_counts_from_where_it_is_hinted_at_to_where_it_is_plain():
    assert in_place(np.array([-np.inf, HINTED, (HINTED + PLAIN) / 2, PLAIN, 9.0])).tolist() == pytest.approx([0, 0, 0.5, 1, 1])


def test_what_another_animal_takes_away_is_learnt_from_claims():
    chance = np.random.default_rng(0)
    evidence, rival = chance.normal(0, 2, 4000), chance.normal(0, 3, 4000)
    right = chance.random(4000) < 1 / (1 + np.exp(-(1.2 * evidence + 0.5 - 3.0 * in_place(rival))))
    asked = fit_asked(*(1 / (1 + np.exp(-odds)) for odds in (evidence, rival)), right)
    assert (asked.scale, asked.shift, asked.rival) == pytest.approx((1.2, 0.5, 3.0), abs=0.4)


def test_certain_presences_are_learnt_from_too():
    presence, rivals = np.array([1.0, 0.0] * 50), np.array([0.0, 1.0] * 50)
    asked = fit_asked(presence, rivals, presence == 1)
    there, missing = asked.probability(log_odds(presence[:2]), log_odds(rivals[:2]))
    assert there > 0.9
    assert missing < 0.1


def test_where_rivals_speak_for_a_kind_they_count_nothing():
    chance = np.random.default_rng(0)
    presence, rivals = chance.random(2000), chance.random(2000)
    asked = fit_asked(presence, rivals, chance.random(2000) < np.where(rivals > 0.8, 0.9, 0.5))
    assert asked.rival == 0
