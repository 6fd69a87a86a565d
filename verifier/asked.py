"""What presences say of a kind that a text speaks of. Pure functions, no files, no models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animal_cls.calibration import Calibration, fit_logistic, log_odds

# Log-odds of the presence of another animal (0.62 and 0.92 as probabilities) between which it more and more takes the place of the one
# asked for. Below, pictures without any animal would be taken for one that is hardly seen; above, photos that do show both would suffer.
HINTED, PLAIN = 0.5, 2.5


@dataclass(frozen=True)
class Asked:
    """From what a picture shows to the probability, 0..1, that it shows a kind of which a text speaks.

    Presences are calibrated on pictures of which few show any one kind, but what a text names is there about as often as not. And most
    pictures show one animal: where nothing else is seen a faint dog may well be one, beside a plain wolf it hardly is.

    Attributes:
        scale: of the log-odds of the kind's presence.
        shift: added to them.
        rival: what is taken away where another animal is plainly seen.
    """

    scale: float = 1.0
    shift: float = 0.0
    rival: float = 0.0

    def probability(self, evidence: NDArray[np.float64], rivals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities 0..1, of the shape of both.

        Args:
            evidence: log-odds of the presence of each kind.
            rivals: log-odds of the presence of the likeliest animal that would be seen in its place.
        """
        return Calibration().presence(self.scale * evidence + self.shift - self.rival * in_place(rivals))


def in_place(rivals: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far rivals of such log-odds take the place of what is asked for: 0 of one that is hardly seen, 1 of one that plainly is."""
    return np.clip((rivals - HINTED) / (PLAIN - HINTED), 0.0, 1.0)


def fit_asked(presence: NDArray[np.float64], rivals: NDArray[np.float64], right: NDArray[np.bool_]) -> Asked:
    """Fit it to M claims, of one kind each, by maximum likelihood; where others speak for a kind they count nothing.

    Args:
        presence: (M,) calibrated presences, 0..1, of the kind that each claim says is there.
        rivals: (M,) of the likeliest other kind in its picture.
        right: (M,) whether the claim is right.
    """
    evidence = log_odds(presence)
    (scale, rival), shift = fit_logistic(np.stack([evidence, -in_place(log_odds(rivals))], axis=1), right)
    if rival < 0:
        (scale,), shift = fit_logistic(evidence[:, None], right)
    return Asked(scale, shift, max(rival, 0.0))
