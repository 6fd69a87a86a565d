"""Calibrated presences are probabilities, keep the order of logits, and undo what made a network too sure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_cls.calibration import Calibration, fit_calibration

logit = st.floats(-1e4, 1e4)


def drawn(seed: int, scale: float, shift: float = 0.0, shape: tuple[int, int] = (4000, 5)):
    """Logits of a network ``scale`` times too sure, and what the pictures show."""
    random = np.random.default_rng(seed)
    true = random.normal(0, 2, shape)
    shown = random.random(shape) < 1 / (1 + np.exp(-true))
    return ((true - shift) * scale).astype(np.float32), shown


@given(a=logit, b=logit, scale=st.floats(0.01, 10), shift=st.floats(-5, 5))
def test_a_higher_logit_never_gives_a_lower_presence(a, b, scale, shift):
    low, high = Calibration(scale, shift).presence(np.array(sorted([a, b])))
    assert 0 <= low <= high <= 1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_presences_are_float64_of_the_shape_of_the_logits(dtype):
    presence = Calibration(2.0, 0.5).presence(np.zeros((2, 3), dtype))
    assert presence.shape == (2, 3)
    assert presence.dtype == np.float64


def test_without_a_fit_presence_is_the_sigmoid():
    np.testing.assert_allclose(Calibration().presence(np.array([-1e9, -1.0, 0.0, 1.0, 1e9])), [0, 0.268941, 0.5, 0.731059, 1], atol=1e-6)


@pytest.mark.parametrize("scale", [3.0, 1.0, 0.5])
def test_a_fit_recovers_by_how_much_logits_are_scaled(scale):
    found = fit_calibration(*drawn(0, scale))
    assert found.scale == pytest.approx(1 / scale, rel=0.05)
    assert found.shift == pytest.approx(0, abs=0.05)


def test_a_fit_recovers_a_shift():
    found = fit_calibration(*drawn(1, 1.0, shift=1.5))
    assert found.scale == pytest.approx(1, rel=0.05)
    assert found.shift == pytest.approx(1.5, abs=0.1)


def test_a_fit_makes_presences_as_frequent_as_they_say():
    logits, shown = drawn(2, 3.0)
    presence = fit_calibration(logits, shown).presence(logits)
    for low in np.arange(0, 1, 0.2):
        inside = (presence >= low) & (presence < low + 0.2)
        assert shown[inside].mean() == pytest.approx(presence[inside].mean(), abs=0.03)


@pytest.mark.parametrize(
    ("logits", "shown"),
    [
        pytest.param([[5.0, -5.0], [-5.0, 5.0]], [[True, False], [False, True]], id="separable"),
        pytest.param([[50.0, -50.0]] * 20, [[True, False]] * 20, id="far apart"),
        pytest.param([[1.0, 2.0]], [[True, True]], id="all shown"),
        pytest.param([[1.0, 2.0]], [[False, False]], id="none shown"),
        pytest.param([[0.0, 0.0]] * 5, [[True, False]] * 5, id="one logit"),
        pytest.param([[3.0]], [[True]], id="one number"),
    ],
)
def test_a_fit_on_few_or_separable_pictures_stays_finite(logits, shown):
    found = fit_calibration(np.array(logits), np.array(shown))
    assert np.isfinite([found.scale, found.shift]).all()
    assert ((found.presence(np.array(logits)) > 0) & (found.presence(np.array(logits)) < 1)).all()


@given(st.lists(st.tuples(st.floats(-20, 20), st.booleans()), min_size=1, max_size=30))
def test_a_fit_never_turns_logits_round(answers):
    logits, shown = (np.array(each)[:, None] for each in zip(*answers, strict=True))
    assert fit_calibration(logits, shown).scale >= 0


def test_logits_that_say_the_contrary_say_nothing():
    found = fit_calibration(np.array([[3.0], [2.0], [1.0], [0.0]]), np.array([[False], [True], [True], [True]]))
    assert found.scale == 0
    assert found.presence(np.zeros(1)) == pytest.approx(0.683, abs=0.001)  # Platt's targets: three times 0.8, once 1/3


@given(seed=st.integers(0, 50), scale=st.floats(0.2, 20))
def test_a_fit_keeps_the_order_of_presences_when_logits_tell_something(seed, scale):
    assert fit_calibration(*drawn(seed, scale, shape=(200, 3))).scale > 0
