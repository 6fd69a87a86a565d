"""Sweeps over a configuration, and the finders of a rate and a batch size."""

from __future__ import annotations

import csv
import math
import re
import sys
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch import LightningModule, Trainer
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from torch.utils.data import DataLoader

from verifier.sweep import Found, RateFinder, Search, SweepError, main, open_study, parse_range, read_space, results, sweep

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    """A folder where a stray file is seen, and no arguments of pytest's own."""
    monkeypatch.setattr(sys, "argv", ["sweep"])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def tagger(encoder_folder, sentence_file, tiny_trainer):
    """Flags of a fit of a second."""
    return [
        f"--config={ROOT / 'configs' / 'animal_ner' / 'minilm.yaml'}",
        f"--model.encoder={encoder_folder}",
        "--model.window=32",
        *(f"--data.{side}=[{sentence_file}]" for side in ("train", "val")),
        "--data.by_heart=true",
        "--data.generated=0",
        "--data.drawn=0",
        "--data.borrowed=null",
        "--data.by_heart=true",
        *tiny_trainer,
    ]


def refused(capsys, *args) -> str:
    assert main(list(args)) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("sweep: ")]
    assert len(lines) == 1
    assert captured.out == ""
    return lines[0]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("log:1e-5:1e-3", FloatDistribution(1e-5, 1e-3, log=True)),
        ("0:0.5", FloatDistribution(0, 0.5)),
        ("int:1:8", IntDistribution(1, 8)),
        ("0.1,0.3", CategoricalDistribution(("0.1", "0.3"))),
        ("resnet50", CategoricalDistribution(("resnet50",))),
    ],
)
def test_a_range_is_read(text, values):
    assert parse_range(text) == values


@pytest.mark.parametrize("text", ["", "log:1", "log:0:1", "log:1e-3:1e-5", "3:1", "a:b", "int:1.5:2", "0.1,,0.3", "1:2:3:4"])
def test_what_is_no_range_is_refused_by_name(text, capsys):
    with pytest.raises(SweepError, match=f"^{re.escape(repr(text) if ':' not in text or text.count(':') > 2 else text)}"):
        parse_range(text)
    assert f"--over model.rate={text}" in refused(capsys, "animal_ner", f"--over=model.rate={text}").replace("'", "")


def test_a_space_is_read_from_yaml_and_flags_come_before_it(tmp_path):
    (tmp_path / "space.yaml").write_text("model.rate: log:1e-5:1e-3\nmodel.dropout: [0.1, 0.3]\n")
    assert read_space(tmp_path / "space.yaml") == {"model.rate": "log:1e-5:1e-3", "model.dropout": "0.1,0.3"}


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot be read"), ("a: [", "cannot be read"), ("", "expected ranges by key"), ("[1]", "expected ranges")]
)
def test_a_file_that_is_no_space_is_named(content, said, tmp_path, capsys):
    if content is not None:
        (tmp_path / "space.yaml").write_text(content)
    line = refused(capsys, "animal_ner", f"--space={tmp_path / 'space.yaml'}")
    assert f"{tmp_path / 'space.yaml'}: " in line
    assert said in line


def test_a_sweep_fits_with_each_value_and_goes_on_where_it_was(tagger, tmp_path, capsys):
    study = tmp_path / "study.sqlite"
    given = ["animal_ner", *tagger, "--over=model.rate=log:1e-4:1e-2", "--over=model.dropout=0.1,0.3", f"--study={study}"]
    assert main([*given, "--trials=2"]) == 0
    first = capsys.readouterr().out.splitlines()
    assert first[0].split() == ["trial", "val/f1", "validations", "end", "model.rate", "model.dropout", "run"]
    assert len(first) == 3
    assert main([*given, "--trials=3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4

    with study.with_suffix(".csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert sorted(row["trial"] for row in rows) == ["0", "1", "2"]
    values = [float(row["val/f1"]) for row in rows]
    assert values == sorted(values, reverse=True)
    for row in rows:
        config = yaml.safe_load((Path(row["run"]) / "config.yaml").read_text())
        assert config["model"]["rate"] == pytest.approx(float(row["model.rate"]), rel=1e-3)
        assert str(config["model"]["dropout"]) == row["model.dropout"]
    assert [(Path(row["run"]) / "checkpoints" / "best.ckpt").is_file() for row in rows] == [True, False, False]

    line = refused(capsys, *given, "--trials=3", "--trainer.max_epochs=2")
    assert f"{study}: its trials have flags [" in line


def test_what_the_package_refuses_is_one_line(tagger, tmp_path, capsys):
    over = ["--over=model.rate=log:1e-4:1e-2", f"--study={tmp_path / 's.sqlite'}"]
    line = refused(capsys, "animal_ner", *tagger, *over, f"--data.train=[{tmp_path / 'no.jsonl'}]")
    assert f"{tmp_path / 'no.jsonl'}: no such file" in line


def test_what_the_classifier_refuses_is_one_line_too(tmp_path, capsys):
    flags = [f"--data.root={tmp_path / 'photos'}", "--over=model.rate=log:1e-4:1e-2", f"--study={tmp_path / 's.sqlite'}"]
    assert f"{tmp_path / 'photos'}: no such folder" in refused(capsys, "animal_cls", *flags)


def test_a_metric_that_is_not_logged_is_named_with_those_that_are(tagger, tmp_path, capsys):
    over = ["--over=model.rate=log:1e-4:1e-2", f"--study={tmp_path / 's.sqlite'}", "--metric=val/auc"]
    assert re.search(r"--metric val/auc: validation does not log it; it logs .*val/f1, ", refused(capsys, "animal_ner", *tagger, *over))


@pytest.mark.parametrize(
    ("flags", "said"),
    [([], "--over KEY=RANGE or --space FILE is needed"), (["--over=model.rate"], "--over model.rate: expected KEY=RANGE")],
)
def test_a_sweep_over_nothing_is_refused(flags, said, capsys):
    assert said in refused(capsys, "animal_ner", *flags)


def test_a_file_that_is_no_study_is_refused(tmp_path, capsys):
    (tmp_path / "text.sqlite").write_text("text" * 1000)
    line = refused(capsys, "animal_ner", "--over=model.rate=0:1", f"--study={tmp_path / 'text.sqlite'}")
    assert f"{tmp_path / 'text.sqlite'}: not a study that can be read" in line


class Curve(LightningModule):
    """Scores its value times the number of epochs."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value
        self.layer = torch.nn.Linear(1, 1)
        self.begun = False

    def on_fit_start(self):
        self.begun = True

    def training_step(self, batch, batch_idx):
        assert self.begun
        return (self.layer(batch) - 1).square().mean()

    def validation_step(self, batch, batch_idx):
        self.log("score", self.value * (self.current_epoch + 1))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self):
        return DataLoader(torch.ones(4, 1))

    def val_dataloader(self):
        return DataLoader(torch.ones(1, 1))


def trainer(callbacks=(), **settings):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(accelerator="cpu", callbacks=list(callbacks), **quiet, **settings)


def score(args, *, callbacks):
    """A command line that fits a curve of the value it is given."""
    assert args[0] == "fit"
    trainer(callbacks, max_epochs=3).fit(Curve(float(args[-1].removeprefix("--value="))))


def searched(tmp_path, run, trials, *, minimize=False):
    search = Search("animal_ner", [], {"value": "0:1"}, "score", minimize)
    study = open_study(tmp_path / "study.sqlite", search, seed=0)
    list(sweep(study, run, search, {"value": FloatDistribution(0, 1)}, trials=trials))
    return results(study, search)[1:]


def test_trials_that_fall_behind_are_stopped(tmp_path):
    rows = searched(tmp_path, score, 9)
    ends = {row[3]: int(row[2]) for row in rows}
    assert ends["complete"] == 3
    assert ends["pruned"] < 3
    complete = [float(row[1]) for row in rows if row[3] == "complete"]
    assert complete[0] == max(complete) == pytest.approx(3 * float(rows[0][4]), rel=1e-3)


def test_the_best_of_a_metric_to_minimize_is_its_smallest(tmp_path):
    rows = searched(tmp_path, score, 3, minimize=True)
    assert [float(row[1]) for row in rows] == sorted(float(row[1]) for row in rows)
    assert float(rows[0][1]) == pytest.approx(float(rows[0][4]), rel=1e-3)


def test_a_trial_without_memory_or_without_a_number_counts_as_stopped(tmp_path):
    def run(args, *, callbacks):
        if args[-1] > "--value=0.6":
            raise torch.OutOfMemoryError
        trainer(callbacks, max_epochs=1).fit(Curve(math.nan))

    rows = searched(tmp_path, run, 4)
    assert {(row[1], row[3]) for row in rows} == {("", "out of memory"), ("", "pruned")}


def test_a_trial_that_is_interrupted_counts_for_nothing(tmp_path):
    def interrupted(args, *, callbacks):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path, interrupted, 1)
    assert [row[3] for row in searched(tmp_path, score, 1)] == ["complete"]


def test_the_rate_is_found_on_a_model_that_has_begun():
    finder = RateFinder()
    with pytest.raises(Found, match=r"^--model\.rate=\d"):
        trainer([finder], max_epochs=50).fit(Curve(1.0))


@pytest.mark.parametrize(
    ("flags", "printed"),
    [
        (["--find=rate", "--trainer.max_epochs=60", "--data.batch_size=8"], r"--model\.rate=[0-9.e+-]+\n"),
        (["--find=batch_size", "--most=8", "--data.batch_size=2"], r"--data\.batch_size=8\n"),
    ],
)
def test_what_is_found_is_printed_as_a_flag_and_nothing_is_left_behind(flags, printed, tagger, here, capsys):
    assert main(["animal_ner", *tagger, *flags]) == 0
    assert re.fullmatch(printed, capsys.readouterr().out)
    assert not list(here.iterdir())
    assert not list(here.parent.rglob("*.ckpt"))
