"""Sentences on two sides: what a tagger has learnt by heart tells nothing of how it reads others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from animal_ner.sentences import Sentence, SentenceError
from animal_ner.text import plain


def same(text: str) -> str:
    r"""A text without what makes no difference to a reader: case, white space, and which quotes were typed.

    Example:
        >>> same("There\u2019s  a Cat.") == same("there's a cat.")
        True
    """
    return " ".join(plain(text).casefold().split())


def check_apart(sides: Mapping[str, Sequence[Sentence]], files: Mapping[str, Sequence[Path]]) -> None:
    """See that no sentence is on two sides.

    Args:
        sides: sentences by side.
        files: the files of each side, for the message.

    Raises:
        SentenceError: one is; the message names the first by file and line.
    """
    by_text = {side: {same(sentence.text): sentence.text for sentence in sentences} for side, sentences in sides.items()}
    for one, other in combinations(by_text, 2):
        shared = [key for key in by_text[other] if key in by_text[one]]
        if shared:
            there, here = (_place(files[side], by_text[side][shared[0]]) or "its other texts" for side in (one, other))
            raise SentenceError(
                f"{here}: {by_text[other][shared[0]][:80]!r} is in data.{other} and in data.{one} ({there})"
                + (f", as are {len(shared) - 1:,} more sentences" if len(shared) > 1 else "")
                + "; keep each on one side, or say data.by_heart true if they are meant to be learnt by heart"
            )


def _place(files: Sequence[Path], text: str) -> str:
    """The file and the line of a sentence; "" when it is in none of the files."""
    for file in files:
        with file.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip() and json.loads(line)["text"] == text:
                    return f"{file}, line {number}"
    return ""
