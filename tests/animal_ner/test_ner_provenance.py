"""The fingerprint of the sentences' files: what changes it, what does not, and who is told."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from animal_ner.data import SentenceDataModule
from animal_ner.module import Tagger
from animal_ner.provenance import PROVENANCE, differing_data, provenance


def told(folder: Path, **contents: str) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    for use, content in contents.items():
        (folder / f"{use}.jsonl").write_text(content)
    return provenance({use: [folder / f"{use}.jsonl"] for use in contents}, dict.fromkeys(contents, 1))


def test_the_place_of_the_files_does_not_matter_but_their_content_and_use_do(tmp_path: Path) -> None:
    first = told(tmp_path / "a", train="x", val="y")
    assert told(tmp_path / "b" / "c", val="y", train="x") == first
    others = [told(tmp_path / "d", train="x", val="z"), told(tmp_path / "e", train="y", val="x"), told(tmp_path / "f", train="x")]
    assert len({one["fingerprint"] for one in [first, *others]}) == 4


def test_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    assert provenance({"plain": [tmp_path / "none.txt"]}, {}) == provenance({}, {})


def test_only_data_that_are_known_to_differ_are_spoken_of(tmp_path: Path) -> None:
    one, other = ({PROVENANCE: told(tmp_path, train=content)} for content in ("x", "y"))
    assert differing_data({"datamodule_hyper_parameters": one}, one) == ""
    assert differing_data({}, one) == differing_data({"datamodule_hyper_parameters": one}, {}) == ""
    assert "sentences were 1 train and are 1 train now, or other texts" in differing_data({"datamodule_hyper_parameters": one}, other)


def test_a_checkpoint_tells_its_sentences_and_a_fit_that_goes_on_with_others_says_so_once(
    encoder_folder: Path, sentence_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = sentence_file.read_text().splitlines(keepends=True)
    (tmp_path / "train.jsonl").write_text("".join(lines[:-1]))
    (tmp_path / "val.jsonl").write_text(lines[-1])

    def fit(epochs: int, checkpoint: Path | None = None) -> Trainer:
        data = SentenceDataModule([str(tmp_path / "train.jsonl")], [str(tmp_path / "val.jsonl")], generated=0, batch_size=8)
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
        trainer = Trainer(accelerator="cpu", max_epochs=epochs, **quiet)  # type: ignore[arg-type]
        trainer.fit(Tagger(str(encoder_folder), window=32), data, ckpt_path=checkpoint, weights_only=True)
        return trainer

    fit(1).save_checkpoint(tmp_path / "first.ckpt")
    hparams = torch.load(tmp_path / "first.ckpt", weights_only=True)["datamodule_hyper_parameters"]
    assert hparams[PROVENANCE]["sentences"] == {"train": len(lines) - 1, "val": 1, "test": 0, "borrowed": 0}
    with caplog.at_level(logging.WARNING, logger="animal_ner"):
        fit(2, tmp_path / "first.ckpt")
        assert "other data" not in caplog.text
        (tmp_path / "train.jsonl").write_text("".join(lines[:-2]))
        fit(2, tmp_path / "first.ckpt")
    said = [record.getMessage() for record in caplog.records if "other data" in record.getMessage()]
    assert len(said) == 1
    assert f"{len(lines) - 1} train, 1 val" in said[0]
    assert f"{len(lines) - 2} train, 1 val" in said[0]
