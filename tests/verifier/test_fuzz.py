"""Fuzzing finds what breaks the command's promise, and says so; what does not is counted."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from animal_cls.picture import open_picture
from verifier import Verifier, cli, fuzz
from verifier.fuzz import ContractError, ask, grew, main, mutate_picture, mutate_text, seed_pictures, seed_texts, slope

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tiny_release, tmp_path, capsys):
    """Runs the script with some arguments; gives its exit code and what it printed."""

    def start(*arguments):
        return main([*arguments, "--release", str(tiny_release), "--output", str(tmp_path / "findings")]), capsys.readouterr().out

    return start


def test_the_pictures_to_begin_with_are_whole_and_of_every_format():
    assert {open_picture(content).mode for content in seed_pictures()} == {"RGB"}
    assert len(set(seed_pictures())) == len(seed_pictures()) > 30


@pytest.mark.parametrize(("mutate", "seeds"), [(mutate_picture, seed_pictures()), (mutate_text, seed_texts())])
def test_mutations_differ_from_each_other_and_come_back_with_their_seed(mutate, seeds):
    mutated = [mutate(seeds, random.Random(number)) for number in range(60)]
    assert len(set(mutated)) > 50
    assert sum(each in seeds for each in mutated) < 12
    assert mutated == [mutate(seeds, random.Random(number)) for number in range(60)]


def test_a_png_gets_the_checksums_that_fit_it():
    png = seed_pictures()[5]
    assert png.startswith(b"\x89PNG")
    assert fuzz._with_checksums(png) == png
    assert fuzz._with_checksums(png[:29] + b"\0\0\0\0" + png[33:]) == png
    assert fuzz._with_checksums(png[:-7]) == png[:-7]


def test_inputs_that_are_answered_or_refused_are_counted(run, tmp_path):
    code, printed = run("--pictures", "40", "--texts", "40")
    assert code == 0, printed
    for line, sort in zip(printed.splitlines(), ("pictures", "texts"), strict=True):
        assert line.startswith(f"{sort}: 40 in ")
        assert line.endswith(", 0 findings")
    assert not (tmp_path / "findings").exists()


def test_what_breaks_the_command_is_kept_and_told(run, tmp_path, monkeypatch):
    monkeypatch.setattr(Verifier, "verify", lambda *_: 1 / 0)
    code, printed = run("--pictures", "2", "--texts", "0")
    assert code == 1
    assert "pictures-0-1: ZeroDivisionError: division by zero" in printed
    assert {file.name for file in (tmp_path / "findings").iterdir()} == {"pictures-0-0", "pictures-0-1"}


def test_fuzzing_ends_when_its_time_is_over(run):
    assert "texts: 1 in" in run("--pictures", "0", "--texts", "1000000", "--seconds", "0")[1]


@pytest.mark.parametrize(
    ("code", "out", "err"),
    [
        (0, "", ""),
        (0, "{}\n{}\n", ""),
        (0, '{"mentions": []}\n', "a warning\n"),
        (2, "", ""),
        (2, "", "verify: one line\nand another\n"),
        (2, "true\n", "verify: one line\n"),
        (1, "", "Traceback"),
        (0, '{"mentions": [{"start": 0, "end": 3, "text": "dog"}]}\n', ""),
    ],
)
def test_any_other_outcome_than_an_answer_or_one_line_is_a_finding(monkeypatch, tmp_path, code, out, err):
    def promised_otherwise(_):
        sys.stdout.write(out)
        sys.stderr.write(err)
        return code

    monkeypatch.setattr(cli, "main", promised_otherwise)
    with pytest.raises(ContractError):
        ask("cat", tmp_path)


def test_memory_that_stays_is_flat_and_memory_that_grows_is_not(run, monkeypatch):
    assert grew([500, 100, 104, 104, 104]) == pytest.approx(0.04)
    for grown, expected in ((0.0, 0), (1.0, 1)):
        memory = iter(100 + grown * i for i in range(100))
        monkeypatch.setattr(fuzz, "_resident", lambda memory=memory: next(memory))
        code, printed = run("--soak", "20")
        assert code == expected
        assert len(printed.splitlines()) == 1 + 1 + fuzz.SAMPLES + 1
        assert f"{5000 * grown:+.2f} MB in 10,000 verdicts" in printed  # a sample of one megabyte more every two verdicts


@given(grown=st.floats(-5, 5), start=st.floats(100, 1000), jump=st.floats(0, 100))
def test_the_slope_is_that_of_memory_after_the_models_are_warm(grown, start, jump):
    verdicts = range(0, 11_000, 1000)
    memory = [start + grown * number / 10_000 - (jump if number < 2000 else 0) for number in verdicts]
    assert slope(verdicts, memory) == pytest.approx(grown, abs=1e-6)
    assert slope([0], [start]) == 0


def test_a_soak_ends_when_its_time_is_over(run):
    code, printed = run("--soak", "1000000", "--seconds", "0")
    assert code == 0
    assert printed.splitlines()[-1].startswith("0 verdicts; ")


def test_guiding_without_atheris_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "atheris", None)
    assert main(["--guided", "texts"]) == 2
    assert capsys.readouterr().err == "fuzz: atheris is missing; --guided needs the extra 'fuzz': pip install -e '.[fuzz]'\n"


def test_without_messages_to_begin_with_a_clone_is_asked_for(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(fuzz, "MESSAGES", tmp_path / "test.jsonl")
    assert main([]) == 2
    assert capsys.readouterr().err == f"fuzz: {tmp_path / 'test.jsonl'} is missing; a clone has it: pip install -e .\n"


def test_a_corpus_is_of_guiding_alone(capsys, tmp_path):
    assert main(["--corpus", str(tmp_path / "corpus")]) == 2
    assert "--corpus goes with --guided" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# As the script, but a text with a Q in it, which no text has that it begins with, breaks the command.
BROKEN = """
import sys
from verifier import fuzz, pipeline
verify = pipeline.Verifier.verify
pipeline.Verifier.verify = lambda self, text, image: 1 / 0 if "Q" in text else verify(self, text, image)
fuzz.seed_texts = lambda: ["a cat", "no dog", "owl"]
sys.exit(fuzz.main())
"""


@pytest.mark.slow
def test_guided_by_coverage_it_keeps_a_corpus_and_what_breaks_the_command(tiny_release, tmp_path):
    pytest.importorskip("atheris")
    corpus, findings = tmp_path / "corpus", tmp_path / "findings"
    command = [sys.executable, "-c", BROKEN, "--guided=texts", f"--corpus={corpus}", f"--output={findings}", f"--release={tiny_release}"]
    whole = subprocess.run([*command, "--seconds=0"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (whole.returncode, list(findings.iterdir())) == (0, []), whole.stderr
    assert whole.stdout.endswith("texts: no finding; 3 inputs to begin with next time\n")
    assert {file.read_bytes() for file in corpus.iterdir()} == {b"a cat", b"no dog", b"owl"}
    (corpus / "of another run").write_bytes(b"a Q")
    broken = subprocess.run([*command, "--seconds=60"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert broken.returncode != 0
    assert "ZeroDivisionError" in broken.stdout + broken.stderr
    assert [file.name[:12] for file in findings.iterdir()] == ["texts-crash-"]
    assert b"Q" in next(findings.iterdir()).read_bytes()


def test_names_of_files_with_line_ends_and_escape_sequences_stay_one_line(tmp_path, capsys):
    Image.fromarray(data.chelsea()).save(tmp_path / "a\nb.png")
    (tmp_path / "c\n\x1b[31md.png").write_bytes(b"no picture")
    assert ask("a cat", tmp_path / "a\nb.png") == "answered"
    assert ask("a cat", tmp_path / "c\n\x1b[31md.png") == "refused"
    assert cli.main(["--text", "a cat", "--image", str(tmp_path / "c\n\x1b[31md.png")]) == 2
    assert capsys.readouterr().err.endswith(
        "c\\n\\x1b[31md.png: not a picture in a known format; expected one of JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF\n"
    )
