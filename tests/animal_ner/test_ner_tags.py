"""Tags <-> spans, and the likeliest legal tags."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from animal_ner.tags import OUTSIDE, TAGS, Claim, Span, best_tags, spans_to_tags, sureness, tags_to_spans


@st.composite
def spans_in_a_sequence(draw: st.DrawFn) -> tuple[list[Span], int]:
    """Spans in order that do not overlap (some touch), and the length of the sequence they lie in."""
    spans, at = [], 0
    for gap, width, claim in draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.sampled_from(Claim)), max_size=6)):
        spans.append(Span(at + gap, at + gap + width, claim))
        at += gap + width
    return spans, at + draw(st.integers(0, 3))


def is_legal(tags: list[str]) -> bool:
    return all(not tag.startswith("I") or before[2:] == tag[2:] for before, tag in pairwise([OUTSIDE, *tags]))


@given(spans_in_a_sequence())
def test_spans_to_tags_to_spans_gives_the_same_spans(case: tuple[list[Span], int]) -> None:
    spans, length = case
    tags = spans_to_tags(spans, length)
    assert len(tags) == length
    assert is_legal(tags)
    assert tags_to_spans(tags) == spans


@given(st.lists(st.sampled_from(TAGS), max_size=12))
def test_tags_to_spans_to_tags_gives_the_same_tags_where_they_are_legal(tags: list[str]) -> None:
    spans = tags_to_spans(tags)
    written = spans_to_tags(spans, len(tags))
    assert tags_to_spans(written) == spans
    if is_legal(tags):
        assert written == tags


@given(st.lists(st.sampled_from(TAGS), max_size=12))
def test_every_tag_but_outside_lies_in_one_span_of_its_claim(tags: list[str]) -> None:
    covered = {i: span.claim for span in tags_to_spans(tags) for i in range(span.start, span.end)}
    assert covered == {i: Claim(tag[2:]) for i, tag in enumerate(tags) if tag != OUTSIDE}


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ([], []),
        (["O", "O"], []),
        (["B-PRESENT", "B-PRESENT"], [Span(0, 1, Claim.PRESENT), Span(1, 2, Claim.PRESENT)]),
        (["I-ABSENT", "I-ABSENT"], [Span(0, 2, Claim.ABSENT)]),
        (["B-EITHER", "O", "I-EITHER"], [Span(0, 1, Claim.EITHER), Span(2, 3, Claim.EITHER)]),
        (["B-PRESENT", "I-ABSENT"], [Span(0, 1, Claim.PRESENT), Span(1, 2, Claim.ABSENT)]),
    ],
)
def test_an_inside_tag_that_continues_nothing_begins_a_span(tags: list[str], spans: list[Span]) -> None:
    assert tags_to_spans(tags) == spans


@pytest.mark.parametrize(
    "spans",
    [
        [Span(0, 2, Claim.PRESENT), Span(1, 3, Claim.ABSENT)],
        [Span(0, 2, Claim.PRESENT), Span(0, 2, Claim.PRESENT)],
        [Span(-1, 1, Claim.PRESENT)],
        [Span(3, 5, Claim.PRESENT)],
        [Span(2, 2, Claim.PRESENT)],
        [Span(3, 1, Claim.PRESENT)],
    ],
)
def test_spans_that_overlap_or_lie_outside_are_refused(spans: list[Span]) -> None:
    with pytest.raises(ValueError, match=r"span -?\d+\.\.\d+ overlaps another one or lies outside the 4 words"):
        spans_to_tags(spans, 4)


def test_every_claim_has_its_two_tags_and_outside_comes_first() -> None:
    assert TAGS[0] == OUTSIDE
    assert set(TAGS[1:]) == {f"{prefix}-{claim.value}" for claim in Claim for prefix in "BI"}


@given(arrays(np.float32, st.tuples(st.integers(0, 8), st.just(len(TAGS))), elements=st.floats(-30, 30, width=32)))
def test_best_tags_are_always_legal_one_for_each_word(logits: np.ndarray) -> None:
    tags = best_tags(logits)
    assert len(tags) == len(logits)
    assert is_legal(tags)


@given(arrays(np.float32, (3, len(TAGS)), elements=st.floats(-5, 5, width=32)))
def test_no_legal_tags_are_likelier_than_the_best_tags(logits: np.ndarray) -> None:
    def total(tags: tuple[str, ...] | list[str]) -> float:
        return float(sum(logits[i, TAGS.index(tag)] for i, tag in enumerate(tags)))

    greatest = max(total(tags) for tags in product(TAGS, repeat=3) if is_legal(list(tags)))
    assert total(best_tags(logits)) == pytest.approx(greatest, abs=1e-4)


@given(st.lists(st.sampled_from(TAGS), max_size=8).filter(is_legal))
def test_certain_logits_of_legal_tags_give_these_tags(tags: list[str]) -> None:
    logits = np.array([[9.0 if tag == wanted else 0.0 for tag in TAGS] for wanted in tags], dtype=np.float32).reshape(-1, len(TAGS))
    assert best_tags(logits) == tags


def test_very_large_logits_stay_finite() -> None:
    logits = np.full((2, len(TAGS)), -1e30, dtype=np.float32)
    logits[:, TAGS.index("B-ABSENT")] = 1e30
    assert best_tags(logits) == ["B-ABSENT", "B-ABSENT"]


def test_a_text_is_as_sure_as_its_least_sure_word() -> None:
    logits = np.full((3, len(TAGS)), -20.0, dtype=np.float32)
    logits[:, 0] = [9.0, 0.0, 9.0]
    logits[1, 1] = np.log(3.0)
    assert sureness(logits, best_tags(logits)) == pytest.approx(0.75, abs=1e-3)
    assert sureness(logits, ["O", "O", "O"]) == pytest.approx(0.25, abs=1e-3)
    assert sureness(logits[:0], []) == 1.0
