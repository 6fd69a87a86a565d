"""From texts to pieces and back to spans of the text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from animal_ner.tags import TAGS, Claim, Span
from animal_ner.tokens import OVERLAP, Ids, Logits, Tagging, Window, pad, padding_id, split_words, tag_texts, windows

FIXTURES_STAY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
WORDS = st.lists(
    st.sampled_from(["there", "is", "a", "cat", "dog", "owl", ".", "?", "isn't", "aardvark", "…", "café", "🦊"]), max_size=60
).map(" ".join)


def find_spans(*args, **options):
    return [tagging.spans for tagging in tag_texts(*args, **options)]


def by_number(ids: Ids, mask: Ids) -> Logits:
    """Logits that depend on the piece alone: the same word gets the same tag in every window."""
    logits = np.zeros((*ids.shape, len(TAGS)), dtype=np.float32)
    np.put_along_axis(logits, (ids % len(TAGS))[..., None], 9.0, axis=-1)
    return logits


class FindsCats:
    """Scores that find the piece "cat" as PRESENT; keeps the shapes it was asked for."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.cat = tokenizer.token_to_id("cat")
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, ids: Ids, mask: Ids) -> Logits:
        self.shapes.append(ids.shape)
        assert ids.dtype == mask.dtype == np.int64
        logits = np.zeros((*ids.shape, len(TAGS)), dtype=np.float32)
        logits[..., 0] = 1.0
        logits[..., TAGS.index("B-PRESENT")] = np.where(ids == self.cat, 9.0, 0.0)
        return logits


@FIXTURES_STAY
@given(texts=st.lists(st.text(st.characters(), max_size=40) | WORDS, max_size=4), size=st.integers(4, 40))
def test_spans_lie_in_the_text_in_order_and_hold_visible_characters(tokenizer: Tokenizer, texts: list[str], size: int) -> None:
    found = find_spans(tokenizer, texts, by_number, size=size)
    assert len(found) == len(texts)
    for text, spans in zip(texts, found, strict=True):
        at = 0
        for span in spans:
            assert at <= span.start < span.end <= len(text)
            assert text[span.start : span.end].strip()
            at = span.end


@FIXTURES_STAY
@given(text=st.text(st.characters(), max_size=60))
def test_words_do_not_overlap_and_cut_the_text_at_visible_characters(tokenizer: Tokenizer, text: str) -> None:
    words = split_words(tokenizer, text)
    at = 0
    for (start, end), pieces in zip(words.offsets, words.pieces, strict=True):
        assert at <= start < end <= len(text)
        assert not text[start].isspace()
        assert pieces
        at = end


@FIXTURES_STAY
@given(before=st.text(st.characters(categories=["L", "P", "S", "Zs", "Mn", "Cs"]), max_size=25))
def test_a_word_is_cut_at_its_characters_whatever_stands_before_it(tokenizer: Tokenizer, before: str) -> None:
    text = f"{before} cat."
    start = len(before) + 1
    assert Span(start, start + 3, Claim.PRESENT) in find_spans(tokenizer, [text], FindsCats(tokenizer), size=32)[0]


@pytest.mark.parametrize(
    ("text", "cats"),
    [
        ("There is a cat.", [(11, 14)]),
        ("CAT", [(0, 3)]),
        ("the cat's owl", [(4, 7)]),
        ("the cat\u2019s owl", [(4, 7)]),
        ("a \uff43\uff41\uff54", [(2, 5)]),
        ("\U0001f63a cat\u2026 cat", [(2, 5), (7, 10)]),
        ("owl_cat", [(4, 7)]),
        ("caf\u00e9 cat", [(5, 8)]),
        ("", []),
        ("\n ", []),
    ],
)
def test_a_span_cuts_the_name_out_of_the_text_as_given(tokenizer: Tokenizer, text: str, cats: list[tuple[int, int]]) -> None:
    assert [(s.start, s.end) for s in find_spans(tokenizer, [text], FindsCats(tokenizer), size=32)[0]] == cats


@FIXTURES_STAY
@given(text=WORDS, size=st.integers(4, 40))
def test_windows_cover_every_word_with_no_more_pieces_than_fit(tokenizer: Tokenizer, text: str, size: int) -> None:
    words = split_words(tokenizer, text)
    covered = set()
    for window in windows(tokenizer, words, size):
        assert len(window.ids) <= size
        assert (window.ids[0], window.ids[-1]) == (tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]"))
        for k, piece in enumerate(window.first):
            assert window.ids[piece] == words.pieces[window.start + k][0]
            covered.add(window.start + k)
    assert covered == set(range(len(words)))


@FIXTURES_STAY
@given(text=WORDS, size=st.integers(4, 40))
def test_spans_do_not_depend_on_the_size_of_windows_where_scores_do_not(tokenizer: Tokenizer, text: str, size: int) -> None:
    assert find_spans(tokenizer, [text], by_number, size=size) == find_spans(tokenizer, [text], by_number, size=1000)


def test_neighbouring_windows_share_words(tokenizer: Tokenizer) -> None:
    first, second, *_ = windows(tokenizer, split_words(tokenizer, "cat " * 100), 64)
    assert len(first.first) == 62
    assert second.start == 62 - OVERLAP


def test_a_word_is_judged_in_the_window_where_most_words_surround_it(tokenizer: Tokenizer) -> None:
    def sees_cats_inside(ids: Ids, mask: Ids) -> Logits:
        logits = FindsCats(tokenizer)(ids, mask)
        logits[:, :10, 1:] = 0.0  # blind at the edges of a window
        logits[:, -10:, 1:] = 0.0
        return logits

    text = "dog " * 30 + "cat " * 40 + "dog " * 30
    assert len(find_spans(tokenizer, [text], sees_cats_inside, size=50)[0]) == 40


def test_a_very_long_word_is_cut_and_what_follows_is_still_read(tokenizer: Tokenizer) -> None:
    text = "z" * 90 + " cat"
    assert find_spans(tokenizer, [text], FindsCats(tokenizer), size=16) == [[Span(91, 94, Claim.PRESENT)]]


def test_long_words_make_no_more_than_twice_the_windows_that_hold_them_once(tokenizer: Tokenizer) -> None:
    words = split_words(tokenizer, "qzx" * 5 + (" " + "qzx" * 5) * 999)
    pieces = sum(map(len, words.pieces))
    assert sum(len(window.ids) for window in windows(tokenizer, words, 128)) < 2.5 * pieces


def test_spans_of_many_texts_come_in_the_order_of_the_texts(tokenizer: Tokenizer) -> None:
    texts = ["dog " * (i % 7) + "cat" for i in range(20)]
    scores = FindsCats(tokenizer)
    found = find_spans(tokenizer, texts, scores, size=32, batch_size=3)
    assert [spans[0].start for spans in found] == [4 * (i % 7) for i in range(20)]
    assert max(rows for rows, _ in scores.shapes) <= 3


def test_texts_without_words_are_never_scored(tokenizer: Tokenizer) -> None:
    scores = FindsCats(tokenizer)
    assert tag_texts(tokenizer, ["", " "], scores, size=32) == [Tagging([], 1.0)] * 2
    assert scores.shapes == []


def test_padding_stands_on_the_right_and_is_masked(tokenizer: Tokenizer) -> None:
    ids, mask = pad([Window((5, 6, 7), 0, (1,)), Window((5,), 0, ())], padding_id(tokenizer))
    assert ids.tolist() == [[5, 6, 7], [5, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_a_byte_level_tokenizer_gives_words_without_the_space_before_them() -> None:
    alphabet = {piece: i for i, piece in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(alphabet, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    text = "a cat  dog"
    assert [text[start:end] for start, end in split_words(tokenizer, text).offsets if text[start:end].strip()] == ["a", "cat", "dog"]
    assert padding_id(tokenizer) == 0
