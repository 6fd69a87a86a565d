"""From sentences and pictures to verdicts: fit both models, export them, verify."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from animal_cls.cli import main as animal_cls
from animal_ner.cli import main as animal_ner
from verifier import InputError, Verifier
from verifier.cli import main as verify
from verifier.evaluation import main as evaluate
from verifier.export import RELEASE_FILES, _replaced
from verifier.export import main as export
from verifier.release import FILES, SHIPPED

ROOT = Path(__file__).parents[2]
KINDS = ("cat", "dog", "owl")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory, picture_folder, negatives_folder, encoder_folder, sentence_file):
    """Checkpoints of a tagger and a classifier that have learnt the fixtures' ten sentences and three colours."""
    runs = tmp_path_factory.mktemp("runs")
    trainer = ["--trainer.accelerator=cpu", "--trainer.precision=32-true", f"--trainer.logger.init_args.save_dir={runs}"]
    tagger = [
        f"--model.encoder={encoder_folder}",
        "--model.window=32",
        "--model.rate=0.003",
        "--model.freeze_words=false",
        "--model.smoothing=0",
    ]
    sentences = [f"--data.{side}=['{sentence_file}']" for side in ("train", "val", "test")]
    config = ["fit", f"--config={ROOT / 'configs/animal_ner/minilm.yaml'}"]
    variation = [
        "--data.generated=0",
        "--data.drawn=0",
        "--data.borrowed=null",
        "--data.swapped=0",
        "--data.by_heart=true",
        "--data.batch_size=4",
        "--trainer.max_epochs=60",
        "--trainer.check_val_every_n_epoch=20",
    ]
    assert animal_ner([*config, *trainer, *tagger, *sentences, *variation]) == 0
    classifier = [
        "--model.backbone=shufflenet_v2_x0_5",
        "--model.padding=torchvision",
        "--model.weights=none",
        "--model.imagenet=false",
        "--model.size=32",
    ]
    classifier += ["--model.probe_epochs=0", "--model.rate=0.003", "--model.freeze_batch_norm=false", "--model.composed=0"]
    pictures = [f"--data.root={picture_folder}", f"--data.negatives={negatives_folder}", f"--data.split_file={runs / 'split.csv'}"]
    pictures += ["--data.size=32", "--data.train_size=32", "--data.num_workers=0", "--data.batch_size=8", "--data.smallest_crop=0.9"]
    config = [
        "fit",
        f"--config={ROOT / 'configs/animal_cls/efficientnet_lite2.yaml'}",
        "--data.corrections=null",
        "--trainer.max_epochs=100",
        "--data.colour=0",
        "--trainer.check_val_every_n_epoch=50",
    ]
    assert animal_cls([*config, *trainer, *classifier, *pictures]) == 0
    return {model: runs / model / "version_0" / "checkpoints" / "last.ckpt" for model in ("animal_ner", "animal_cls")}


@pytest.fixture(scope="module")
def release(checkpoints, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "release"
    assert (
        export(
            [
                "--ner-checkpoint",
                str(checkpoints["animal_ner"]),
                "--cls-checkpoint",
                str(checkpoints["animal_cls"]),
                "--output",
                str(folder),
                "--data-licence",
                "made by these tests",
            ]
        )
        == 0
    )
    return folder


@pytest.mark.slow
def test_a_release_is_made_of_two_checkpoints_and_describes_itself(release):
    assert {path.name for path in release.iterdir()} == {*FILES, "manifest.json", "MODEL_CARD.md"}
    manifest = json.loads((release / "manifest.json").read_text())
    assert manifest["kinds"] == list(KINDS)
    assert 0 < manifest["threshold"] < 1
    assert set(manifest["sha256"]) == set(FILES)
    assert manifest["training"]["animal_cls"]["config"]["model"]["backbone"] == "shufflenet_v2_x0_5"
    assert 0 <= manifest["training"]["animal_cls"]["validation"]["ece"] <= 1
    card = (release / "MODEL_CARD.md").read_text()
    assert "Licence of the data: made by these tests." in card
    assert "shufflenet_v2_x0_5, 32 x 32 pixels" in card


@pytest.mark.slow
def test_release_and_checkpoints_give_the_same_verdicts(release, checkpoints, picture_folder):
    pairs = [(f"there is a {kind}", picture) for kind in KINDS for picture in sorted(picture_folder.rglob("*.jpg"))[::5]]
    exported = list(Verifier(release).verify_batch(pairs))
    trained = list(
        Verifier.from_checkpoints(ner=checkpoints["animal_ner"], cls=checkpoints["animal_cls"], release=release).verify_batch(pairs)
    )
    assert [v.answer for v in exported] == [v.answer for v in trained]
    assert [v.probability for v in exported] == pytest.approx([v.probability for v in trained], abs=0.02)


@pytest.mark.slow
def test_an_evaluation_tells_how_many_pairs_checkpoints_answer_otherwise(release, checkpoints, picture_folder, sentence_file, capsys):
    pairs = ["--texts", str(sentence_file), "--pictures", str(picture_folder), "--release", str(release)]
    models = [flag for model in ("ner", "cls") for flag in (f"--{model}-checkpoint", str(checkpoints[f"animal_{model}"]))]
    assert evaluate([*pairs, *models]) == 0
    told = re.search(r"^the checkpoints answer (\d+) of (\d+) pairs otherwise", capsys.readouterr().out, re.MULTILINE)
    assert int(told[1]) <= int(told[2]) / 10
    assert evaluate([*pairs[:-2], *models]) == 2  # beside the shipped release, which knows more kinds
    assert "knows other kinds than the release" in capsys.readouterr().err


@pytest.mark.slow
def test_what_was_learnt_is_what_is_answered(release, picture_folder):
    verifier = Verifier(release)
    right = [
        verifier.verify(f"there is a {claimed}", picture_folder / shown / f"{i}.jpg").answer == (claimed == shown)
        for claimed in KINDS
        for shown in KINDS
        for i in range(12)
    ]
    assert sum(right) / len(right) > 0.8


@pytest.mark.slow
@pytest.mark.parametrize(("form", "model"), [("transformers", "ner"), ("safetensors", "cls"), ("pt2", "cls")])
def test_one_model_goes_to_the_format_of_another_library_and_an_earlier_export_is_replaced(checkpoints, tmp_path, form, model):
    flags = ["--format", form, f"--{model}-checkpoint", str(checkpoints[f"animal_{model}"]), "--output", str(tmp_path / "made")]
    assert [export(flags), export(flags)] == [0, 0]
    names = {path.name for path in (tmp_path / "made").iterdir()}
    assert {"transformers": "config.json", "safetensors": "classifier.safetensors", "pt2": "classifier.pt2"}[form] in names
    if model == "cls":
        told = json.loads((tmp_path / "made" / "classifier.json").read_text())
        assert told["classes"] == list(KINDS)
        assert told["calibration"]["scale"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


@pytest.mark.slow
def test_a_folder_of_other_files_is_never_replaced(checkpoints, tmp_path, capsys):
    (tmp_path / "thesis.pdf").write_text("three years")
    flags = ["--format", "transformers", "--ner-checkpoint", str(checkpoints["animal_ner"]), "--output"]
    assert export([*flags, str(tmp_path)]) == 2
    assert f"{tmp_path}: holds thesis.pdf, which would be lost; name a new folder" in capsys.readouterr().err
    assert export([*flags, str(tmp_path / "thesis.pdf")]) == 2
    assert "thesis.pdf: a file; --output takes a folder" in capsys.readouterr().err
    assert (tmp_path / "thesis.pdf").read_text() == "three years"


@pytest.mark.slow
@pytest.mark.parametrize("swapped", ["ner", "cls"])
def test_the_checkpoint_of_the_other_model_is_refused_by_name(capsys, checkpoints, picture_folder, swapped):
    other = checkpoints["animal_cls" if swapped == "ner" else "animal_ner"]
    assert verify(["--text", "a cat", "--image", str(picture_folder / "cat/0.jpg"), f"--{swapped}-checkpoint", str(other)]) == 2
    error = capsys.readouterr().err
    assert str(other) in error
    assert error.count("\n") == 1


OFFLINE = """
import sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        raise SystemExit(f"{event} {arguments}")
sys.addaudithook(refuse)
from verifier.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_checkpoints_answer_without_the_network(release, checkpoints, picture_folder):
    arguments = ["--text", "there is a cat", "--image", picture_folder / "cat/0.jpg", "--release", release]
    arguments += ["--ner-checkpoint", checkpoints["animal_ner"], "--cls-checkpoint", checkpoints["animal_cls"]]
    answered = subprocess.run([sys.executable, "-c", OFFLINE, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answered.stdout in {"true\n", "false\n"}, answered.stderr


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    file = tmp_path / "other.ckpt"
    file.write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match=r"other\.ckpt"):
        Verifier.from_checkpoints(cls=file)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--cls-checkpoint", "a.ckpt"], "--format onnx needs --ner-checkpoint"),
        (["--format", "pt2", "--ner-checkpoint", "a.ckpt"], "--format pt2 takes no --ner-checkpoint"),
        (["--format", "transformers"], "--format transformers needs --ner-checkpoint"),
        (["--format", "tflite", "--ner-checkpoint", "a.ckpt"], "invalid choice: 'tflite'"),
    ],
)
def test_flags_that_do_not_go_together_are_named_with_exit_code_2(capsys, tmp_path, flags, message):
    with pytest.raises(SystemExit) as caught:
        export([*flags, "--output", str(tmp_path / "made")])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_exporting_without_checkpoints_names_the_missing_one(capsys, tmp_path):
    flags = [
        "--ner-checkpoint",
        str(tmp_path / "a.ckpt"),
        "--cls-checkpoint",
        str(tmp_path / "b.ckpt"),
        "--output",
        str(tmp_path / "release"),
    ]
    assert export(flags) == 2
    assert "a.ckpt: no such file" in capsys.readouterr().err
    assert not (tmp_path / "release").exists()


@pytest.mark.slow
def test_models_that_int8_would_change_keep_float16_weights_in_place_of_a_refusal(checkpoints, tmp_path, monkeypatch):
    import verifier.export as exporting

    def ruin(full, file, *_):
        model = onnx.load(full)
        for tensor in model.graph.initializer:
            if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1:
                tensor.CopyFrom(numpy_helper.from_array(np.zeros(tuple(tensor.dims), np.float32), tensor.name))
        onnx.save(model, file)

    monkeypatch.setattr(exporting, "quantize_transformer", ruin)
    monkeypatch.setattr(exporting, "quantize_convolutions", ruin)
    manifest = exporting.export(checkpoints["animal_ner"], checkpoints["animal_cls"], tmp_path / "release")
    assert [manifest.training[model]["validation"]["weights"] for model in ("animal_ner", "animal_cls")] == ["float16", "float16"]
    assert manifest.training["animal_ner"]["validation"]["f1"] == manifest.training["animal_ner"]["validation"]["f1_of_checkpoint"]
    assert Verifier(tmp_path / "release").read("there is a cat")


def test_an_export_that_stops_before_its_last_step_leaves_the_former_release(monkeypatch, tmp_path):

    output = tmp_path / "release"
    output.mkdir()
    (output / "manifest.json").write_text("former")
    replace, done = Path.replace, []

    def stop_at_the_second(self, target):
        done.append(self)
        if len(done) == 2:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt), _replaced(output, RELEASE_FILES) as made:
        (made / "manifest.json").write_text("new")
    assert (output / "manifest.json").read_text() == "former"
    assert [path.name for path in tmp_path.iterdir()] == ["release"]


def test_a_release_that_answers_as_chance_does_is_told_of(monkeypatch, tmp_path, capsys):
    import verifier.export as exporting

    def export_of_little_training(_ner, _cls, output, **_):
        shutil.copytree(SHIPPED, output)
        told = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
        told["training"]["simulated_claims"]["accuracy"] = 0.52
        (output / "manifest.json").write_text(json.dumps(told), encoding="utf-8")

    monkeypatch.setattr(exporting, "export", export_of_little_training)
    assert export(["--ner-checkpoint", "a.ckpt", "--cls-checkpoint", "b.ckpt", "--output", str(tmp_path / "made")]) == 0
    assert "answers 52% of simulated claims right, hardly more than chance: train the classifier longer" in capsys.readouterr().err
