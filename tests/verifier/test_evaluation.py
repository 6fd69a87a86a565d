import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import skimage
from PIL import Image

from animal_ner.sentences import Sentence, read_sentences
from animal_ner.tags import Claim, Span
from verifier import Verifier
from verifier.decision import Mention, Reading
from verifier.evaluation import judge, judge_all, main
from verifier.pairs import Pair, Picture, Shown
from verifier.release import Release
from verifier.report import Control

CAT = Path(skimage.__file__).parent / "data" / "chelsea.png"
NO_DOG_BUT_A_CAT = Sentence("no dog, a cat", (Span(3, 6, Claim.ABSENT), Span(10, 13, Claim.PRESENT)))
MENTIONS = (Mention("dog", 3, 6, Claim.ABSENT, ("dog",)), Mention("cat", 10, 13, Claim.PRESENT, ("cat",)))


@pytest.fixture(scope="module")
def manifest():
    return Release().manifest


def judged(manifest, mentions, **presence):
    pair = Pair(NO_DOG_BUT_A_CAT, Picture(CAT, "cat"), truth=True, shown=Shown.NAMED)
    return judge(pair, Reading(tuple(mentions), 1.0), {"cat": 0.0, "dog": 0.0, "owl": 0.0} | presence, manifest)


def test_controls_answer_as_their_names_say(manifest):
    a_cat = judged(manifest, MENTIONS, cat=0.9)
    assert a_cat.verdict.answer
    assert a_cat.controls == {Control.ANY_WORD: True, Control.NO_CLAIMS: False, Control.NO_REJECTION: True}
    a_dog = judged(manifest, MENTIONS, dog=0.9)
    assert not a_dog.verdict.answer
    assert a_dog.controls == {Control.ANY_WORD: True, Control.NO_CLAIMS: False, Control.NO_REJECTION: False}
    hardly_anything = judged(manifest, MENTIONS, cat=0.001)
    assert not hardly_anything.verdict.answer
    assert hardly_anything.controls == {Control.ANY_WORD: True, Control.NO_CLAIMS: False, Control.NO_REJECTION: True}
    both = judged(manifest, MENTIONS, cat=0.95, dog=0.9)
    assert not both.verdict.answer
    assert both.controls == {Control.ANY_WORD: True, Control.NO_CLAIMS: True, Control.NO_REJECTION: True}


def test_conditions_are_counted_where_probabilities_multiply(manifest):
    assert judged(manifest, MENTIONS, cat=0.9).conditions == 2
    assert judged(manifest, MENTIONS[1:], cat=0.9).conditions == 1
    assert judged(manifest, (), cat=0.9).conditions == 0
    assert judged(manifest, (Mention("yeti", 0, 4, Claim.PRESENT, ()),), cat=0.9).conditions == 0


def test_what_was_read_is_compared_with_the_annotation(manifest):
    assert judged(manifest, MENTIONS).as_annotated
    assert not judged(manifest, MENTIONS[1:]).as_annotated


def test_what_is_measured_is_what_the_verifier_answers(manifest):
    verifier = Verifier()
    pair = Pair(NO_DOG_BUT_A_CAT, Picture(CAT, "cat"), truth=True, shown=Shown.NAMED)
    (outcome,) = judge_all(verifier, manifest, [pair])
    assert outcome.verdict == verifier.verify(NO_DOG_BUT_A_CAT.text, CAT)
    assert outcome.verdict.answer


@pytest.fixture
def arguments(sentence_file, picture_folder):
    return ["--texts", str(sentence_file), "--pictures", str(picture_folder), "--rounds", "2"]


def test_a_run_tells_figures_and_writes_what_it_is_asked_to(capsys, tmp_path, arguments, negatives_folder, sentence_file):
    out = tmp_path / "new" / "folder"
    files = ["--json", str(out / "figures.json"), "--pairs-json", str(out / "pairs.jsonl"), "--plots", str(out / "plots")]
    assert main([*arguments, "--negatives", str(negatives_folder), *files, "--worst", "2"]) == 0
    printed = capsys.readouterr().out
    for control in Control:
        assert re.search(rf"^{control.value} +\d", printed, re.MULTILINE)
    assert "surest of" in printed

    figures = json.loads((out / "figures.json").read_text())
    pairs = [json.loads(line) for line in (out / "pairs.jsonl").read_text().splitlines()]
    assert figures["overall"]["pairs"] == len(pairs) == 2 * figures["true_pairs"]
    assert figures["settings"]["release"] == Release().manifest.sha256
    assert figures["overall"]["accuracy"] == pytest.approx(sum(p["answer"] == p["truth"] for p in pairs) / len(pairs), abs=1e-5)
    assert figures["texts"] == len(read_sentences(sentence_file))

    plots = sorted((out / "plots").iterdir())
    assert [plot.name for plot in plots] == ["confusions.png", "reliability.png", "risk_coverage.png"]
    for plot in plots:
        Image.open(plot).verify()
    assert not [path for path in out.rglob("*") if path.name.endswith(".part")]


def test_a_run_repeats_with_its_seed(capsys, arguments):
    main([*arguments, "--seed", "7"])
    first = capsys.readouterr().out
    main([*arguments, "--seed", "7"])
    assert capsys.readouterr().out == first


def test_plots_without_matplotlib_say_what_to_install(capsys, monkeypatch, tmp_path, arguments):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.delitem(sys.modules, "verifier.plots", raising=False)
    assert main([*arguments, "--plots", str(tmp_path / "plots")]) == 2
    assert re.fullmatch(r"evaluate: --plots: matplotlib\S* is missing; .*'train'.*\n", capsys.readouterr().err)
    assert not (tmp_path / "plots").exists()


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--look-alikes", "1.5"], "--look-alikes 1.5: a share"),
        (["--without-animal", "nan"], "--without-animal nan: a share"),
        (["--rounds", "0"], "--rounds 0: at least 1"),
        (["--worst", "-1"], "--worst -1: at least 0"),
        (["--texts", "missing.jsonl"], "missing.jsonl"),
        (["--pictures", "missing"], "missing: no such"),
        (["--negatives", "missing"], "missing: no picture"),
        (["--release", "missing"], "missing"),
        (["--ner-checkpoint", "missing.ckpt"], "missing.ckpt: no such file"),
        (["--cls-checkpoint", "missing.ckpt"], "missing.ckpt: no such file"),
        (["--json", "."], ".: a folder"),
        (["--plots", __file__], "test_evaluation.py: a file"),
    ],
)
def test_bad_input_gives_one_line_and_exit_code_2(capsys, arguments, more, named):
    assert main([*arguments, *more]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert named in err


def test_labels_that_the_release_does_not_know_are_named(capsys, tmp_path, arguments, picture_folder):
    shutil.copytree(picture_folder, tmp_path / "pictures")
    (tmp_path / "pictures" / "owl").rename(tmp_path / "pictures" / "lamp")
    assert main([*arguments, "--pictures", str(tmp_path / "pictures")]) == 2
    assert "does not know lamp" in capsys.readouterr().err


def test_a_picture_that_cannot_be_read_is_named(capsys, tmp_path, arguments):
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and then nothing")
    assert main([*arguments, "--pictures", str(tmp_path)]) == 2
    assert "broken.jpg" in capsys.readouterr().err
