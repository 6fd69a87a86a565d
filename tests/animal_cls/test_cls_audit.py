"""The audit: what it finds among coloured pictures, what a reviewer gets, and what becomes of the answers."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from animal_cls.audit import COLUMNS, Finding, _parser, collect_corrections, main, predict_out_of_fold, write_findings
from animal_cls.corrections import Correction, CorrectionError, read_corrections
from animal_cls.data import PictureDataModule
from animal_cls.network import build_network, load_weights

ROOT = Path(__file__).parents[2]
BACKBONE = "shufflenet_v2_x0_5"


@pytest.fixture
def weights(tmp_path):
    """Random weights of a very small network: its features still tell colours apart."""
    torch.manual_seed(0)
    torch.save(build_network(BACKBONE, outputs=1000).state_dict(), tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


@pytest.fixture
def dirty_folder(picture_folder, tmp_path):
    """The coloured pictures; one dog lies among the cats, one cat among the owls again, one is broken, one tiny."""
    root = tmp_path / "dirty"
    shutil.copytree(picture_folder, root)
    (root / "dog" / "3.jpg").rename(root / "cat" / "wrong.jpg")
    shutil.copy(root / "cat" / "5.jpg", root / "owl" / "again.jpg")
    (root / "owl" / "broken.jpg").write_bytes((root / "owl" / "0.jpg").read_bytes()[:300])
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)).save(root / "dog" / "tiny.png")
    return root


@pytest.fixture
def find(dirty_folder, negatives_folder, weights, tmp_path):
    """Run ``find`` on the dirty pictures; more flags may follow."""

    def run(*more):
        given = ["find", f"--root={dirty_folder}", f"--negatives={negatives_folder}", f"--output={tmp_path / 'findings.csv'}"]
        network = [f"--backbone={BACKBONE}", f"--weights={weights}", "--padding=torchvision", "--size=64", "--num-workers=0"]
        return main([*given, *network, "--smallest=40", *more])

    return run


def rows_of(file):
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_wrong_labels_duplicates_and_unusable_files_are_found(find, tmp_path):
    assert find() == 0
    rows = rows_of(tmp_path / "findings.csv")
    assert tuple(rows[0]) == COLUMNS
    assert all((row["correction"], row["reason"]) == ("", "") and 0 <= float(row["confidence"]) <= 1 for row in rows)
    found = {(row["path"], row["label"], row["finding"], row["suggestion"]) for row in rows}
    assert {
        ("cat/wrong.jpg", "cat", "looks like dog", "dog"),
        ("dog/tiny.png", "dog", "tiny (30 x 20 pixels)", "drop"),
        ("owl/again.jpg", "owl", "nearly the same as cat/5.jpg, a cat", ""),
    } <= found
    broken = next(row for row in rows if row["path"] == "owl/broken.jpg")
    assert broken["finding"].startswith("cannot be read: not a picture")
    assert broken["suggestion"] == "drop"
    assert len({row["path"] for row in rows}) < 49 / 2  # the other labels are right; features of random weights tell most of them


def test_the_defaults_are_those_of_the_release(monkeypatch):
    monkeypatch.chdir(ROOT)
    given = vars(_parser().parse_args(["find", "--root=photos", "--output=findings.csv"]))
    manifest = json.loads(Path(given["weights"]).with_name("manifest.json").read_text(encoding="utf-8"))
    trained = manifest["training"]["animal_cls"]["config"]["model"]
    assert {name: given[name] for name in ("backbone", "padding", "mean", "std", "size")} == {
        name: trained[name] for name in ("backbone", "padding", "mean", "std", "size")
    }
    network = build_network(given["backbone"], outputs=2, padding=given["padding"])
    load_weights(network, given["weights"], backbone=given["backbone"])


def test_contact_sheets_show_every_finding(find, tmp_path):
    assert find(f"--sheets={tmp_path / 'sheets'}") == 0
    assert [file.name for file in (tmp_path / "sheets").iterdir()] == ["001.png"]
    with Image.open(tmp_path / "sheets" / "001.png") as sheet:
        assert sheet.size == (900, 1080)


def test_reviewed_findings_become_corrections_that_training_applies(find, dirty_folder, negatives_folder, tmp_path, capsys):
    find()
    answers = {"cat/wrong.jpg": "dog", "owl/broken.jpg": "drop", "owl/again.jpg": "drop"}
    rows = rows_of(tmp_path / "findings.csv")
    for row in rows:
        row["correction"] = answers.get(row["path"], "")
    with (tmp_path / "findings.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    output = tmp_path / "corrections.csv"
    assert main(["collect", f"--findings={tmp_path / 'findings.csv'}", f"--output={output}"]) == 0
    assert "1 pictures relabelled, 2 left out" in capsys.readouterr().err
    assert {(c.path, c.label, c.correction) for _, c in read_corrections(output)} == {
        ("cat/wrong.jpg", "cat", "dog"),
        ("owl/broken.jpg", "owl", ""),
        ("owl/again.jpg", "owl", ""),
    }
    data = PictureDataModule(
        root=str(dirty_folder), negatives=str(negatives_folder), corrections=str(output), split_file=str(tmp_path / "split.csv")
    )
    data.prepare_data()
    data.setup("fit")


def test_the_reason_is_the_reviewer_s_or_the_finding_and_rows_without_an_answer_change_nothing(tmp_path):
    findings = [
        Finding("a.jpg", "cat", "looks like dog", "dog", 0.9, "dog", "a terrier"),
        Finding("b.jpg", "cat", "looks like dog", "dog", 0.8, " drop "),
        Finding("c.jpg", "cat", "looks like dog", "dog", 0.7),
    ]
    write_findings(tmp_path / "f.csv", findings)
    assert collect_corrections(tmp_path / "f.csv") == [
        Correction("a.jpg", "cat", "dog", "a terrier"),
        Correction("b.jpg", "cat", "", "looks like dog"),
    ]


def test_two_answers_about_one_picture_are_refused(tmp_path, capsys):
    answers = [Finding("a.jpg", "cat", "tiny", "drop", 1.0, answer) for answer in ("drop", "dog")]
    write_findings(tmp_path / "f.csv", answers)
    with pytest.raises(CorrectionError, match=r"f\.csv, line 3: a\.jpg is 'dog' here and otherwise on line 2"):
        collect_corrections(tmp_path / "f.csv")
    assert main(["collect", f"--findings={tmp_path / 'f.csv'}", f"--output={tmp_path / 'c.csv'}"]) == 2
    assert not (tmp_path / "c.csv").exists()


def test_findings_that_nobody_reviewed_are_no_corrections(tmp_path):
    write_findings(tmp_path / "f.csv", [Finding("a.jpg", "cat", "tiny", "drop", 1.0)])
    with pytest.raises(CorrectionError, match="collect what a review of findings decided first"):
        read_corrections(tmp_path / "f.csv")


def test_near_duplicates_never_predict_each_other():
    # Two pictures with the same odd label and the same features: whoever saw one would predict the other.
    chance = np.random.default_rng(0)
    features = np.concatenate([chance.normal(3, 0.1, (10, 4)), chance.normal(-3, 0.1, (10, 4))]).astype(np.float32)
    labels = np.array([0] * 8 + [1, 1] + [1] * 10)
    features[9] = features[8]
    clusters = [*range(8), 8, 8, *range(10, 20)]
    probabilities = predict_out_of_fold(features, labels, clusters, folds=4, seed=0)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert (probabilities[8:10, 0] > 0.5).all()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--backbone=absent"], "backbone 'absent': not a classification model"),
        (["--weights=absent.pth"], "weights absent.pth: no such file"),
        (["--root=absent"], "absent: no such folder"),
        (["--negatives=absent"], "absent: no such folder (--negatives)"),
        (["--folds=99"], "99 folds need as many"),
        (["--folds=1"], "1 folds: "),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(find, tmp_path, capsys, flags, message):
    assert find(*flags) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("audit: ")
    assert message in last
    assert not (tmp_path / "findings.csv").exists()
