"""Tables in processes of their own, stopped in every way and gone on with."""

import csv
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import verifier.bulk
from verifier import InputError
from verifier.bulk import Pictures
from verifier.cli import main
from verifier.pipeline import BATCH
from verifier.release import MANIFEST, SHIPPED

ROOT = Path(__file__).parents[2]
PATIENCE = 180  # seconds that a busy machine may take
ROWS = 60 * BATCH + 7
TEXTS = ["There is a cat.", "no dog here", "isn't that\na cow?", "", "=a lynx or a cat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five tiny pictures and a table whose rows pair them with texts, good and bad ones."""
    folder = tmp_path_factory.mktemp("bulk")
    for i in range(5):
        pixels = np.random.default_rng(i).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    with (folder / "pairs.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "text", "image"])
        writer.writerows([i, TEXTS[i * 7 % 5], f"{i % 6}.png"] for i in range(ROWS))  # there is no 5.png
    return folder


@pytest.fixture(scope="module")
def undisturbed(folder):
    """The output of a run that nothing stops."""
    assert main(["--pairs", str(folder / "pairs.csv"), "--output", str(folder / "undisturbed.csv")]) == 0
    return (folder / "undisturbed.csv").read_bytes()


class Run:
    """A run of the command in a process group of its own."""

    def __init__(self, folder, output, *arguments, **popen):
        command = [sys.executable, ROOT / "scripts/verify.py", "--pairs", folder / "pairs.csv", "--output", output, *arguments]
        self.state = output.with_name(f".{output.name}.part.json")
        self._known = self._saved()
        self.process = subprocess.Popen(
            [str(each) for each in command], cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True, **popen
        )

    def _saved(self):
        return self.state.read_text() if self.state.exists() else None

    def wait_for_rows(self):
        """Wait until it has saved rows that were not there before; false when it ends by itself before that."""
        deadline = time.monotonic() + PATIENCE
        while self._saved() in {None, self._known}:
            if self.process.poll() is not None:
                return False
            assert time.monotonic() < deadline, "no row was answered"
            time.sleep(0.01)
        return self.process.poll() is None

    def end(self):
        """What it wrote to stderr; workers that live on hold stderr open, and the wait fails."""
        return self.process.communicate(timeout=PATIENCE)[1]


def test_the_fixture_has_answers_and_errors_of_both_sorts(undisturbed):
    rows = list(csv.DictReader(undisturbed.decode().splitlines(keepends=True)))
    assert [row["id"] for row in rows] == [str(i) for i in range(ROWS)]
    assert {row["answer"] for row in rows} == {"true", "false", ""}
    assert any("5.png: no such file" in row["error"] for row in rows)
    assert any("text: empty" in row["error"] for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_is_killed_at_any_moment_goes_on_without_losing_or_doubling_a_row(folder, undisturbed, workers):
    output, chance, kills = folder / f"killed{workers}.csv", random.Random(workers), 0
    for attempt in range(5):
        run = Run(folder, output, f"--workers={workers}")
        if attempt == 1:  # once before anything is answered, most likely
            time.sleep(chance.uniform(0, 1))
        elif run.wait_for_rows():
            time.sleep(chance.uniform(0, 0.4))
        kills += run.process.poll() is None
        run.process.kill()
        assert "Traceback" not in run.end()
        if output.exists():
            break
    run = Run(folder, output, f"--workers={workers}")
    assert "Traceback" not in run.end()
    assert run.process.returncode == 0
    assert kills >= 2
    assert output.read_bytes() == undisturbed
    assert not list(folder.glob(f".{output.name}*"))


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "stop", "code"), [(1, signal.SIGTERM, 143), (2, signal.SIGINT, 130), (2, signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_end_a_run_with_one_line_and_keep_its_rows(folder, undisturbed, workers, stop, code):
    output = folder / f"{stop.name}{workers}.csv"
    run = Run(folder, output, f"--workers={workers}")
    assert run.wait_for_rows()
    os.killpg(run.process.pid, stop)  # workers and all, as a terminal does
    told = run.end()
    assert run.process.returncode == code
    assert told.endswith("verify: stopped; the same command goes on from here\n")
    assert "Traceback" not in told
    assert json.loads(run.state.read_text())["done"]["rows"] >= BATCH
    resumed = Run(folder, output)  # in one process, whatever there was before
    assert "going on after" in resumed.end()
    assert output.read_bytes() == undisturbed


@pytest.mark.slow
def test_a_worker_that_dies_is_one_line_and_exit_code_2_and_the_rows_stay(folder, undisturbed):
    output = folder / "died.csv"
    run = Run(folder, output, "--workers=2")
    assert run.wait_for_rows()
    children = Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text().split()
    worker = next(pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text())
    os.kill(int(worker), signal.SIGKILL)
    told = run.end()
    assert run.process.returncode == 2
    assert "verify: a worker process was killed by signal 9" in told.splitlines()[-1]
    assert "Traceback" not in told
    assert "going on after" in Run(folder, output, "--workers=2").end()
    assert output.read_bytes() == undisturbed


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_exit_code_2_and_the_rows_stay(folder, undisturbed):
    output = folder / "full.csv"
    run = Run(folder, output, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (len(undisturbed) // 2,) * 2))
    told = run.end()
    assert run.process.returncode == 2
    assert told.splitlines()[-1] == f"verify: {output}: cannot be written (File too large)"
    assert not output.exists()
    assert "going on after" in Run(folder, output).end()
    assert output.read_bytes() == undisturbed


@pytest.fixture
def stopped(folder, tmp_path, monkeypatch):
    """A copy of the folder, with a command of which an earlier run was stopped after two chunks."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.csv.*", "[!p]*.csv"))
    command = ["--pairs", str(tmp_path / "pairs.csv"), "--output", str(tmp_path / "out.csv")]
    left = iter(range(2))

    def answer_two(*arguments, **keywords):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return answer(*arguments, **keywords)

    answer = verifier.bulk.answer_rows
    with monkeypatch.context() as patch:
        patch.setattr(verifier.bulk, "answer_rows", answer_two)
        assert main(command) == 130
    return command


def test_the_progress_bar_goes_on_from_the_rows_that_are_there(stopped, capsys):
    assert main(stopped) == 0
    told = capsys.readouterr().err
    assert f"out.csv: going on after {2 * BATCH} rows of an earlier run\n" in told
    assert f" {2 * BATCH}/{ROWS} " in told
    assert f" 0/{ROWS} " not in told


@pytest.mark.parametrize("changed", ["table", "models", "folder"])
def test_what_changed_since_is_named_and_every_row_answered_anew(stopped, capsys, tmp_path, changed):
    if changed == "table":
        table = tmp_path / "pairs.csv"
        table.write_text(table.read_text().replace("a cat", "a dog", 1))
    elif changed == "models":
        shutil.copytree(SHIPPED, tmp_path / "release")
        manifest = tmp_path / "release" / MANIFEST
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"threshold": 0.9}))
        stopped += ["--release", str(manifest.parent)]
    else:
        stopped += ["--image-root", str(tmp_path)]
    capsys.readouterr()
    assert main(stopped) == 0
    assert f"out.csv: starting anew; changed since: {changed}\n" in capsys.readouterr().err
    with (tmp_path / "out.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == ROWS


def test_workers_and_one_process_write_the_same_json_lines(folder, tmp_path):
    for workers in ("1", "2"):
        command = ["--pairs", str(folder / "pairs.csv"), "--output", str(tmp_path / f"{workers}.jsonl"), "--workers", workers]
        assert main(command) == 0
    records = [json.loads(line) for line in (tmp_path / "2.jsonl").read_text().splitlines()]
    assert [record["id"] for record in records] == [str(i) for i in range(ROWS)]
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_release_that_is_broken_is_one_line_and_leaves_nothing(folder, tmp_path, capsys, workers):
    shutil.copytree(SHIPPED, tmp_path / "release")
    (tmp_path / "release" / "tagger.onnx").write_bytes(b"no model")
    command = ["--pairs", str(folder / "pairs.csv"), "--output", str(tmp_path / "out.csv"), "--workers", workers]
    assert main([*command, "--release", str(tmp_path / "release")]) == 2
    assert "tagger.onnx: SHA-256 differs" in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.glob("*out.csv*"))


@pytest.fixture
def root(tmp_path):
    """A folder of pictures with links that stay in it, lead out of it and run in a circle."""
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    for file in (root / "in.png", root / "sub" / "deep.png", tmp_path / "out.png"):
        Image.new("RGB", (8, 8)).save(file)
    for link, target in (("within.png", "sub/deep.png"), ("escape.png", "../out.png"), ("up", ".."), ("circle.png", "circle.png")):
        (root / link).symlink_to(target)
    return root


@pytest.mark.parametrize("image", ["in.png", "sub/deep.png", "sub/../in.png", "./in.png", "within.png", "missing.png"])
def test_a_path_that_stays_in_the_image_root_starts_there(root, image):
    assert Pictures(Path("elsewhere"), root).find(image) == str(root / image)


@pytest.mark.parametrize(
    "image", ["../out.png", "escape.png", "up/out.png", "sub/../../out.png", "circle.png", "a\0b.png", "{root}/in.png", "/etc/hostname"]
)
def test_a_path_that_leads_out_of_the_image_root_is_refused(root, image):
    with pytest.raises(InputError, match="leads out of"):
        Pictures(root, root).find(image.format(root=root))


def test_rows_that_leave_the_image_root_get_their_error_and_the_others_go_on(root, tmp_path):
    table = tmp_path / "pairs.csv"
    table.write_text(
        f"text,image\nno cat,in.png\nno cat,../out.png\nno cat,{tmp_path}/out.png\nno cat,escape.png\nno cat,\nno cat,within.png\n"
    )
    assert main(["--pairs", str(table), "--output", str(tmp_path / "out.csv"), "--image-root", str(root)]) == 0
    with (tmp_path / "out.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [bool(row["answer"]) for row in rows] == [True, False, False, False, False, True]
    assert all("leads out of" in row["error"] for row in rows[1:4])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["--workers", "0"], "workers"), (["--image-root", "missing"], "missing: no such folder"), (["--release", "missing"], "missing")],
)
def test_arguments_of_tables_that_cannot_be_meant_are_one_line(folder, tmp_path, capsys, arguments, named):
    assert main(["--pairs", str(folder / "pairs.csv"), "--output", str(tmp_path / "out.csv"), *arguments]) == 2
    told = capsys.readouterr().err
    assert named in told
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["--workers", "2"], ["--image-root", "."]])
def test_arguments_of_tables_do_not_go_with_one_pair(capsys, arguments):
    assert main(["--text", "a cat", "--image", "cat.jpg", *arguments]) == 2
    assert "go with --pairs" in capsys.readouterr().err
