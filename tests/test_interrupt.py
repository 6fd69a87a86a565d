"""Training as a process of its own, stopped and resumed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
PATIENCE = 120  # seconds that a busy machine may take to start a training


def _wait_for(condition, process):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, "the training ended by itself"
        assert time.monotonic() < deadline, "the training did not get there"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_fit_leaves_a_checkpoint_that_resumes(stop, encoder_folder, sentence_file, tmp_path):
    command = [
        sys.executable,
        "-m",
        "animal_ner",
        "fit",
        f"--config={ROOT / 'configs/animal_ner/minilm.yaml'}",
        "--trainer.accelerator=cpu",
    ]
    command += ["--trainer.precision=32-true", f"--trainer.logger.init_args.save_dir={tmp_path}", f"--model.encoder={encoder_folder}"]
    command += [
        "--model.window=32",
        "--data.generated=0",
        "--data.drawn=0",
        "--data.borrowed=null",
        "--data.swapped=0",
        "--data.by_heart=true",
        *(f"--data.{side}=['{sentence_file}']" for side in ("train", "val")),
    ]
    last = tmp_path / "animal_ner" / "version_0" / "checkpoints" / "last.ckpt"
    process = subprocess.Popen([*command, "--trainer.max_epochs=100000"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(last.exists, process)
        process.send_signal(stop)
        process.wait(PATIENCE)
    finally:
        process.kill()
    steps = torch.load(last, weights_only=True)["global_step"]
    assert steps > 0
    resumed = subprocess.run(
        [*command, f"--ckpt_path={last}", f"--trainer.max_steps={steps + 3}", "--trainer.max_epochs=-1"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=2 * PATIENCE,
    )  # fmt: skip
    assert resumed.returncode == 0, resumed.stderr
    again = tmp_path / "animal_ner" / "version_1" / "checkpoints" / "last.ckpt"
    assert steps < torch.load(again, weights_only=True)["global_step"] <= steps + 3  # fewer where early stopping steps in
