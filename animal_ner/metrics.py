"""How well predicted spans match the annotated ones: exact span and claim."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from animal_ner.tags import Claim, Span


class SpanScore(Metric):
    """Precision, recall and F1 of exact spans, over all and for each claim.

    A predicted span is right when a target has the same start, end and claim. P = TP / (TP + FP), R = TP / (TP + FN) and
    F1 = 2 TP / (2 TP + FP + FN), counted over all texts (micro average); each is 0 when its denominator is.
    ``span_f1`` counts the spans alone, whatever their claim.
    """

    full_state_update = False
    right: Tensor
    predicted: Tensor
    annotated: Tensor

    def __init__(self) -> None:
        super().__init__()
        rows = len(Claim) + 1  # the last row counts spans alone
        for name in ("right", "predicted", "annotated"):
            self.add_state(name, torch.zeros(rows, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, predicted: Sequence[Sequence[Span]], annotated: Sequence[Sequence[Span]]) -> None:
        """Count the spans of some texts.

        Args:
            predicted: for each text its predicted spans.
            annotated: for each text its annotated spans.
        """
        for mine, theirs in zip(predicted, annotated, strict=True):
            for row, claim in enumerate(Claim):
                found, wanted = ({s for s in spans if s.claim == claim} for spans in (mine, theirs))
                self._count(row, len(found & wanted), len(found), len(wanted))
            places, wanted_places = ({(s.start, s.end) for s in spans} for spans in (mine, theirs))
            self._count(len(Claim), len(places & wanted_places), len(places), len(wanted_places))

    def _count(self, row: int, right: int, predicted: int, annotated: int) -> None:
        self.right[row] += right
        self.predicted[row] += predicted
        self.annotated[row] += annotated

    def compute(self) -> dict[str, Tensor]:
        """Scores 0..1 by name: precision, recall, f1, span_f1, and f1_present, f1_absent, ... for each claim."""
        claims = slice(0, len(Claim))
        right, predicted, annotated = (state[claims].sum() for state in (self.right, self.predicted, self.annotated))
        scores = {
            "precision": _ratio(right, predicted),
            "recall": _ratio(right, annotated),
            "f1": _ratio(2 * right, predicted + annotated),
            "span_f1": _ratio(2 * self.right[-1], self.predicted[-1] + self.annotated[-1]),
        }
        for row, claim in enumerate(Claim):
            scores[f"f1_{claim.lower()}"] = _ratio(2 * self.right[row], self.predicted[row] + self.annotated[row])
        return scores


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return part.float() / whole.clamp(min=1).float()
