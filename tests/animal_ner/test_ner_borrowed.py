"""Annotated lines of text files that the package does not carry."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from animal_ner import borrowed
from animal_ner.borrowed import SIDES, main, read_borrowed
from animal_ner.data import SentenceDataModule
from animal_ner.sentences import Sentence, SentenceError, read_sentences
from animal_ner.tags import Claim, Span

TEXTS = Path(__file__).parents[3] / "shared" / "text"
LINES = ("A cat on a mat.", "  Is that a dog?  ", "Two men and a bus")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a text file of which a table annotates three lines."""
    (tmp_path / "lines.txt").write_text("\n".join(LINES) + "\n", encoding="utf-8")
    marks = ("2-5:PRESENT", "10-13:PRESENT", "")
    sides = ("train", "test", "train")
    rows = [
        ["lines.txt", str(number), str(zlib.crc32(line.strip().encode())), side, "caption", mark]
        for number, (line, side, mark) in enumerate(zip(LINES, sides, marks, strict=True), start=1)
    ]
    monkeypatch.setattr(borrowed, "_rows", lambda: rows)
    return tmp_path


def test_lines_come_back_with_their_mentions_side_by_side(folder):
    assert read_borrowed(folder, "train") == [Sentence("A cat on a mat.", (Span(2, 5, Claim.PRESENT),)), Sentence("Two men and a bus")]
    assert read_borrowed(folder, "test") == [Sentence("Is that a dog?", (Span(10, 13, Claim.PRESENT),))]


def test_another_version_of_the_file_is_refused_by_its_line(folder):
    (folder / "lines.txt").write_text("A cat on a mat.\nIs that a hog?\n", encoding="utf-8")
    with pytest.raises(SentenceError, match=r"lines\.txt, line 2: not the line that was annotated"):
        read_borrowed(folder, "test")
    with pytest.raises(SentenceError, match=r"lines\.txt, line 3: not the line"):
        read_borrowed(folder, "train")


def test_a_file_that_is_not_there_is_named(folder, capsys):
    (folder / "lines.txt").unlink()
    assert main(["--texts", str(folder), "--output", str(folder / "out.jsonl")]) == 2
    assert "lines.txt: cannot be read" in capsys.readouterr().err
    assert not (folder / "out.jsonl").exists()


def test_the_script_writes_sentences_that_read_back(folder):
    assert main(["--texts", str(folder), "--side", "train", "--output", str(folder / "out.jsonl")]) == 0
    assert read_sentences(folder / "out.jsonl") == read_borrowed(folder, "train")


def test_borrowed_lines_train_and_a_missing_folder_is_left_out_with_a_warning(folder, sentence_file, caplog):
    written = len(read_sentences(sentence_file))
    for where, more in ((folder, 2), (folder / "absent", 0)):
        data = SentenceDataModule(
            train=[str(sentence_file)], val=[str(sentence_file)], generated=0, borrowed=str(where), by_heart=True, batch_size=4
        )
        data.setup("fit")
        assert sum(map(len, data.train_dataloader())) == written + more
    assert "absent: no such folder (data.borrowed)" in caplog.text


@pytest.mark.skipif(not TEXTS.is_dir(), reason="the public text files are not here")
@pytest.mark.parametrize("side", SIDES)
def test_every_line_of_the_table_is_found_in_the_public_files(side):
    sentences = read_borrowed(TEXTS, side)
    assert len(sentences) >= 250
    assert all(0 <= m.start < m.end <= len(s.text) for s in sentences for m in s.mentions)


def test_no_line_both_trains_and_tests():
    lines = [{(row[0], row[1]) for row in borrowed._rows() if row[3] == side} for side in SIDES]
    assert lines[0].isdisjoint(lines[1])
    assert sum(map(len, lines)) == len(borrowed._rows())
