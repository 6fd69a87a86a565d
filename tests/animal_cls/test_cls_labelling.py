"""Predict writes a table, a person corrects it, fit reads it."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

from animal_cls.cli import main
from animal_cls.labelling import COLUMNS, is_uncertain, table_row
from animal_cls.module import load_checkpoint


@pytest.mark.parametrize(
    ("presences", "uncertain"),
    [
        ([0.9, 0.1], False),
        ([0.49, 0.0], True),
        ([0.5, 0.3], False),
        ([0.9, 0.75, 0.0], True),
        ([0.9], False),
    ],
)
def test_a_person_looks_when_nothing_is_likely_or_two_are_about_as_likely(presences, uncertain):
    assert is_uncertain(presences, sure=0.5, margin=0.2) == uncertain


def test_a_row_names_label_confidence_doubt_and_the_next_likeliest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    animals = [{"kind": "=cat", "probability": 0.8125}, {"kind": "dog", "probability": 0.7}]
    record = {"path": "a.jpg", "label": "=cat", "presence": 0.8125, "animals": animals}
    assert table_row(record, sure=0.5, margin=0.2) == [str(tmp_path / "a.jpg"), "'=cat", "0.8125", "yes", "dog 0.7000"]
    assert table_row(record, sure=0.5, margin=0.1)[3] == ""
    broken = {"path": "/b.jpg", "error": "/b.jpg: no such file"}
    assert table_row(broken, sure=0, margin=0) == ["/b.jpg", "", "", "yes", "/b.jpg: no such file"]


def read(file):
    with file.open(newline="", encoding="utf-8-sig") as stream:
        return list(csv.DictReader(stream))


def write(file, rows):
    with file.open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def predict(trained, tiny_model, tiny_trainer, tmp_path, monkeypatch):
    """Run predict on a folder with a table to write, by default with the checkpoint of the session."""
    monkeypatch.chdir(tmp_path)

    def run(folder, *more, checkpoint=trained / "best.ckpt"):
        flags = [*tiny_model, *tiny_trainer, f"--ckpt_path={checkpoint}", f"--data.predict_paths={json.dumps([str(folder)])}"]
        return main(["predict", *flags, "--predictions.file=labels.csv", *more])

    return run


def test_a_table_has_a_row_for_each_picture_as_the_lines_say(predict, picture_folder, tmp_path, capsys):
    assert predict(picture_folder, "--predictions.sure=0.3") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    rows = read(tmp_path / "labels.csv")
    assert tuple(rows[0]) == COLUMNS
    assert [(row["path"], row["label"], float(row["confidence"])) for row in rows] == [
        (record["path"], record["label"], record["presence"]) for record in records
    ]
    assert len(rows) == 36
    assert [path.name for path in tmp_path.iterdir()] == ["labels.csv"]


def test_without_a_table_predict_leaves_no_file(predict, picture_folder, tmp_path):
    assert predict(picture_folder / "cat", "--predictions.file=null") == 0
    assert not list(tmp_path.iterdir())


def test_a_corrected_table_trains_and_what_waits_is_left_out(predict, fit_flags, picture_folder, negatives_folder, tmp_path, caplog):
    shutil.copytree(picture_folder, tmp_path / "new")
    shutil.copy(negatives_folder / "0.jpg", tmp_path / "new" / "nothing.jpg")
    (tmp_path / "new" / "zz broken.jpg").write_text("text")
    assert predict("new", "--predictions.sure=1") == 0
    rows = read(tmp_path / "labels.csv")
    assert {row["uncertain"] for row in rows} == {"yes"}
    renamed = {"cat": "=1+1", "dog": "- dog", "owl": "@owl"}
    for row in rows:
        kind = row["path"].split("/")[-2]
        if kind in renamed:
            row |= {"label": renamed[kind], "uncertain": ""}
        elif row["path"].endswith("nothing.jpg"):
            row |= {"label": "-", "uncertain": "no"}
    rows[0]["uncertain"] = "yes"
    write(tmp_path / "labels.csv", rows)
    assert main(["fit", *fit_flags("--data.root=.", "--data.table=labels.csv", "--data.negatives=null")]) == 0
    assert "labels.csv: rows left out: 1 still marked uncertain, 1 without a label" in caplog.text
    trained_anew = tmp_path / "runs" / "animal_cls" / "version_0" / "checkpoints" / "best.ckpt"
    assert load_checkpoint(trained_anew).classes == ["- dog", "=1+1", "@owl"]
    assert len(read(tmp_path / "split.csv")) == 36
    # And round again: what the new classes begin with comes back from the table as it was.
    assert predict("new", "--predictions.file=again.csv", "--predictions.sure=0", "--predictions.margin=0", checkpoint=trained_anew) == 0
    again = read(tmp_path / "again.csv")
    assert {row["label"] for row in again} <= {"'- dog", "'=1+1", "'@owl", ""}
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in again for cell in row.values())
    from animal_cls.data import PictureDataModule

    for row, kind in zip(again, ("'=1+1", "'- dog", "'@owl"), strict=False):
        row["label"] = kind
    write(tmp_path / "again.csv", again)
    assert PictureDataModule(root=".", table="again.csv").classes == ["- dog", "=1+1", "@owl"]


def test_a_table_that_is_there_is_never_overwritten(predict, picture_folder, tmp_path, capsys):
    (tmp_path / "labels.csv").write_text("corrected by hand")
    assert predict(picture_folder) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1].startswith("animal_cls: labels.csv: is there already, maybe corrected by hand; name another file")
    assert (tmp_path / "labels.csv").read_text() == "corrected by hand"


def test_a_table_whose_folder_cannot_be_is_refused_before_any_picture(predict, picture_folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert predict(picture_folder, "--predictions.file=file/labels.csv") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "file/labels.csv: cannot be written" in said.err


@pytest.mark.parametrize("flag", ["--predictions.sure=1.5", "--predictions.margin=-0.1"])
def test_thresholds_are_probabilities(predict, picture_folder, capsys, flag):
    with pytest.raises(SystemExit) as caught:
        predict(picture_folder, flag)
    assert caught.value.code == 2
    assert flag.split("=")[0].removeprefix("--") in capsys.readouterr().err
