"""What keeps checkpoints whole; both packages have it, since neither may import the other."""

from __future__ import annotations

import os
import signal
from importlib import import_module
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader

ROOT = Path(__file__).parents[1]
PACKAGES = ("animal_ner", "animal_cls")
GONE = 4_194_305  # no process has this number: it is more than Linux gives


@pytest.fixture(params=PACKAGES)
def checkpoints(request):
    return import_module(f"{request.param}.checkpoints")


class Line(LightningModule):
    """Fits a line; in one of its batches a signal arrives."""

    def __init__(self, number=None, at=None):
        super().__init__()
        self.line = nn.Linear(1, 1)
        self.number, self.at = number, at

    def training_step(self, batch, batch_idx):
        if batch_idx == self.at:
            signal.raise_signal(self.number)
        return self.line(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def train_dataloader(self):
        return DataLoader(torch.ones(8, 1))


def fit(callback, folder, model, **options):
    given = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False, "max_epochs": 2}
    Trainer(callbacks=[callback], default_root_dir=folder, **(given | options)).fit(model)


def progress(file):
    """Epoch, batches of it that were trained on, and steps of the optimizer."""
    content = torch.load(file, weights_only=True)
    loops = content["loops"]["fit_loop"]
    return content["epoch"], loops["epoch_loop.batch_progress"]["current"]["processed"], content["global_step"]


@pytest.mark.parametrize("name", ["checkpoints", "launch", "processes", "resuming"])
def test_the_packages_have_the_same(name):
    first, second = ((ROOT / package / f"{name}.py").read_text().replace(package, "PACKAGE") for package in PACKAGES)
    assert first == second


@pytest.mark.parametrize(
    ("accumulated", "at", "stopped"),
    [
        (1, 2, (0, 3, 3)),
        (3, 0, (0, 3, 1)),  # gradients of the batch alone would be lost: the step is finished first
        (3, 3, (0, 6, 2)),
        (1, 7, (1, 1, 9)),  # after the last batch of an epoch Lightning validates and saves: the fit stops at the next step
    ],
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_fit_between_two_steps(checkpoints, tmp_path, number, accumulated, at, stopped):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        fit(checkpoints.LastCheckpoint(), tmp_path, Line(number, at), accumulate_grad_batches=accumulated)
    assert caught.value.code == 128 + number
    assert progress(tmp_path / "checkpoints" / "last.ckpt") == stopped
    assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


@pytest.mark.parametrize(("every", "steps"), [(3, [3, 6, 8, 9, 12, 15, 16]), (0, [8, 16])])
def test_a_fit_is_saved_every_so_many_steps_and_at_the_end_of_each_epoch(checkpoints, tmp_path, monkeypatch, every, steps):
    saved = []
    monkeypatch.setattr(Trainer, "save_checkpoint", lambda trainer, *_, **__: saved.append(trainer.global_step))
    fit(checkpoints.LastCheckpoint(every_n_steps=every), tmp_path, Line())
    assert saved == steps


def test_an_error_within_a_step_leaves_the_last_checkpoint_as_it_is(checkpoints, tmp_path):
    class Failing(Line):
        def training_step(self, batch, batch_idx):
            if self.trainer.current_epoch == 1:
                raise RuntimeError("out of memory")
            return super().training_step(batch, batch_idx)

    with pytest.raises(RuntimeError, match="out of memory"):
        fit(checkpoints.LastCheckpoint(), tmp_path, Failing())
    assert progress(tmp_path / "checkpoints" / "last.ckpt") == (0, 8, 8)


def test_a_rehearsal_saves_nothing(checkpoints, tmp_path):
    fit(checkpoints.LastCheckpoint(every_n_steps=1), tmp_path, Line(), fast_dev_run=4)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_checkpoint_that_cannot_be_written_is_named_and_the_one_before_stays(checkpoints, tmp_path, monkeypatch):
    file = tmp_path / "new" / "last.ckpt"
    checkpoints.write_checkpoint({"step": 1}, file)

    def full(descriptor):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(checkpoints.CheckpointError, match=r"last\.ckpt: cannot be saved \(No space left on device\); what was there"):
        checkpoints.AtomicCheckpointIO().save_checkpoint({"step": 2}, file)
    assert torch.load(file, weights_only=True) == {"step": 1}
    assert [other.name for other in file.parent.iterdir()] == ["last.ckpt"]


def test_a_fit_removes_what_killed_ones_left_beside_its_checkpoints(checkpoints, tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in (f".last.ckpt.{GONE}", f".best.ckpt.{GONE}", f".last.ckpt.{os.getppid()}", ".notes"):
        (folder / name).touch()
    fit(checkpoints.LastCheckpoint(), tmp_path, Line())
    assert {file.name for file in folder.iterdir()} == {"last.ckpt", f".last.ckpt.{os.getppid()}", ".notes"}
