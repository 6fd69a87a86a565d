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
from verifier.release import MANIFEST

ROOT = Path(__file__).parents[2]
PATIENCE = 180  # seconds that a busy machine may take
ROWS = 60 * BATCH + 7
HELD = 3 * BATCH  # rows after which a run that is held waits
KILLS = 10
TEXTS = ["There is a cat.", "no dog here", "isn't that\na cow?", "", "=a lynx or a cat"]
COMMAND = "import sys; from verifier.cli import main; code = main(); sys.settrace(None); sys.exit(code)"
# As the command, but it waits after HELD rows until its last argument, a file, is there: what is to happen in the middle happens there,
# however fast the machine.
HOLD = f"""
import pathlib, sys, time
from verifier.part import Part
gate, append = pathlib.Path(sys.argv.pop()), Part.append
def held(self, *arguments, **keywords):
    append(self, *arguments, **keywords)
    while self.done.rows >= {HELD} and not gate.exists():
        time.sleep(0.01)
Part.append = held
{COMMAND}
"""
# As the command, but it dies by kill -9 at the n-th line that it comes to in verifier/part.py, n being its last argument.
DIE = f"""
import os, signal, sys, verifier.bulk, verifier.part
left, file = int(sys.argv.pop()), verifier.part.__file__
def trace(frame, event, argument):
    global left
    if frame.f_code.co_filename != file:
        return None
    left -= event == "line"
    if left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return trace
sys.settrace(trace)
{COMMAND}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five tiny pictures and a table whose rows pair them with texts, good and bad ones."""
    folder = tmp_path_factory.mktemp("bulk")
    for i in range(5):
        pixels = np.random.default_rng(i).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        pixels[..., i % 3] = 255
        Image.fromarray(pixels).save(folder / f"{i}.png")
    with (folder / "pairs.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "text", "image"])
        writer.writerows([i, TEXTS[i * 7 % 5], f"{i % 6}.png"] for i in range(ROWS))  # there is no 5.png
    return folder


@pytest.fixture(scope="module")
def models(tiny_release):
    return ["--release", str(tiny_release)]


@pytest.fixture(scope="module")
def undisturbed(folder, models):
    """The output of a run that nothing stops."""
    assert main(["--pairs", str(folder / "pairs.csv"), "--output", str(folder / "undisturbed.csv"), *models]) == 0
    return (folder / "undisturbed.csv").read_bytes()


class Run:
    """A run of the command, or of a program in its place, in a process group of its own."""

    def __init__(self, folder, output, *arguments, program=None, **popen):
        self.part, self.state = output.with_name(f".{output.name}.part"), output.with_name(f".{output.name}.part.json")
        command = [sys.executable, *(("-c", program) if program else (ROOT / "scripts/verify.py",))]
        command += ["--pairs", folder / "pairs.csv", "--output", output, *arguments]
        self.process = subprocess.Popen(
            [str(each) for each in command], cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True, **popen
        )

    def wait_for(self, condition):
        """Wait until something holds; false when the run ends by itself before that."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if self.process.poll() is not None:
                return False
            assert time.monotonic() < deadline, "the run did not get there"
            time.sleep(0.001)
        return True

    def size(self):
        """Bytes of the rows that it has written, saved or not."""
        return self.part.stat().st_size if self.part.exists() else 0

    def kill(self):
        """Kill it as no process can help; false when it had ended by itself."""
        self.process.kill()
        assert "Traceback" not in self.end()
        return self.process.returncode == -signal.SIGKILL

    def end(self):
        """What it wrote to stderr; workers that live on hold stderr open, and the wait fails."""
        return self.process.communicate(timeout=PATIENCE)[1]


@pytest.fixture
def held(folder, models, undisturbed, tmp_path):
    """Starts a run that waits after HELD rows, some of them saved, until ``gate`` is there."""

    def start(output, *arguments):
        run = Run(folder, output, *arguments, *models, tmp_path / "gate", program=HOLD)
        assert run.wait_for(lambda: run.state.exists() and run.size() >= len(b"".join(undisturbed.splitlines(keepends=True)[:HELD])))
        return run

    return start


def test_the_fixture_has_answers_and_errors_of_both_sorts(undisturbed):
    rows = list(csv.DictReader(undisturbed.decode().splitlines(keepends=True)))
    assert [row["id"] for row in rows] == [str(i) for i in range(ROWS)]
    assert {row["answer"] for row in rows} == {"true", "false", ""}
    assert any("5.png: no such file" in row["error"] for row in rows)
    assert any("text: empty" in row["error"] for row in rows)


def _kill_ten_times(start, output, undisturbed):
    """Kill runs of one output; one that comes to its end before is looked at, and the table begun anew."""
    kills = 0
    while kills < KILLS:
        if start().kill():
            kills += 1
        else:
            assert output.read_bytes() == undisturbed
            output.unlink()


@pytest.mark.slow
def test_a_run_with_workers_that_is_killed_ten_times_at_any_moment_loses_and_doubles_no_row(folder, models, undisturbed):
    output, chance = folder / "killed.csv", random.Random(0)

    def start():
        run = Run(folder, output, "--workers=2", *models)
        if chance.random() < 0.3:  # while it starts, most likely
            time.sleep(chance.uniform(0, 0.5))
        else:
            saved = json.loads(run.state.read_text())["done"]["size"] if run.state.exists() else 0
            more = chance.randrange(len(undisturbed) // 10)
            run.wait_for(lambda: run.size() > saved + more)
        return run

    _kill_ten_times(start, output, undisturbed)
    assert "Traceback" not in Run(folder, output, "--workers=2", *models).end()
    assert output.read_bytes() == undisturbed
    assert not list(folder.glob(f".{output.name}*"))


@pytest.mark.slow
def test_a_run_that_dies_ten_times_at_any_step_of_its_writing_loses_and_doubles_no_row(folder, models, undisturbed):
    output, chance = folder / "died.csv", random.Random(0)
    steps = iter([1, 12, 25, 40, 60, 80, *(chance.randrange(1, 700) for _ in range(100))])  # opening, locking, saving, then anywhere

    def start():
        run = Run(folder, output, *models, next(steps), program=DIE)
        run.process.wait(PATIENCE)
        return run

    _kill_ten_times(start, output, undisturbed)
    assert main(["--pairs", str(folder / "pairs.csv"), "--output", str(output), *models]) == 0
    assert output.read_bytes() == undisturbed
    assert not list(folder.glob(f".{output.name}*"))


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "stop", "code"), [(1, signal.SIGTERM, 143), (2, signal.SIGINT, 130), (2, signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_end_a_run_with_one_line_and_keep_its_rows(folder, models, undisturbed, held, capsys, workers, stop, code):
    output = folder / f"{stop.name}{workers}.csv"
    run = held(output, f"--workers={workers}")
    os.killpg(run.process.pid, stop)  # workers and all, as a terminal does
    told = run.end()
    assert run.process.returncode == code
    assert told.endswith("verify: stopped; the same command goes on from here\n")
    assert "Traceback" not in told
    assert json.loads(run.state.read_text())["done"]["rows"] == HELD
    assert main(["--pairs", str(folder / "pairs.csv"), "--output", str(output), *models]) == 0  # in one process, whatever there was before
    assert f"going on after {HELD} rows" in capsys.readouterr().err
    assert output.read_bytes() == undisturbed


@pytest.mark.slow
def test_a_worker_that_dies_is_one_line_and_exit_code_2_and_the_rows_stay(folder, models, undisturbed, held, capsys, tmp_path):
    output = folder / "worker.csv"
    run = held(output, "--workers=2")
    children = Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text().split()
    for pid in children:
        if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text():
            os.kill(int(pid), signal.SIGKILL)
    (tmp_path / "gate").touch()
    told = run.end()
    assert run.process.returncode == 2
    assert "verify: a worker process was killed by signal 9" in told.splitlines()[-1]
    assert "Traceback" not in told
    assert main(["--pairs", str(folder / "pairs.csv"), "--output", str(output), *models]) == 0
    assert "going on after" in capsys.readouterr().err
    assert output.read_bytes() == undisturbed


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_exit_code_2_and_the_rows_stay(folder, models, undisturbed, capsys):
    output = folder / "full.csv"
    run = Run(folder, output, *models, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (len(undisturbed) // 2,) * 2))
    told = run.end()
    assert run.process.returncode == 2
    assert told.splitlines()[-1] == f"verify: {output}: cannot be written (File too large)"
    assert not output.exists()
    assert main(["--pairs", str(folder / "pairs.csv"), "--output", str(output), *models]) == 0
    assert "going on after" in capsys.readouterr().err
    assert output.read_bytes() == undisturbed


@pytest.fixture
def stopped(folder, models, tmp_path, monkeypatch):
    """A copy of the folder, with a command of which an earlier run was stopped after two chunks."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.csv.*", "[!p]*.csv"))
    command = ["--pairs", str(tmp_path / "pairs.csv"), "--output", str(tmp_path / "out.csv"), *models]
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
def test_what_changed_since_is_named_and_every_row_answered_anew(stopped, tiny_release, capsys, tmp_path, changed):
    if changed == "table":
        table = tmp_path / "pairs.csv"
        table.write_text(table.read_text().replace("a cat", "a dog", 1))
    elif changed == "models":
        shutil.copytree(tiny_release, tmp_path / "release")
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


def test_workers_and_one_process_write_the_same_json_lines(folder, models, tmp_path):
    for workers in ("1", "2"):
        command = ["--pairs", str(folder / "pairs.csv"), "--output", str(tmp_path / f"{workers}.jsonl"), "--workers", workers, *models]
        assert main(command) == 0
    records = [json.loads(line) for line in (tmp_path / "2.jsonl").read_text().splitlines()]
    assert [record["id"] for record in records] == [str(i) for i in range(ROWS)]
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()


def test_json_lines_explain_their_verdicts_as_one_pair_does(folder, models, tmp_path, capsys):
    pair = ["--text", TEXTS[0], "--image", str(folder / "0.png"), "--json", *models]
    assert main(pair) == 0
    explained = json.loads(capsys.readouterr().out)
    command = ["--pairs", str(folder / "pairs.csv"), "--output", str(tmp_path / "out.jsonl"), "--json", *models]
    assert main(command) == 0
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert explained.items() <= records[0].items()
    failed = next(record for record in records if record["error"])
    assert failed["mentions"] is None


def test_a_csv_has_no_room_for_what_explains_verdicts(folder, models, tmp_path, capsys):
    command = ["--pairs", str(folder / "pairs.csv"), "--output", str(tmp_path / "out.csv"), "--json", *models]
    assert main(command) == 2
    assert "--json goes with --text, or with an --output in .jsonl" in capsys.readouterr().err


def test_a_row_of_too_many_cells_gets_its_error_and_the_others_go_on(root, models, tmp_path):
    table = tmp_path / "pairs.csv"
    table.write_text("image,text\nin.png,no cat\nin.png,no cat, no dog\n")
    assert main(["--pairs", str(table), "--output", str(tmp_path / "out.csv"), "--image-root", str(root), *models]) == 0
    with (tmp_path / "out.csv").open(newline="") as stream:
        good, bad = csv.DictReader(stream)
    assert (good["error"], bad["answer"]) == ("", "")
    assert "must stand in quotes" in bad["error"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_release_that_is_broken_is_one_line_and_leaves_nothing(folder, tiny_release, tmp_path, capsys, workers):
    shutil.copytree(tiny_release, tmp_path / "release")
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


def test_rows_that_leave_the_image_root_get_their_error_and_the_others_go_on(root, models, tmp_path):
    table = tmp_path / "pairs.csv"
    table.write_text(
        f"text,image\nno cat,in.png\nno cat,../out.png\nno cat,{tmp_path}/out.png\nno cat,escape.png\nno cat,\nno cat,within.png\n"
    )
    assert main(["--pairs", str(table), "--output", str(tmp_path / "out.csv"), "--image-root", str(root), *models]) == 0
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
