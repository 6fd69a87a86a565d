"""The command line in one process: training, going on, evaluating, predicting, and what it says of bad input."""

from __future__ import annotations

import csv
import json
import shutil
from collections import defaultdict

import pytest
import torch

from animal_cls.cli import main
from animal_cls.module import load_checkpoint


def checkpoints(tmp_path, version=0):
    return tmp_path / "runs" / "animal_cls" / f"version_{version}" / "checkpoints"


def refused(capsys, arguments) -> str:
    """The one line that the command line says of bad input."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    said = [line for line in captured.err.splitlines() if line.startswith("animal_cls: ")]
    assert len(said) == 1
    assert captured.err.endswith(said[0] + "\n")
    assert "Traceback" not in captured.err
    return said[0]


def predict_flags(tiny_model, tiny_trainer, checkpoint, *paths):
    listed = json.dumps([str(path) for path in paths])
    return ["predict", *tiny_model, *tiny_trainer, f"--ckpt_path={checkpoint}", f"--data.predict_paths={listed}"]


def test_a_training_goes_on_from_its_last_checkpoint(trained, fit_flags, tmp_path):
    first = torch.load(trained / "last.ckpt", weights_only=True)
    assert main(["fit", *fit_flags("--trainer.max_epochs=2", f"--ckpt_path={trained / 'last.ckpt'}")]) == 0
    second = torch.load(checkpoints(tmp_path) / "last.ckpt", weights_only=True)
    assert (first["epoch"], second["epoch"]) == (0, 1)
    assert second["global_step"] == 2 * first["global_step"]
    assert not torch.equal(first["state_dict"]["network.conv1.0.weight"], second["state_dict"]["network.conv1.0.weight"])


def test_a_teacher_that_is_not_there_is_named(fit_flags, capsys):
    line = refused(capsys, ["fit", *fit_flags("--model.teacher=gone.ckpt")])
    assert "model.teacher: gone.ckpt: no such file" in line
    assert "null learns from labels alone" in line


@pytest.mark.parametrize("command", ["validate", "test"])
def test_a_checkpoint_is_evaluated(trained, fit_flags, capsys, command):
    assert main([command, *fit_flags(f"--ckpt_path={trained / 'best.ckpt'}")]) == 0
    said = capsys.readouterr()
    prefix = "val" if command == "validate" else "test"
    assert all(f"{prefix}/{score}" in said.out + said.err for score in ("loss", "top1", "top5", "macro_f1"))


def test_evaluating_leaves_the_configuration_of_the_fit_as_it_was(trained, fit_flags):
    before = (trained.parent / "config.yaml").read_text()
    assert main(["test", *fit_flags(f"--ckpt_path={trained / 'best.ckpt'}", "--model.rate=0.5")]) == 0
    assert (trained.parent / "config.yaml").read_text() == before


def test_predict_prints_exactly_one_json_object_for_each_picture(
    trained, tiny_model, tiny_trainer, picture_folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    shutil.copy(picture_folder / "cat" / "0.jpg", mixed / "a.jpg")
    (mixed / "b.jpg").write_text("text")
    shutil.copy(picture_folder / "owl" / "0.jpg", mixed / "ç d.jpg")
    assert main(predict_flags(tiny_model, tiny_trainer, trained / "best.ckpt", mixed)) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["path"] for record in records] == [str(mixed / name) for name in ("a.jpg", "b.jpg", "ç d.jpg")]
    assert set(records[1]) == {"path", "error"}
    assert records[1]["error"].startswith(f"{mixed / 'b.jpg'}: not a picture")
    for record in (records[0], records[2]):
        assert set(record) == {"path", "label", "presence", "animals"}
        assert {animal["kind"] for animal in record["animals"]} == {"cat", "dog", "owl"}
        assert record["label"] == record["animals"][0]["kind"]
        assert 0 <= record["presence"] <= 1
    assert [path.name for path in tmp_path.iterdir()] == ["mixed"]


def test_predict_needs_neither_configuration_nor_training_data(trained, picture_folder, capsys):
    flags = ["--trainer.accelerator=cpu", "--data.num_workers=0", "--data.size=32"]
    picture = json.dumps([str(picture_folder / "dog" / "1.jpg")])
    assert main(["predict", *flags, f"--ckpt_path={trained / 'best.ckpt'}", f"--data.predict_paths={picture}"]) == 0
    (record,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    model = load_checkpoint(trained / "best.ckpt")
    from animal_cls.picture import load_picture

    image = torch.from_numpy(load_picture(picture_folder / "dog" / "1.jpg", 32).copy()).permute(2, 0, 1)[None]
    with torch.inference_mode():
        assert record["presence"] == pytest.approx(float(model(image).sigmoid().max()), abs=2e-4)


def test_another_set_of_classes_trains_with_only_the_folder_changed(fit_flags, picture_folder, tmp_path):
    shutil.copytree(picture_folder / "cat", tmp_path / "lamps" / "acme lamps")
    shutil.copytree(picture_folder / "dog", tmp_path / "lamps" / "zenith lamps")
    assert main(["fit", *fit_flags(f"--data.root={tmp_path / 'lamps'}")]) == 0
    assert load_checkpoint(checkpoints(tmp_path) / "best.ckpt").classes == ["acme lamps", "zenith lamps"]


def test_a_table_trains_and_its_groups_stay_together(fit_flags, picture_folder, tmp_path):
    table = tmp_path / "table.csv"
    with table.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label", "group"])
        writer.writerows([f"{kind}/{i}.jpg", kind, f"{kind} {i // 3}"] for kind in ("cat", "owl") for i in range(12))
    shares = ("--data.val=0.25", "--data.test=0.25")
    assert main(["fit", *fit_flags(f"--data.table={table}", "--data.negatives=null", *shares)]) == 0
    sides = defaultdict(set)
    with (tmp_path / "split.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            kind, name = row["path"].rsplit("/", 2)[-2:]
            sides[kind, int(name.split(".")[0]) // 3].add(row["split"])
    assert len(sides) == 8
    assert all(len(side) == 1 for side in sides.values())
    assert {"train", "val", "test"} == set().union(*sides.values())


@pytest.mark.parametrize("command", ["fit", "validate"])
def test_a_checkpoint_of_other_classes_than_the_data_is_refused(trained, fit_flags, picture_folder, tmp_path, capsys, command):
    shutil.copytree(picture_folder / "cat", tmp_path / "lamps" / "acme lamps")
    shutil.copytree(picture_folder / "dog", tmp_path / "lamps" / "zenith lamps")
    said = refused(capsys, [command, *fit_flags(f"--data.root={tmp_path / 'lamps'}", f"--ckpt_path={trained / 'last.ckpt'}")])
    assert "3 classes (cat, dog, owl" in said
    assert "2 (acme lamps, zenith lamps" in said
    assert "number 1 is 'cat' there and 'acme lamps' in the data" in said


@pytest.mark.parametrize("command", ["fit", "validate", "predict"])
@pytest.mark.parametrize("kind", ["of another task", "of another framework", "text", "absent"])
def test_a_checkpoint_of_something_else_is_refused_and_named(trained, fit_flags, tmp_path, capsys, command, kind):
    file = tmp_path / "other.ckpt"
    if kind == "text":
        file.write_text("text")
    elif kind == "of another task":
        torch.save({"task": "animal_ner", "hyper_parameters": {"encoder": "minilm"}, "state_dict": {}}, file)
    elif kind == "of another framework":
        torch.save(torch.load(trained / "last.ckpt", weights_only=True)["state_dict"], file)
    assert str(file) in refused(capsys, [command, *fit_flags(f"--ckpt_path={file}")])


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_commands_that_need_a_trained_classifier_say_so(fit_flags, capsys, command):
    assert refused(capsys, [command, *fit_flags()]).startswith(f"animal_cls: {command} needs a trained classifier")


# What is wrong: the flags, and what the message must name; {tmp} and {pictures} stand for folders.
BAD_FITS = {
    "missing root": (["--data.root={tmp}/absent"], ["{tmp}/absent: no such folder"]),
    "no root": (["--data.root=null"], ["data.root"]),
    "one class": (["--data.root={tmp}/one"], ["{tmp}/one: only 'cat' found"]),
    "broken picture": (
        ["--data.root={tmp}/broken", "--data.max_unreadable=0"],
        ["1 of 46 pictures", "{tmp}/broken/cat/0.jpg: not a picture"],
    ),
    "table without a column": (["--data.table={tmp}/column.csv"], ["{tmp}/column.csv", "label"]),
    "table of a missing file": (["--data.table={tmp}/file.csv"], ["{tmp}/file.csv, line 3: {pictures}/dog/77.jpg"]),
    "missing table": (["--data.table={tmp}/absent.csv"], ["{tmp}/absent.csv: no such file"]),
    "missing negatives": (["--data.negatives={tmp}/absent"], ["{tmp}/absent", "data.negatives"]),
    "split of other pictures": (["--data.split_file={tmp}/other.csv"], ["{tmp}/other.csv: says nothing of {pictures}/cat/0.jpg"]),
    "shares": (["--data.val=0.9", "--data.test=0.2"], ["data.val 0.9"]),
    "missing weights": (["--model.weights={tmp}/absent.pth"], ["{tmp}/absent.pth: no such file"]),
    "unknown backbone": (["--model.backbone=mobilnet"], ["'mobilnet'"]),
    "no linear layer": (["--model.backbone=squeezenet1_1"], ["SqueezeNet"]),
}


@pytest.mark.parametrize("name", BAD_FITS)
def test_a_fit_that_cannot_be_is_refused_in_one_line_that_names_what_is_wrong(name, fit_flags, tmp_path, picture_folder, capsys):
    shutil.copytree(picture_folder / "cat", tmp_path / "one" / "cat")
    shutil.copytree(picture_folder, tmp_path / "broken")
    (tmp_path / "broken" / "cat" / "0.jpg").write_text("text")
    (tmp_path / "column.csv").write_text("path,kind\ncat/0.jpg,cat\n")
    (tmp_path / "file.csv").write_text("path,label\ncat/0.jpg,cat\ndog/77.jpg,dog\n")
    (tmp_path / "other.csv").write_text("path,label,split\na.jpg,cat,train\n")
    flags, named = ([words.format(tmp=tmp_path, pictures=picture_folder) for words in part] for part in BAD_FITS[name])
    said = refused(capsys, ["fit", *fit_flags(*flags)])
    assert all(words in said for words in named), said


def test_a_missing_picture_to_predict_is_refused(trained, tiny_model, tiny_trainer, tmp_path, capsys):
    said = refused(capsys, predict_flags(tiny_model, tiny_trainer, trained / "best.ckpt", tmp_path / "absent.jpg"))
    assert f"{tmp_path / 'absent.jpg'}: no such file or folder" in said


def test_an_unknown_flag_is_named_with_exit_code_2(fit_flags, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["fit", *fit_flags("--model.colour=red")])
    assert caught.value.code == 2
    assert "model.colour" in capsys.readouterr().err
