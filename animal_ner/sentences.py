"""Annotated sentences and the files they live in: JSON lines, one object a sentence."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from animal_ner.tags import Claim, Span


class SentenceError(ValueError):
    """A sentence file that cannot be used; the message names the file and the line."""


@dataclass(frozen=True)
class Sentence:
    """A text with its mentions (character offsets, in order, not overlapping) and what sort of construction it is."""

    text: str
    mentions: tuple[Span, ...] = ()
    category: str = field(default="", compare=False)


def read_sentences(file: Path) -> list[Sentence]:
    """Read a file of JSON lines: ``{"text": ..., "mentions": [{"text", "start", "end", "claim"}, ...], "category": ...}``.

    A mention's text must be what lies between its offsets; ``classes`` and ``category`` are optional.

    Raises:
        SentenceError: the file is missing, empty, or a line is wrong; the message says which and why.
    """
    if not file.is_file():
        raise SentenceError(f"{file}: no such file; expected JSON lines with text and mentions")
    sentences = []
    with file.open("rb") as stream:  # bytes, so that a line that is no UTF-8 is refused by its number
        for number, line in enumerate(stream, start=1):
            if line.strip():
                try:
                    sentences.append(_parse(json.loads(line)))
                except (ValueError, TypeError, KeyError) as error:
                    reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
                    raise SentenceError(f"{file}, line {number}: {reason}") from error
    if not sentences:
        raise SentenceError(f"{file}: no sentence in it")
    return sentences


def write_sentences(file: Path, sentences: Iterable[Sentence]) -> None:
    """Write sentences as JSON lines, atomically."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as stream:
        for sentence in sentences:
            stream.write(json.dumps(as_json(sentence), ensure_ascii=False) + "\n")
    temporary.replace(file)


def as_json(sentence: Sentence) -> dict[str, Any]:
    """The object that ``read_sentences`` reads back."""
    mentions = [{"text": sentence.text[m.start : m.end], "start": m.start, "end": m.end, "claim": m.claim.value} for m in sentence.mentions]
    return {"text": sentence.text, "mentions": mentions} | ({"category": sentence.category} if sentence.category else {})


def _parse(record: Any) -> Sentence:
    if not isinstance(record, dict) or not isinstance(record["text"], str):
        raise ValueError("expected an object whose text is a string")
    text = record["text"]
    mentions = []
    for mention in record["mentions"]:
        span = Span(mention["start"], mention["end"], Claim(mention["claim"]))
        if not 0 <= span.start < span.end <= len(text) or text[span.start : span.end] != mention["text"]:
            raise ValueError(f"characters {span.start}..{span.end} of the text are not {mention['text']!r}")
        mentions.append(span)
    mentions.sort()
    if any(one.end > other.start for one, other in pairwise(mentions)):
        raise ValueError("mentions overlap")
    return Sentence(text, tuple(mentions), str(record.get("category", "")))
