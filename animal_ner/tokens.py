"""From a text to the pieces an encoder reads, and from its logits back to spans of the text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from animal_ner.tags import Claim, Span, best_tags, sureness, tags_to_spans
from animal_ner.text import plain

Ids: TypeAlias = NDArray[np.int64]
Logits: TypeAlias = NDArray[np.float32]

OVERLAP = 24  # words that two neighbouring windows share


@dataclass(frozen=True)
class Words:
    """The words of a text: where each lies (character offsets) and which pieces spell it."""

    offsets: tuple[tuple[int, int], ...]
    pieces: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.offsets)


@dataclass(frozen=True)
class Window:
    """As many words, from ``start``, as the encoder takes at once; ``first[i]`` is where word ``start + i`` begins in ``ids``."""

    ids: tuple[int, ...]
    start: int
    first: tuple[int, ...]


@dataclass(frozen=True)
class Tagging:
    """The mentions of a text, in order, in characters of the text as given, and how sure the tagger is of its least sure word, 0..1."""

    spans: list[Span]
    sureness: float


def split_words(tokenizer: Tokenizer, text: str) -> Words:
    """Split a text into words and their pieces; offsets are those of the text as given."""
    encoding = tokenizer.encode(plain(text), add_special_tokens=False)
    offsets: list[tuple[int, int]] = []
    pieces: list[list[int]] = []
    before = None
    for piece, (start, end), word in zip(encoding.ids, encoding.offsets, encoding.word_ids, strict=True):
        begin = start + len(text[start:end]) - len(text[start:end].lstrip())  # byte-level tokenizers count the space before a word
        if word is not None and word == before:
            offsets[-1] = (offsets[-1][0], max(end, offsets[-1][1]))
            pieces[-1].append(piece)
        elif begin < end:
            offsets.append((begin, end))
            pieces.append([piece])
            before = word
    return Words(tuple(offsets), tuple(tuple(p) for p in pieces))


def windows(tokenizer: Tokenizer, words: Words, size: int) -> Iterator[Window]:
    """Cut words into windows of at most ``size`` pieces, special ones included, that overlap by ``OVERLAP`` words.

    Of long words, of which few fit, half a window overlaps. A word of more pieces than fit (a very long run of letters) is cut to those
    that do.
    """
    special = tokenizer.encode("").ids
    opening, closing = tuple(special[:1]), tuple(special[1:])
    room = size - len(special)
    start = 0
    while start < len(words):
        ids: list[int] = list(opening)
        first: list[int] = []
        end = start
        while end < len(words) and len(ids) - len(opening) + len(words.pieces[end][:room]) <= room:
            first.append(len(ids))
            ids += words.pieces[end][:room]
            end += 1
        yield Window((*ids, *closing), start, tuple(first))
        if end == len(words):
            return
        start = max(end - min(OVERLAP, (end - start) // 2), start + 1)


def pad(rows: Sequence[Window], padding: int) -> tuple[Ids, Ids]:
    """Stack windows into ids and attention mask, both int64 (B, L), padded on the right."""
    length = max(len(row.ids) for row in rows)
    ids = np.full((len(rows), length), padding, dtype=np.int64)
    mask = np.zeros((len(rows), length), dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = row.ids
        mask[i, : len(row.ids)] = 1
    return ids, mask


def padding_id(tokenizer: Tokenizer) -> int:
    """Id of the padding piece; any will do where there is none, as padding is masked."""
    found = tokenizer.token_to_id("[PAD]")
    return 0 if found is None else int(found)


def tag_texts(
    tokenizer: Tokenizer, texts: Sequence[str], score: Callable[[Ids, Ids], Logits], *, size: int, batch_size: int = 32
) -> list[Tagging]:
    """Find the mentions of each text: the one way from texts to spans, for training, checkpoints and the release.

    Args:
        tokenizer: the encoder's.
        texts: any texts; one without words has no span.
        score: maps ids and attention mask, int64 (B, L), to tag logits (B, L, tags).
        size: most pieces the encoder takes at once.
        batch_size: most windows scored at once.

    Returns:
        A tagging for each text.
    """
    words = [split_words(tokenizer, text) for text in texts]
    rows = [(i, window) for i, of_text in enumerate(words) for window in windows(tokenizer, of_text, size)]
    logits: list[dict[int, tuple[int, NDArray[np.float32]]]] = [{} for _ in texts]
    rows.sort(key=lambda row: len(row[1].ids))  # batches of like lengths pad less
    for at in range(0, len(rows), batch_size):
        batch = rows[at : at + batch_size]
        scores = score(*pad([window for _, window in batch], padding_id(tokenizer)))
        for (i, window), values in zip(batch, scores, strict=True):
            for k, piece in enumerate(window.first):
                context = min(k, len(window.first) - 1 - k)  # a word is best judged where most words surround it
                known = logits[i].get(window.start + k)
                if known is None or context > known[0]:
                    logits[i][window.start + k] = (context, values[piece])
    found = []
    for text, of_text, of_words in zip(texts, logits, words, strict=True):
        values = np.array([of_text[k][1] for k in range(len(of_words))], dtype=np.float32)
        tags = best_tags(values)
        spans = [_trim(of_words.offsets[s.start][0], of_words.offsets[s.end - 1][1], s.claim, text) for s in tags_to_spans(tags)]
        found.append(Tagging(spans, sureness(values, tags)))
    return found


def _trim(start: int, end: int, claim: Claim, text: str) -> Span:
    """A span without what is no letter or digit at its ends ("no-[cat]"), if anything is left."""
    letters = [i for i in range(start, end) if text[i].isalnum()]
    return Span(letters[0], letters[-1] + 1, claim) if letters else Span(start, end, claim)
