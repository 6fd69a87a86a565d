"""Annotations of sentences that the package does not carry: which lines of which public text files, and the mentions in them.

The table ``corpus/borrowed.tsv`` holds, for each line: the name of the file, the number of the line (from 1), the CRC-32 of the line, the
side (train or test), the category, and the mentions as ``start-end:CLAIM`` (character offsets, end exclusive), separated by spaces.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from animal_ner.sentences import Sentence, SentenceError, write_sentences
from animal_ner.tags import Claim, Span

TABLE = "corpus/borrowed.tsv"
SIDES = ("train", "test")


def read_borrowed(folder: Path, side: str) -> list[Sentence]:
    """Put the annotated lines of one side together with their texts.

    Args:
        folder: where the text files lie.
        side: ``train`` or ``test``.

    Raises:
        SentenceError: a file is missing, or a line of it is not the one that was annotated.
    """
    rows = [row for row in _rows() if row[3] == side]
    lines = {name: _lines(folder / name) for name in sorted({row[0] for row in rows})}
    return [_sentence(folder / name, lines[name], int(number), int(crc), category, marks) for name, number, crc, _, category, marks in rows]


def borrowed_files(folder: Path) -> list[Path]:
    """The text files in a folder of which the package annotates lines, and the annotations."""
    return [Path(str(resources.files("animal_ner").joinpath(TABLE))), *(folder / name for name in sorted({row[0] for row in _rows()}))]


def is_for_testing(line: str) -> bool:
    """Whether a line of some text file is one that the package annotates for testing."""
    return zlib.crc32(line.strip().encode()) in _tested()


@cache
def _tested() -> frozenset[int]:
    """CRC-32 of the lines of the side test."""
    return frozenset(int(crc) for _, _, crc, side, *_ in _rows() if side == "test")


def _rows() -> list[list[str]]:
    text = resources.files("animal_ner").joinpath(TABLE).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SentenceError(f"{file}: cannot be read ({error}); expected the text file that {TABLE} annotates") from error


def _sentence(file: Path, lines: Sequence[str], number: int, crc: int, category: str, marks: str) -> Sentence:
    text = lines[number - 1].strip() if number <= len(lines) else ""
    if zlib.crc32(text.encode()) != crc:
        raise SentenceError(f"{file}, line {number}: not the line that was annotated; is it another version of the file?")
    return Sentence(text, tuple(_span(mark) for mark in marks.split()), category)


def _span(mark: str) -> Span:
    place, claim = mark.split(":")
    start, end = place.split("-")
    return Span(int(start), int(end), Claim(claim))


def main(args: Sequence[str] | None = None) -> int:
    """Command line of scripts/borrow.py."""
    parser = argparse.ArgumentParser(
        prog="borrow.py", description="Write the annotated lines of public text files as sentences (JSON lines)."
    )
    parser.add_argument("--texts", type=Path, required=True, metavar="DIR", help="folder of coco_captions.txt and vqa_questions.txt")
    parser.add_argument("--side", choices=SIDES, default="test", help="side to write (default: %(default)s)")
    parser.add_argument("--output", type=Path, required=True, metavar="JSONL", help="file to write")
    options = parser.parse_args(args)
    try:
        sentences = read_borrowed(options.texts, options.side)
    except SentenceError as error:
        print(f"borrow: {error}", file=sys.stderr)
        return 2
    write_sentences(options.output, sentences)
    print(f"{options.output}: {len(sentences)} sentences", file=sys.stderr)
    return 0
