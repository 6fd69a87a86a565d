"""Corrections: reading them, matching them with pictures, and what training makes of them."""

from __future__ import annotations

import csv
import logging
import shutil

import pytest

from animal_cls.cli import main
from animal_cls.corrections import Correction, CorrectionError, read_corrections, right_labels, write_corrections
from animal_cls.data import PictureDataModule
from animal_cls.examples import read_examples
from animal_cls.split import Side, SplitError

HEADER = "path,label,correction,reason\n"


@pytest.fixture
def module(picture_folder, negatives_folder, tmp_path):
    """A data module of the three colours and the grey pictures with the given rows of corrections, split and set up."""

    def build(rows=None, root=picture_folder):
        file = tmp_path / "corrections.csv"
        if rows is not None:
            file.write_text(HEADER + "\n".join(rows) + "\n", encoding="utf-8")
        data = PictureDataModule(
            root=str(root),
            negatives=str(negatives_folder),
            corrections=str(file) if rows is not None else None,
            split_file=str(tmp_path / "split.csv"),
            val=0.2,
            test=0.2,
        )
        data.prepare_data()
        data.setup("fit")
        return data

    return build


def labels_of(data):
    return {(side, e.path.parent.name + "/" + e.path.name): e.label for side in Side for e in data.pictures(side).examples}


def test_what_is_written_is_read(tmp_path):
    corrections = [Correction("a/1.jpg", "a", "b", "shows a b, no a"), Correction("1.jpg", "", "", 'a "cat"')]
    write_corrections(tmp_path / "new" / "corrections.csv", corrections)
    assert read_corrections(tmp_path / "new" / "corrections.csv") == [(2, corrections[0]), (3, corrections[1])]
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["corrections.csv"]


def test_relabelled_pictures_join_their_class_and_those_without_a_correction_are_left_out(module, picture_folder, negatives_folder, caplog):
    before = labels_of(module())
    with caplog.at_level(logging.INFO, logger="animal_cls"):
        after = labels_of(module(["cat/3.jpg,cat,dog,shows a dog", "owl/5.jpg,owl,,no animal", "7.jpg,,,shows a cat", "8.jpg,,cat,a cat"]))
    gone = {f"{negatives_folder.name}/7.jpg", "owl/5.jpg"}
    changed = {"cat/3.jpg": "dog", f"{negatives_folder.name}/8.jpg": "cat"}
    assert after == {(side, name): changed.get(name, label) for (side, name), label in before.items() if name not in gone}
    assert "corrections.csv: 2 pictures relabelled, 2 left out" in caplog.text


def test_a_split_is_the_same_with_corrections_and_without(module, tmp_path):
    module(["cat/3.jpg,cat,dog,shows a dog", "owl/5.jpg,owl,,no animal"])
    corrected = (tmp_path / "split.csv").read_bytes()
    (tmp_path / "split.csv").unlink()
    module()
    assert (tmp_path / "split.csv").read_bytes() == corrected


def test_a_broken_picture_that_is_left_out_stops_nothing(module, picture_folder, tmp_path):
    shutil.copytree(picture_folder, tmp_path / "pictures")
    (tmp_path / "pictures" / "cat" / "broken.jpg").write_text("text")
    data = module(["cat/broken.jpg,cat,,cannot be read"], root=tmp_path / "pictures")
    assert len(labels_of(data)) == 46


def test_corrections_that_leave_nothing_to_learn_a_class_from_are_refused(module):
    with pytest.raises(SplitError, match="no picture of owl on the train side"):
        module([f"owl/{i}.jpg,owl,dog,shows a dog" for i in range(12)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label\ncat/0.jpg,cat\n", ": columns are path,label; path,label,correction,reason are needed"),
        ("", ": columns are none; path,label,correction,reason are needed"),
        ("path,label,finding,correction,reason\n", "are needed; collect what a review of findings decided first"),
        (HEADER + "cat/0.jpg,cat,,a toy, or a drawing\n", ", line 2: not as many cells as columns (4); quote commas"),
        (HEADER + "cat/0.jpg,cat\n", ", line 2: not as many cells as columns (4)"),
        (HEADER + "cat/0.jpg,cat,,\n\ncat/99.jpg,cat,dog,\n", ", line 4: cat/99.jpg: no picture of the data (looked in "),
        (HEADER + ",cat,dog,\n", ", line 2: path is empty: no picture of the data"),
        (HEADER + "cat/0.jpg,dog,owl,\n", ", line 2: cat/0.jpg: the data's label is 'cat', not 'dog'; judge the picture anew"),
        (HEADER + "0.jpg,cat,dog,\n", ", line 2: 0.jpg: the data's label is '', not 'cat'"),
        (HEADER + "cat/0.jpg,cat,wolf,\n", ", line 2: cat/0.jpg: 'wolf' is no class of the data; name one, or nothing"),
        (HEADER + "cat/0.jpg,cat,dog,\ncat/0.jpg,cat,,\n", ", line 3: cat/0.jpg: is on line 2 already"),
        ((HEADER + "cat/0.jpg,k\xe4tzchen,,\n").encode("latin-1"), ": not UTF-8 text (invalid continuation byte"),
    ],
)
def test_corrections_that_fit_no_data_are_named_with_the_line(module, tmp_path, content, message, picture_folder, negatives_folder):
    file = tmp_path / "wrong.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    examples = module()._all_examples()
    with pytest.raises(CorrectionError) as caught:
        right_labels(file, examples, folders=[picture_folder, negatives_folder])
    assert str(caught.value).startswith(f"{file}{message}") or message in str(caught.value)


def test_a_missing_file_of_corrections_is_one_line_and_exit_code_2(fit_flags, tmp_path, capsys):
    assert main(["fit", *fit_flags(f"--data.corrections={tmp_path / 'absent.csv'}")]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert (
        errors[-1] == f"animal_cls: {tmp_path / 'absent.csv'}: no such file; it must be a CSV with the columns path,label,correction,reason"
    )
    assert not (tmp_path / "split.csv").exists()


def test_a_table_s_paths_and_labels_are_corrected_as_well(picture_folder, tmp_path):
    table = tmp_path / "table.csv"
    with table.open("w", newline="") as stream:
        csv.writer(stream).writerows([["path", "label"], ["cat/0.jpg", "acme lamp"], ["dog/0.jpg", "zenith lamp"]])
    (tmp_path / "c.csv").write_text(HEADER + "cat/0.jpg,acme lamp,zenith lamp,seen\n")
    examples = read_examples(picture_folder, table)
    assert right_labels(tmp_path / "c.csv", examples, folders=[picture_folder]) == {picture_folder / "cat" / "0.jpg": "zenith lamp"}


def test_cells_that_a_spreadsheet_would_run_are_stored_safely_and_come_back(tmp_path):
    file = tmp_path / "corrections.csv"
    correction = Correction("=cmd|' /C calc'!A0.jpg", "-dog", "@cat", "\tlooks like one")
    write_corrections(file, [correction])
    assert "'=cmd" in file.read_text()
    assert [each for _, each in read_corrections(file)] == [correction]
