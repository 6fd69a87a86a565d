"""No sentence trains and evaluates, unless that is what is wanted."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_ner.borrowed import is_for_testing, read_borrowed
from animal_ner.cli import main
from animal_ner.data import SentenceDataModule
from animal_ner.leakage import check_apart, same
from animal_ner.sentences import Sentence, SentenceError

CORPUS = Path(__file__).parents[2] / "animal_ner" / "corpus"


def write(file: Path, *texts: str) -> Path:
    file.write_text("\n" + "".join(json.dumps({"text": text, "mentions": []}) + "\n" for text in texts))
    return file


@given(text=st.text(st.characters(codec="ascii"), max_size=30))
def test_case_and_white_space_make_no_other_sentence(text: str) -> None:
    assert same(text.upper()) == same(f"  {text}\t") == same(text)


@pytest.mark.parametrize(("one", "other"), [("It\u2019s a cat", "it's  a CAT"), ("\u201cNo dog\u201d", '"no dog"')])
def test_typed_and_printed_quotes_make_no_other_sentence(one: str, other: str) -> None:
    assert same(one) == same(other)


def test_other_words_or_punctuation_make_another_sentence() -> None:
    assert len({same(text) for text in ("a cat", "a cat.", "a cat?", "the cat")}) == 4


def test_a_shared_sentence_is_named_with_both_files_and_lines(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", "no dog", "There's a cat.", "an owl")
    val = write(tmp_path / "val.jsonl", "an owl", "there\u2019s a CAT.", "a bird")
    with pytest.raises(SentenceError) as caught:
        SentenceDataModule([str(train)], [str(val)], generated=0).setup("fit")
    assert str(caught.value).startswith(f"{val}, line 2: 'an owl' is in data.val and in data.train ({train}, line 4), as are 1 more")
    assert "data.by_heart" in str(caught.value)


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
@pytest.mark.parametrize("sides", [("train", "val"), ("train", "test"), ("val", "test")])
def test_every_stage_looks_at_all_sides_whose_files_are_there(tmp_path: Path, stage: str, sides: tuple[str, str]) -> None:
    files = {
        side: [str(write(tmp_path / f"{side}.jsonl", side, "shared" if side in sides else side * 2))] for side in ("train", "val", "test")
    }
    with pytest.raises(SentenceError, match=rf"data\.{sides[1]} and in data\.{sides[0]}"):
        SentenceDataModule(**files, generated=0).setup(stage)
    SentenceDataModule(**files, generated=0, by_heart=True).setup(stage)
    if stage == "test":  # where only the test file is at hand, it can be tested on
        (tmp_path / "train.jsonl").unlink()
        (tmp_path / "val.jsonl").unlink()
        SentenceDataModule(**files, generated=0).setup(stage)


def test_texts_without_a_file_are_told_apart_too() -> None:
    with pytest.raises(SentenceError, match=r"^its other texts: 'A cat' is in data\.val and in data\.train \(its other texts\)"):
        check_apart({"train": [Sentence("a cat")], "val": [Sentence("A cat")]}, {"train": [], "val": []})


def test_the_corpus_that_ships_has_no_sentence_on_two_sides() -> None:
    for test in ("test", "hard"):
        files = {side: [str(CORPUS / f"{file}.jsonl")] for side, file in (("train", "train"), ("val", "val"), ("test", test))}
        SentenceDataModule(**files).setup("fit")


def test_plain_lines_that_validate_or_test_are_never_drawn(tmp_path: Path) -> None:
    files = {side: [str(write(tmp_path / f"{side}.jsonl", f"a {side} on a shelf"))] for side in ("train", "val", "test")}
    lines = ["A red bus.", "A val  on a shelf", "a test on a shelf"]
    (tmp_path / "captions.txt").write_text("\n".join(lines))
    data = SentenceDataModule(**files, generated=0, plain=[str(tmp_path / "captions.txt")], drawn=2)
    data.setup("fit")
    assert list(data.train_dataloader().dataset.bare) == ["A red bus."]  # type: ignore[attr-defined]


def test_lines_that_the_package_annotates_for_testing_are_known() -> None:
    folder = CORPUS.parents[2] / "shared" / "text"
    assert not is_for_testing("A red bus.")
    if folder.is_dir():
        assert all(is_for_testing(f"{sentence.text} ") for sentence in read_borrowed(folder, "test"))


def test_a_shared_sentence_is_one_line_and_exit_code_2(
    tmp_path: Path, encoder_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["animal_ner"])
    files = [f"--data.{side}=['{write(tmp_path / f'{side}.jsonl', 'a cat')}']" for side in ("train", "val")]
    flags = [
        f"--model.encoder={encoder_folder}",
        "--model.window=32",
        "--data.generated=0",
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
    ]
    assert main(["fit", *flags, *files]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("animal_ner: ")]
    assert "val.jsonl, line 2: 'a cat' is in data.val and in data.train" in line
