"""Fits as processes of their own that are stopped, killed or out of disk, and go on as if they had never stopped."""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import yaml

ROOT = Path(__file__).parents[1]
CONFIGS = {"animal_ner": "minilm", "animal_cls": "efficientnet_lite2"}
PATIENCE = 900  # seconds that a busy machine may take
LEARNING = ("EMAWeightAveraging", "ModelCheckpoint", "LastCheckpoint", "EarlyStopping")  # callbacks on which it depends what is learnt
STATES = ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers", "epoch", "global_step")


class Training:
    """One command line, the same each time: it begins a fit, and goes on with it once there is something to go on from."""

    def __init__(self, package, folder, data, start_cli):
        config = yaml.safe_load((ROOT / "configs" / package / f"{CONFIGS[package]}.yaml").read_text())
        trainer = config["trainer"]
        trainer["callbacks"] = [c for c in trainer["callbacks"] if c["class_path"].endswith(LEARNING)]
        for callback in trainer["callbacks"]:
            if callback["class_path"].endswith("LastCheckpoint"):
                callback["init_args"]["every_n_steps"] = 3
        trainer["logger"]["init_args"] |= {"save_dir": str(folder), "version": "run"}
        folder.mkdir()
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        self.package, self.start_cli, self.output = package, start_cli, folder / "run.out"
        self.flags = ["fit", f"--config={folder / 'config.yaml'}", "--ckpt_path=last", "--trainer.max_epochs=3", *data]
        self.checkpoints = folder / package / "run" / "checkpoints"
        self.last = self.checkpoints / "last.ckpt"

    def start(self, *more):
        return self.start_cli(self.package, [*self.flags, "--trainer.enable_progress_bar=false", *more], self.output)

    def start_and_wait_for_a_checkpoint(self, *more):
        before = self.last.stat().st_mtime_ns if self.last.exists() else 0
        process, deadline = self.start(*more), time.monotonic() + PATIENCE
        while process.is_alive() and not (self.last.exists() and self.last.stat().st_mtime_ns > before):
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.005)
        return process

    def finish(self):
        process = self.start()
        process.join(PATIENCE)
        assert process.exitcode == 0, self.said()

    def said(self):
        return self.output.with_suffix(".err").read_text()

    def state(self, name):
        content = torch.load(self.checkpoints / name, weights_only=True)
        return {key: content[key] for key in STATES if key in content}


def assert_same(one, other, where):
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for i, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{where}/{i}")
    else:
        assert one == other, where


@pytest.fixture(scope="module", params=list(CONFIGS))
def training(request, tmp_path_factory, tiny_data, start_cli):
    """Makes trainings of a package that are all the same, each in a folder of its own."""
    root = tmp_path_factory.mktemp(request.param)
    return lambda name: Training(request.param, root / name, tiny_data[request.param], start_cli)


@pytest.fixture(scope="module")
def uninterrupted(training):
    """A training that was never stopped."""
    whole = training("whole")
    whole.finish()
    return whole


def assert_ends_alike(one, other):
    for name in ("last.ckpt", "best.ckpt"):
        assert_same(one.state(name), other.state(name), name)
    assert sorted(file.name for file in one.checkpoints.iterdir()) == sorted(file.name for file in other.checkpoints.iterdir())


@pytest.mark.slow
def test_a_fit_that_was_asked_to_stop_goes_on_as_if_it_had_not(uninterrupted, training):
    stopped = training("stopped")
    stop = {"animal_ner": signal.SIGTERM, "animal_cls": signal.SIGINT}[stopped.package]
    process = stopped.start_and_wait_for_a_checkpoint(*(["--data.num_workers=1"] if stopped.package == "animal_cls" else []))
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for number in [*(workers if stop == signal.SIGINT else []), process.pid]:  # a terminal sends Ctrl-C to all
        with suppress(ProcessLookupError):
            os.kill(int(number), stop)
    process.join(PATIENCE)
    assert process.exitcode == 128 + stop, stopped.said()
    assert f"--ckpt_path {stopped.last} goes on" in stopped.said()
    assert "Traceback" not in stopped.said()
    stopped.finish()
    assert_ends_alike(uninterrupted, stopped)


@pytest.mark.slow
def test_a_fit_that_was_killed_again_and_again_goes_on_as_if_it_had_not(uninterrupted, training):
    killed, chance = training("killed"), random.Random(0)
    for _ in range(3):
        process = killed.start_and_wait_for_a_checkpoint()
        time.sleep(0.2 * chance.random())
        process.kill()
        process.join()
    (killed.checkpoints / f".last.ckpt.{process.pid}").write_bytes(b"half of a checkpoint")
    killed.finish()
    assert_ends_alike(uninterrupted, killed)


@pytest.mark.slow
@pytest.mark.parametrize("training", ["animal_ner"], indirect=True)
def test_a_full_disk_ends_a_fit_in_one_line_and_leaves_the_last_checkpoint(uninterrupted, training):
    full = training("full")
    process = full.start_and_wait_for_a_checkpoint()
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (20_000, 20_000))  # bytes that a file may have from now on
    process.join(PATIENCE)
    assert process.exitcode == 2, full.said()
    assert full.said().splitlines()[-1].startswith(f"{full.package}: {full.checkpoints}")
    assert full.said().endswith(".ckpt: cannot be saved (File too large); what was there before is as it was\n")
    assert "Traceback" not in full.said()
    full.finish()
    assert_ends_alike(uninterrupted, full)
