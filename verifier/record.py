"""A verdict as a record of plain values, for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from verifier.decision import Verdict


def verdict_as_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict as one JSON object, probabilities rounded to four digits, with the reason in a sentence as ``explanation``.

    A mention comes with its finding: whether it holds, how probably, its likeliest kind, and what was seen instead. It has a
    ``suggestion`` only when there is one.
    """
    record: dict[str, Any] = _rounded(
        {
            "answer": verdict.answer,
            "probability": verdict.probability,
            "reason": verdict.reason.value,
            "explanation": verdict.reason.sentence,
            "mentions": [
                {key: value for key, value in (asdict(mention) | asdict(finding)).items() if key != "suggestion" or value}
                for mention, finding in zip(verdict.mentions, verdict.findings, strict=True)
            ],
            "animals": [asdict(animal) for animal in verdict.animals],
        }
    )
    return record


def _rounded(value: Any) -> Any:
    match value:
        case float():
            return round(value, 4)
        case dict():
            return {key: _rounded(each) for key, each in value.items()}
        case list() | tuple():
            return [_rounded(each) for each in value]
        case _:
            return value
