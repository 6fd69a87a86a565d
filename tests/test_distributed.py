"""Two processes that work together give what one gives."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = Path(__file__).parents[1]
CONFIGS = {"animal_ner": "minilm", "animal_cls": "efficientnet_lite2"}
PATIENCE = 900  # seconds that a busy machine may take
TWO = ["--trainer.devices=2", "--trainer.strategy=ddp"]
OWN = ("both_in_top3", "report_seconds")  # depend on how pictures meet in batches, and on the time


def scalars(folder):
    """What TensorBoard shows of the scores of a run: the last value of each."""
    events = EventAccumulator(str(folder))
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if tag.startswith(("val", "test")) and not tag.endswith(OWN)]
    return {tag: events.Scalars(tag)[-1].value for tag in tags}


@pytest.fixture(scope="module", params=list(CONFIGS))
def command(request, tmp_path_factory, tiny_data, start_cli):
    """Runs a command of a package in one process or two, as torchrun would start them, and gives its log folder and its two outputs."""
    package, root = request.param, tmp_path_factory.mktemp(request.param)

    def run(name, *more, processes):
        arguments = [name, f"--config={ROOT / 'configs' / package / CONFIGS[package]}.yaml", *tiny_data[package], *more]
        arguments += [f"--trainer.logger.init_args.{key}" for key in (f"save_dir={root}", f"version={name}_{processes}")]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        outputs = [root / f"{name}_{processes}_{rank}.out" for rank in range(processes)]
        started = [
            start_cli(
                package,
                [*arguments, *(TWO if processes == 2 else [])],
                output,
                {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "LOCAL_RANK": str(rank)} if processes == 2 else {},
            )
            for rank, output in enumerate(outputs)
        ]
        for process, output in zip(started, outputs, strict=True):
            process.join(PATIENCE)
            process.kill()
            assert process.exitcode == 0, output.with_suffix(".err").read_text()
        return root / package / f"{name}_{processes}", [output.read_text() for output in outputs]

    run.package, run.root = package, root
    return run


@pytest.fixture(scope="module")
def fitted(command):
    """The folder of a fit by two processes."""
    folder, _ = command("fit", "--trainer.max_epochs=1", processes=2)
    return folder


@pytest.mark.slow
def test_two_processes_fit_and_score_as_one_and_leave_one_run(command, fitted):
    assert {file.name for file in fitted.parent.iterdir()} == {"fit_2"}
    made = {"best.ckpt", "last.ckpt"} | ({"start.ckpt"} if command.package == "animal_cls" else set())
    assert {file.name for file in (fitted / "checkpoints").iterdir()} == made
    best = f"--ckpt_path={fitted / 'checkpoints' / 'best.ckpt'}"
    tested, again = (scalars(command("test", best, processes=count)[0]) for count in (1, 2))
    assert tested == pytest.approx(again, abs=1e-6)
    assert len(tested) > 5
    (validated,) = (scalars(command("validate", best, processes=1)[0]),)
    during = scalars(fitted)
    assert {tag: during[tag] for tag in validated} == pytest.approx(validated, abs=1e-6)


@pytest.mark.slow
def test_two_processes_predict_each_once_and_in_order(command, fitted, picture_folder):
    best = f"--ckpt_path={fitted / 'checkpoints' / 'best.ckpt'}"
    if command.package == "animal_cls":
        asked = [f"--data.predict_paths=['{picture_folder}/cat', '{picture_folder}/dog/3.jpg']", "--data.batch_size=3"]
    else:
        (command.root / "texts.txt").write_text("".join(f"there is cat {i}\n" for i in range(13)))
        asked = [f"--data.predict_file={command.root / 'texts.txt'}", "--data.batch_size=3"]
    _, (alone,) = command("predict", best, *asked, processes=1)
    _, (first, second) = command("predict", best, *asked, processes=2)
    records = [json.loads(line) for line in first.splitlines()]
    assert len(records) == 13
    assert records == [json.loads(line) for line in alone.splitlines()]
    assert second == ""


@pytest.mark.slow
@pytest.mark.parametrize("command", ["animal_ner"], indirect=True)
def test_lightning_starts_the_second_process_itself(command, fitted):
    arguments = ["--trainer.accelerator=cpu", *TWO, "--data.predict_texts=['a cat', 'no dog', 'an owl']"]
    command_line = [sys.executable, "-m", "animal_ner", "predict", *arguments, f"--ckpt_path={fitted / 'checkpoints' / 'best.ckpt'}"]
    with subprocess.Popen(command_line, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            said, _ = process.communicate(timeout=PATIENCE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the second process would wait for the first
    assert process.returncode == 0
    assert [json.loads(line)["text"] for line in said.splitlines()] == ["a cat", "no dog", "an owl"]
