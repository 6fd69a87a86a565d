"""The command line, run in this process with the configuration that ships."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from animal_ner.cli import main
from animal_ner.sentences import read_sentences

CONFIG = Path(__file__).parents[2] / "configs" / "animal_ner" / "minilm.yaml"
CAT = "--data.predict_texts=['There is a cat.']"


@pytest.fixture(autouse=True)
def own_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No arguments of pytest's own, and a folder where a stray file is seen."""
    monkeypatch.setattr(sys, "argv", ["animal_ner"])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def flags(encoder: Path, sentences: Path) -> list[str]:
    sides = [f"--data.{side}=[{sentences}]" for side in ("train", "val", "test")]
    return [
        "--config",
        str(CONFIG),
        f"--model.encoder={encoder}",
        "--model.window=32",
        *sides,
        "--data.generated=4",
        "--data.drawn=0",
        "--data.borrowed=null",
        "--data.batch_size=8",
        "--data.by_heart=true",
    ]


@dataclass(frozen=True)
class Run:
    """A finished fit: its flags, its log folder and its checkpoints. The folder of its encoder is gone."""

    flags: list[str]
    log: Path
    best: Path
    last: Path


@pytest.fixture(scope="module")
def fitted(encoder_folder: Path, sentence_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("fitted")
    shutil.copytree(encoder_folder, root / "encoder")
    given = [*flags(root / "encoder", sentence_file), "--trainer.accelerator=cpu", "--trainer.precision=32-true"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["animal_ner"])
        assert main(["fit", *given, "--trainer.max_epochs=1", f"--trainer.logger.init_args.save_dir={root / 'runs'}"]) == 0
    shutil.rmtree(root / "encoder")
    log = root / "runs" / "animal_ner" / "version_0"
    return Run(given, log, log / "checkpoints" / "best.ckpt", log / "checkpoints" / "last.ckpt")


def error_of(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line by which bad input is refused."""
    assert main(args) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("animal_ner: ")]
    assert len(lines) == 1
    assert captured.err.endswith(f"{lines[0]}\n")
    assert "Traceback" not in captured.err
    return lines[0]


def test_a_fit_leaves_its_best_and_last_checkpoint_and_its_configuration(fitted: Run) -> None:
    assert {file.name for file in fitted.best.parent.iterdir()} == {"best.ckpt", "last.ckpt"}
    config = yaml.safe_load((fitted.log / "config.yaml").read_text())
    assert config["model"]["window"] == 32
    assert config["data"]["generated"] == 4


def test_the_checkpoints_of_a_fit_describe_themselves(fitted: Run) -> None:
    for file in (fitted.best, fitted.last):
        content = torch.load(file, weights_only=True)
        assert (content["task"], content["epoch"]) == ("animal_ner", 0)
        assert content["hyper_parameters"]["encoder_config"]["model_type"] == "bert"
        assert content["tags"][0] == "O"
        assert json.loads(content["tokenizer"])["model"]["type"] == "WordPiece"


def test_predict_prints_one_json_object_a_line_and_nothing_else(
    fitted: Run, tiny_trainer: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "texts.txt").write_text("no dog here\n\n\u201cowl\u201d or caf\u00e9 cat? \U0001f989\n", encoding="utf-8")
    given = [CAT, f"--data.predict_file={tmp_path / 'texts.txt'}", f"--ckpt_path={fitted.best}"]
    assert main(["predict", *fitted.flags, *tiny_trainer, *given]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["text"] for r in records] == ["There is a cat.", "no dog here", "", "\u201cowl\u201d or caf\u00e9 cat? \U0001f989"]
    assert [set(r) for r in records] == [{"text", "mentions"}, {"text", "mentions"}, {"text", "error"}, {"text", "mentions"}]
    for record in records:
        for m in record.get("mentions", []):
            assert record["text"][m["start"] : m["end"]] == m["text"] != ""


@pytest.mark.parametrize(
    ("command", "scores"),
    [("validate", {"val/f1", "val/span_f1", "val/f1_absent"}), ("test", {"test/f1", "test/precision", "test_f1/either", "test_f1/plain"})],
)
def test_validate_and_test_log_their_scores(fitted: Run, tiny_trainer: list[str], command: str, scores: set[str], tmp_path: Path) -> None:
    assert main([command, *fitted.flags, *tiny_trainer, f"--ckpt_path={fitted.best}"]) == 0
    (log,) = (tmp_path / "runs").rglob("events.out.tfevents.*")
    events = EventAccumulator(str(log)).Reload()
    assert scores <= set(events.Tags()["scalars"])
    assert all(0 <= event.value <= 1 for name in scores for event in events.Scalars(name))


def test_a_configuration_is_saved_by_fit_alone(fitted: Run, tiny_trainer: list[str], tmp_path: Path) -> None:
    before = (fitted.log / "config.yaml").stat().st_mtime_ns
    for command in ("validate", "predict"):
        assert main([command, *fitted.flags, *tiny_trainer, CAT, f"--ckpt_path={fitted.best}"]) == 0
    assert not list(tmp_path.rglob("config.yaml"))
    assert (fitted.log / "config.yaml").stat().st_mtime_ns == before
    assert not list((tmp_path / "here").iterdir())


def test_a_fit_goes_on_from_its_last_checkpoint_without_its_encoder(fitted: Run, tiny_trainer: list[str], tmp_path: Path) -> None:
    assert main(["fit", *fitted.flags, *tiny_trainer, "--trainer.max_epochs=2", f"--ckpt_path={fitted.last}"]) == 0
    (last,) = tmp_path.rglob("last.ckpt")
    before, after = (torch.load(file, weights_only=True) for file in (fitted.last, last))
    assert (before["epoch"], after["epoch"]) == (0, 1)
    assert after["global_step"] == 2 * before["global_step"]


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_without_a_checkpoint_nothing_is_scored_or_predicted(
    encoder_folder: Path, sentence_file: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{command} needs a trained tagger: --ckpt_path" in error_of([command, *flags(encoder_folder, sentence_file), CAT], capsys)


@pytest.mark.parametrize("command", ["fit", "predict"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such file"),
        (b"nonsense", "not a checkpoint that can be read"),
        ({"task": "animal_cls", "hyper_parameters": {"a": 1}}, "animal_cls"),
    ],
)
def test_a_checkpoint_of_no_tagger_is_refused_by_name(
    encoder_folder: Path,
    sentence_file: Path,
    tmp_path: Path,
    command: str,
    content: object,
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "other.ckpt"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    line = error_of([command, *flags(encoder_folder, sentence_file), CAT, f"--ckpt_path={file}"], capsys)
    assert str(file) in line
    assert reason in line


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, ": no such file"),
        ('{"text": "a cat", \n', ", line 1: Expecting"),
        ('{"text": "a cat", "mentions": [{"text": "cat", "start": 1, "end": 4, "claim": "PRESENT"}]}', ", line 1: characters 1..4"),
        ("", ": no sentence in it"),
    ],
)
def test_a_sentence_file_that_cannot_be_used_is_refused_by_name(
    encoder_folder: Path,
    sentence_file: Path,
    tiny_trainer: list[str],
    tmp_path: Path,
    content: str | None,
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "mine.jsonl"
    if content is not None:
        file.write_text(content)
    assert f"{file}{reason}" in error_of(["fit", *flags(encoder_folder, sentence_file), *tiny_trainer, f"--data.train=[{file}]"], capsys)


def test_an_incomplete_encoder_is_refused_by_name(tmp_path: Path, sentence_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "half").mkdir()
    line = error_of(["fit", *flags(tmp_path / "half", sentence_file)], capsys)
    assert f"{tmp_path / 'half'}: config.json, tokenizer.json, model.safetensors missing" in line


@pytest.mark.parametrize(
    ("given", "named"),
    [([], "no text given"), (["--data.predict_file=nowhere.txt"], "nowhere.txt: cannot be read")],
)
def test_predict_without_a_readable_text_is_refused(
    fitted: Run, tiny_trainer: list[str], given: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert named in error_of(["predict", *fitted.flags, *tiny_trainer, f"--ckpt_path={fitted.best}", *given], capsys)


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["fly"],
        ["fit", "--model.windows=3"],
        ["fit", "--model.windo=3"],
        ["fit", "--config", "nowhere.yaml"],
        ["fit", "--model.window=many"],
    ],
)
def test_wrong_usage_exits_with_2(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(args)
    assert caught.value.code == 2
    assert "error" in capsys.readouterr().err


def test_the_files_of_the_configuration_that_ships_exist() -> None:
    data = yaml.safe_load(CONFIG.read_text())["data"]
    for side in ("train", "val", "test"):
        assert all(read_sentences(CONFIG.parents[2] / file) for file in data[side])
