"""Runs side by side."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import yaml
from torch.utils.tensorboard import SummaryWriter

from verifier.comparison import aligned, flatten, main, read_run, side_by_side

CHECKPOINT = "lightning.pytorch.callbacks.ModelCheckpoint"


def make_run(folder: Path, *, rate: float, curve: list[float], mode: str = "max", **trainer: object) -> Path:
    """A run as a fit leaves it: its configuration, and a curve of val/f1 with the loss of each step."""
    best = {"class_path": CHECKPOINT, "init_args": {"filename": "best", "monitor": "val/f1", "mode": mode}}
    last = {"class_path": CHECKPOINT, "init_args": {"filename": "last"}}
    folder.mkdir(parents=True)
    config = {"seed_everything": 0, "model": {"rate": rate, "window": 128}, "trainer": {"callbacks": [best, last], **trainer}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with SummaryWriter(str(folder)) as writer:
        for step, value in enumerate(curve):
            writer.add_scalar("val/f1", value, step)
            writer.add_scalar("val/loss", 10 + step, step)
            writer.add_scalar("train/loss", step, step)
            writer.add_scalar("epoch", step, step)
    return folder


def table(capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}


def test_what_differs_and_the_scores_are_shown(tmp_path, capsys):
    runs = [make_run(tmp_path / "a", rate=1e-4, curve=[0.5, 0.7, 0.6]), make_run(tmp_path / "b", rate=2e-4, curve=[0.8])]
    assert main([str(run) for run in runs]) == 0
    assert table(capsys) == {
        str(runs[0]): [str(runs[1])],
        "model.rate": ["0.0001", "0.0002"],
        "epoch": ["1", "0"],
        "val/f1": ["0.7", "0.8"],
        "val/loss": ["11", "10"],
    }


def test_the_scores_are_those_of_the_best_validation_as_the_run_judges(tmp_path):
    run = read_run(make_run(tmp_path / "a", rate=1, curve=[0.5, math.nan, 0.2, 0.6], mode="min"))
    assert run.scores == pytest.approx({"val/f1": 0.2, "val/loss": 12, "epoch": 2})


def test_the_csv_says_what_the_table_says(tmp_path, capsys):
    runs = [make_run(tmp_path / name, rate=i, curve=[i / 4]) for i, name in enumerate("abc")]
    assert main([*map(str, runs), "--csv", str(tmp_path / "new" / "runs.csv")]) == 0
    with (tmp_path / "new" / "runs.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert rows == side_by_side([read_run(run) for run in runs])
    assert capsys.readouterr().out == aligned(rows) + "\n"


def test_a_setting_that_one_run_lacks_differs(tmp_path):
    runs = [make_run(tmp_path / "a", rate=1, curve=[]), make_run(tmp_path / "b", rate=1, curve=[], max_epochs=3)]
    assert side_by_side([read_run(run) for run in runs])[1:] == [["trainer.max_epochs", "-", "3"]]


def test_a_long_setting_is_cut_on_the_screen_alone(tmp_path, capsys):
    runs = [make_run(tmp_path / name, rate=1, curve=[], test_only=[letter * 60]) for name, letter in (("a", "x"), ("b", "y"))]
    assert main([*map(str, runs), "--csv", str(tmp_path / "runs.csv")]) == 0
    assert table(capsys)["trainer.test_only"] == [f'["{letter * 43}...' for letter in "xy"]
    assert "y" * 60 in (tmp_path / "runs.csv").read_text()


def test_callbacks_are_compared_by_their_classes():
    callbacks = [
        {"class_path": CHECKPOINT, "init_args": {"filename": "best"}},
        {"class_path": "animal_cls.averaging.StartCheckpoint"},
        {"class_path": CHECKPOINT, "init_args": {"filename": "last", "dirpath": None}},
    ]
    assert flatten({"trainer": {"callbacks": callbacks, "logger": False}, "data": {"train": ["a.jsonl"], "plain": []}}) == {
        "trainer.callbacks.ModelCheckpoint": "yes",
        "trainer.callbacks.ModelCheckpoint.filename": "best",
        "trainer.callbacks.StartCheckpoint": "yes",
        "trainer.callbacks.ModelCheckpoint_2": "yes",
        "trainer.callbacks.ModelCheckpoint_2.filename": "last",
        "trainer.callbacks.ModelCheckpoint_2.dirpath": "null",
        "trainer.logger": "false",
        "data.train": '["a.jsonl"]',
        "data.plain": "[]",
    }


def test_what_a_refused_fit_left_is_passed_over(tmp_path, capsys):
    good, refused = make_run(tmp_path / "good", rate=1, curve=[0.5]), make_run(tmp_path / "refused", rate=1, curve=[])
    (refused / "config.yaml").unlink()
    assert main([str(good), str(refused)]) == 0
    assert capsys.readouterr().err == f"compare: {refused}: passed over; its fit stopped before it began\n"
    assert main([str(refused)]) == 2
    assert f"{refused}: no run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "no run; a run is a folder that a fit left its config.yaml in (such as runs/"),
        (lambda folder: make_run(folder / "version_0", rate=1, curve=[]), "(there are version_0 in it)"),
        (lambda folder: (folder.mkdir(), (folder / "config.yaml").write_text("a: [")), "config.yaml: cannot be read"),
        (lambda folder: (folder.mkdir(), (folder / "config.yaml").write_text("text")), "config.yaml: not the configuration of a run"),
    ],
)
def test_a_folder_that_is_no_run_is_named(make, said, tmp_path, capsys):
    make(tmp_path / "x")
    good = make_run(tmp_path / "good", rate=1, curve=[0.5])
    assert main([str(good), str(tmp_path / "x")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith(f"compare: {tmp_path / 'x'}")
    assert said in line
