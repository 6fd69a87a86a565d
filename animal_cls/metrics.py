"""How well a classifier names the animals of pictures, and tells animals from no animals."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score
from torchmetrics.functional.classification import binary_auroc, binary_calibration_error, binary_specificity_at_sensitivity
from torchmetrics.utilities import dim_zero_cat

from animal_cls.data import NO_CLASS

BINS = 15  # of presences, as in Guo et al., "On Calibration of Modern Neural Networks", 2017


def picture_scores(classes: int, *, prefix: str | None = None, sync_on_compute: bool = True) -> MetricCollection:
    """The scores of an evaluation, updated with logits (B, K) and labels (B,), NO_CLASS where a picture shows none.

    ``top1``, ``top5`` and ``macro_f1`` count the pictures that show a class; the rest is ``LargestPresence``.

    Args:
        classes: number of classes.
        prefix: what each name begins with.
        sync_on_compute: gather the pictures of all processes before computing; all of them must then compute.
    """
    shown: dict[str, Any] = {"ignore_index": NO_CLASS, "sync_on_compute": sync_on_compute}
    return MetricCollection(
        {
            "top1": MulticlassAccuracy(classes, average="micro", **shown),
            "top5": MulticlassAccuracy(classes, average="micro", top_k=min(5, classes), **shown),
            "macro_f1": MulticlassF1Score(classes, average="macro", **shown),
            "largest": LargestPresence(sync_on_compute=sync_on_compute),
        },
        prefix=prefix,
    )


class BothAmongThree(Metric):
    """Share 0..1 of the pictures of two kinds whose three likeliest hold both; NaN without such a picture."""

    full_state_update = False
    found: Tensor
    pictures: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("found", "pictures"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, logits: Tensor, presence: Tensor) -> None:
        """Add some pictures.

        Args:
            logits: (N, K) float.
            presence: (N, K) float, 1.0 for each of the two kinds that a picture shows.
        """
        likeliest = logits.topk(min(3, logits.shape[1])).indices
        self.found += (presence.gather(1, likeliest).sum(1) == 2).sum()
        self.pictures += len(logits)

    def compute(self) -> Tensor:
        """The share, a scalar."""
        return self.found / self.pictures


class LargestPresence(Metric):
    """How far the largest presence of a picture can be trusted.

    ``ece`` is its expected calibration error, sum_b n_b / n |accuracy_b - confidence_b| over 15 bins of equal width: the presence
    is right when the picture shows that class, so never on a picture of no animal. Taken as a score of "there is an animal",
    ``animal_auroc`` is the area under its ROC curve and ``animal_fpr95`` the share of the pictures without an animal that a threshold
    lets through which accepts 95% of the animals (Hendrycks & Gimpel, 2017; Liang et al., 2018); both need pictures of each kind.
    """

    full_state_update = False
    presence: list[Tensor]
    right: list[Tensor]
    shown: list[Tensor]

    def __init__(self, *, sync_on_compute: bool = True) -> None:
        super().__init__(sync_on_compute=sync_on_compute)
        for name in ("presence", "right", "shown"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add some pictures.

        Args:
            logits: (B, K) float.
            labels: (B,) class indices, NO_CLASS where the picture shows none.
        """
        largest, said = logits.sigmoid().max(dim=1)
        self.presence.append(largest)
        self.right.append((said == labels).long())
        self.shown.append((labels != NO_CLASS).long())

    def compute(self) -> dict[str, Tensor]:
        """Scores 0..1 by name: ece and, where there are pictures with and without animals, animal_auroc and animal_fpr95."""
        presence, right, shown = (dim_zero_cat(state) for state in (self.presence, self.right, self.shown))
        scores = {"ece": binary_calibration_error(presence, right, n_bins=BINS)}
        if 0 < shown.sum() < len(shown):
            scores["animal_auroc"] = binary_auroc(presence, shown)
            scores["animal_fpr95"] = false_positive_rate(presence, shown)
        return scores


def false_positive_rate(scores: Tensor, positive: Tensor, *, accepted: float = 0.95) -> Tensor:
    """Share of the negatives that pass the highest threshold which at least ``accepted`` of the positives pass.

    Args:
        scores: (N,) float, 0..1.
        positive: (N,) integer, 1 or 0, both of which occur.
        accepted: share of the positives, 0..1.

    Returns:
        A scalar 0..1.
    """
    specificity, _ = binary_specificity_at_sensitivity(scores, positive, min_sensitivity=accepted)
    return torch.clamp(1 - specificity, 0, 1)
