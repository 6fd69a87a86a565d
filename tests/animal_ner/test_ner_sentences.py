"""Annotated sentences and their files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from animal_ner.sentences import Sentence, SentenceError, as_json, read_sentences, write_sentences
from animal_ner.tags import Claim, Span

CAT = {"text": "a cat", "mentions": [{"text": "cat", "start": 2, "end": 5, "claim": "PRESENT"}]}
CORPUS = Path(__file__).parents[2] / "animal_ner" / "corpus"


def mention(**changes: Any) -> dict[str, Any]:
    return {"text": "a cat", "mentions": [{**CAT["mentions"][0], **changes}]}  # type: ignore[dict-item]


@st.composite
def any_sentence(draw: st.DrawFn) -> Sentence:
    """A text of unicode with mentions that do not overlap."""
    text = draw(st.text(min_size=1, max_size=30))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    spans = [Span(a, b, draw(st.sampled_from(Claim))) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    return Sentence(text, tuple(spans), draw(st.sampled_from(["", "plain"])))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(any_sentence(), min_size=1, max_size=4))
def test_written_sentences_are_read_back(tmp_path: Path, sentences: list[Sentence]) -> None:
    file = tmp_path / "folder" / "sentences.jsonl"
    write_sentences(file, sentences)
    assert [as_json(s) for s in read_sentences(file)] == [as_json(s) for s in sentences]
    assert [f.name for f in file.parent.iterdir()] == ["sentences.jsonl"]


def test_empty_lines_are_skipped_and_mentions_come_in_order(tmp_path: Path) -> None:
    file = tmp_path / "s.jsonl"
    record = {
        "text": "cat dog",
        "mentions": [{"text": t, "start": s, "end": s + 3, "claim": "EITHER"} for t, s in (("dog", 4), ("cat", 0))],
    }
    file.write_text(f"\n{json.dumps(record)}\n\n")
    assert read_sentences(file) == [Sentence("cat dog", (Span(0, 3, Claim.EITHER), Span(4, 7, Claim.EITHER)))]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "a cat", ', "Expecting property name"),
        ("[1, 2]", "expected an object"),
        ("null", "expected an object"),
        ('{"mentions": []}', "'text' is missing"),
        ('{"text": "a cat"}', "'mentions' is missing"),
        ('{"text": 3, "mentions": []}', "text is a string"),
        ('{"text": "a cat", "mentions": 3}', "not iterable"),
        (json.dumps(mention(start=1)), "characters 1..5 of the text are not 'cat'"),
        (json.dumps(mention(end=99)), "characters 2..99 of the text are not 'cat'"),
        (json.dumps(mention(start=-3, end=5)), "characters -3..5 of the text are not 'cat'"),
        (json.dumps(mention(text="", start=2, end=2)), "characters 2..2"),
        (json.dumps(mention(start="2")), "not supported between"),
        (json.dumps(mention(claim="MAYBE")), "'MAYBE' is not a valid Claim"),
        (json.dumps({"text": "a cat", "mentions": CAT["mentions"] * 2}), "mentions overlap"),
    ],
)
def test_a_wrong_line_is_refused_with_file_line_and_reason(tmp_path: Path, line: str, reason: str) -> None:
    file = tmp_path / "s.jsonl"
    file.write_text(f"{json.dumps(CAT)}\n{line}\n")
    with pytest.raises(SentenceError) as caught:
        read_sentences(file)
    assert str(caught.value).startswith(f"{file}, line 2: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SentenceError, match=r"nowhere\.jsonl: no such file"):
        read_sentences(tmp_path / "nowhere.jsonl")


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_a_sentence_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "s.jsonl").write_text(content)
    with pytest.raises(SentenceError, match=r"s\.jsonl: no sentence in it"):
        read_sentences(tmp_path / "s.jsonl")


def test_a_file_that_is_no_utf8_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_bytes(b'{"text": "caf\xe9", "mentions": []}\n')
    with pytest.raises(SentenceError, match=r"s\.jsonl, line 1: .*utf-8"):
        read_sentences(tmp_path / "s.jsonl")


@pytest.mark.parametrize("side", ["train", "val", "test", "hard"])
def test_the_corpus_can_be_read(side: str) -> None:
    sentences = read_sentences(CORPUS / f"{side}.jsonl")
    assert len(sentences) >= 240
    assert {m.claim for s in sentences for m in s.mentions} == set(Claim)


def test_no_sentence_of_the_corpus_is_in_two_of_its_files() -> None:
    files = [{s.text.casefold() for s in read_sentences(CORPUS / f"{side}.jsonl")} for side in ("train", "val", "test", "hard")]
    assert sum(map(len, files)) == len(set().union(*files))
