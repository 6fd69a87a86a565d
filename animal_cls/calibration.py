"""From logits to calibrated presences: Platt scaling shared by all classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SMALLEST = 1e-6  # probabilities nearer to 0 or 1 than this are taken as this near


@dataclass(frozen=True)
class Calibration:
    """Presence is sigmoid(scale * logit + shift)."""

    scale: float = 1.0
    shift: float = 0.0

    def presence(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Presences 0..1 of logits, of the same shape."""
        z = np.clip(self.scale * logits.astype(np.float64) + self.shift, -50.0, 50.0)
        return np.asarray(1.0 / (1.0 + np.exp(-z)), dtype=np.float64)


def log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits of probabilities 0..1, of the same shape; finite, for certainties too."""
    p = np.clip(probability, SMALLEST, 1.0 - SMALLEST)
    return np.asarray(np.log(p / (1.0 - p)), dtype=np.float64)


def fit_calibration(logits: NDArray[np.floating], shown: NDArray[np.bool_]) -> Calibration:
    """Fit scale and shift by maximum likelihood, all classes pooled; the scale is never negative, as a larger logit never says less.

    Args:
        logits: (N, K) of validation pictures.
        shown: (N, K), whether the picture shows the class.
    """
    (scale,), shift = fit_logistic(logits.reshape(-1, 1).astype(np.float64), shown.ravel())
    if scale < 0:
        _, shift = fit_logistic(np.zeros((shown.size, 1)), shown.ravel())
    return Calibration(max(scale, 0.0), shift)


def fit_logistic(features: NDArray[np.float64], right: NDArray[np.bool_], *, steps: int = 50) -> tuple[tuple[float, ...], float]:
    """Fit a logistic regression by maximum likelihood (Newton's method).

    The targets are Platt's, which keep a finite optimum on separable data: (n+ + 1) / (n+ + 2) and 1 / (n- + 2) (J. Platt,
    "Probabilistic Outputs for Support Vector Machines", 1999).

    Args:
        features: (M, F).
        right: (M,), what is to be told from them.
        steps: most Newton steps.

    Returns:
        The weights of the F features, and the intercept.
    """
    x = np.concatenate([features.T, np.ones((1, len(features)))])
    positives = int(right.sum())
    target = np.where(right, (positives + 1) / (positives + 2), 1 / (right.size - positives + 2))
    weights = np.eye(len(x))[0]

    def cost(w: NDArray[np.float64]) -> float:
        z = w @ x
        return float(np.sum(np.logaddexp(0.0, z) - target * z))

    for _ in range(steps):
        p = 1.0 / (1.0 + np.exp(-np.clip(weights @ x, -50.0, 50.0)))
        gradient = x @ (p - target)
        hessian = (x * (p * (1 - p))) @ x.T + 1e-9 * np.eye(len(x))
        step = np.linalg.solve(hessian, gradient)
        step /= max(1.0, float(np.abs(step).max()))  # where sigmoids are flat, a whole Newton step leaps far too far
        size = 1.0
        while size > 1e-6 and cost(weights - size * step) > cost(weights):
            size /= 2
        weights = weights - size * step
        if np.abs(size * step).max() < 1e-8:
            break
    *scales, intercept = weights.tolist()
    return tuple(scales), intercept
