"""Span scores."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_ner.metrics import SpanScore
from animal_ner.tags import Claim, Span

CAT, DOG, OWL = Span(0, 3, Claim.PRESENT), Span(5, 8, Claim.ABSENT), Span(9, 12, Claim.EITHER)
NOT_CAT = Span(0, 3, Claim.ABSENT)
SPANS = st.lists(
    st.lists(st.builds(Span, st.integers(0, 4), st.integers(5, 8), st.sampled_from(Claim)), unique=True, max_size=4), min_size=1, max_size=4
)


def scores(predicted: list[list[Span]], annotated: list[list[Span]]) -> dict[str, float]:
    score = SpanScore()
    score.update(predicted, annotated)
    return {name: float(value) for name, value in score.compute().items()}


@pytest.mark.parametrize(
    ("predicted", "annotated", "precision", "recall", "f1", "span_f1"),
    [
        ([[CAT, DOG]], [[CAT, DOG]], 1, 1, 1, 1),
        ([[CAT]], [[CAT, DOG]], 1, 1 / 2, 2 / 3, 2 / 3),
        ([[CAT, DOG, OWL]], [[CAT]], 1 / 3, 1, 1 / 2, 1 / 2),
        ([[NOT_CAT]], [[CAT]], 0, 0, 0, 1),
        ([[Span(0, 4, Claim.PRESENT)]], [[CAT]], 0, 0, 0, 0),
        ([[CAT], []], [[], [CAT]], 0, 0, 0, 0),
        ([[]], [[]], 0, 0, 0, 0),
        ([[CAT], [DOG]], [[CAT], [OWL]], 1 / 2, 1 / 2, 1 / 2, 1 / 2),
    ],
)
def test_a_span_is_right_when_place_and_claim_are(
    predicted: list[list[Span]], annotated: list[list[Span]], precision: float, recall: float, f1: float, span_f1: float
) -> None:
    found = scores(predicted, annotated)
    assert (found["precision"], found["recall"], found["f1"], found["span_f1"]) == pytest.approx((precision, recall, f1, span_f1))


def test_each_claim_has_its_own_f1() -> None:
    found = scores([[CAT, NOT_CAT]], [[CAT, DOG]])
    assert {name: value for name, value in found.items() if name.startswith("f1_")} == pytest.approx(
        {"f1_present": 1, "f1_absent": 0, "f1_either": 0, "f1_mentioned": 0}
    )


@given(SPANS)
def test_scores_of_text_after_text_are_those_of_all_at_once(annotated: list[list[Span]]) -> None:
    predicted = [spans[::2] for spans in annotated]
    step = SpanScore()
    for mine, theirs in zip(predicted, annotated, strict=True):
        step.update([mine], [theirs])
    assert {name: float(value) for name, value in step.compute().items()} == pytest.approx(scores(predicted, annotated))


@given(SPANS)
def test_scores_lie_between_0_and_1_and_f1_between_precision_and_recall(annotated: list[list[Span]]) -> None:
    found = scores(annotated[::-1], annotated)
    assert all(0 <= value <= 1 for value in found.values())
    low, high = sorted((found["precision"], found["recall"]))
    assert low - 1e-6 <= found["f1"] <= high + 1e-6


def test_a_reset_forgets() -> None:
    score = SpanScore()
    score.update([[CAT]], [[CAT]])
    score.reset()
    score.update([[]], [[CAT]])
    assert float(score.compute()["precision"]) == 0


def test_texts_without_their_annotation_are_refused() -> None:
    with pytest.raises(ValueError, match="argument"):
        SpanScore().update([[CAT]], [])
