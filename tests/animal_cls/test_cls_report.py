"""What a training leaves in TensorBoard for people to look at."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys

import numpy as np
import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from animal_cls.cli import main
from animal_cls.data import NO_CLASS, PictureDataModule
from animal_cls.module import Classifier
from animal_cls.network import head_of
from animal_cls.report import Evaluation, VisualReport, class_scores, class_table

IMAGES = {"confusion", "worst_classes", "mistakes", "reliability"}


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


@pytest.fixture
def data(small_pictures):
    return small_pictures(val=0.3, test=0.3)


@pytest.fixture
def model():
    return Classifier(["cat", "dog", "owl"], "shufflenet_v2_x0_5", weights="none", size=32, probe_epochs=0)


def trainer_of(logger, *callbacks, epochs=3, **options):
    return Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=logger,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_train_batches=1,
        **options,
    )


def events(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0, "scalars": 0})
    accumulator.Reload()
    return accumulator


def images(folder):
    """The steps of each image."""
    read = events(folder)
    return {tag: [event.step for event in read.Images(tag)] for tag in read.Tags()["images"]}


def text(folder, tag):
    return events(folder).Tensors(f"{tag}/text_summary")[-1].tensor_proto.string_val[0].decode()


def rows(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_a_fit_draws_its_validation_and_ends_with_the_features(data, model, tmp_path):
    trainer_of(TensorBoardLogger(tmp_path, "run", ""), VisualReport(), epochs=2).fit(model, datamodule=data)
    folder = tmp_path / "run"
    assert images(folder) == {f"val/{name}": [1, 2] for name in IMAGES}
    tags = events(folder).Tags()
    assert {"val_pr/all classes, micro-averaged", "val_pr/cat", "val_pr/dog", "val_pr/owl"} <= set(tags["tensors"])
    assert {row[0] for row in rows(text(folder, "val/classes"))[2:]} == {"cat", "dog", "owl"}
    assert [event.step for event in events(folder).Scalars("val/report_seconds")] == [1, 2]
    features = folder / "00002" / "val_features"
    metadata = [line.split("\t") for line in (features / "metadata.tsv").read_text().splitlines()]
    assert metadata[0] == ["label", "answer", "presence", "path"]
    assert [row[3] for row in metadata[1:]] == [str(example.path) for example in data.val_dataloader().dataset.examples]
    assert {row[0] for row in metadata[1:]} == {"cat", "dog", "owl", "no animal"}
    numbers = np.loadtxt(features / "tensors.tsv")
    assert numbers.shape == (len(metadata) - 1, head_of(model.network).in_features)
    assert Image.open(features / "sprite.png").size[0] == 48 * int(np.ceil(len(numbers) ** 0.5))


def test_the_features_are_the_input_of_the_last_layer(data, model, tmp_path):
    trainer_of(TensorBoardLogger(tmp_path, "run", ""), VisualReport()).test(model, datamodule=data, verbose=False)
    features = np.loadtxt(tmp_path / "run" / "00000" / "test_features" / "tensors.tsv")
    head = head_of(model.network)
    logits = features @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    batch = next(iter(data.test_dataloader()))
    np.testing.assert_allclose(logits[:8], model.eval()(batch["image"]).detach().numpy(), atol=1e-4)


@pytest.mark.parametrize(("every", "steps"), [(1, [1, 2, 3]), (2, [2, 3]), (3, [3]), (0, [3])])
def test_a_report_is_made_every_so_many_epochs_and_at_the_end(data, model, tmp_path, every, steps):
    trainer_of(TensorBoardLogger(tmp_path, "run", ""), VisualReport(every_n_epochs=every)).fit(model, datamodule=data)
    assert images(tmp_path / "run")["val/confusion"] == steps


def test_validate_and_test_draw_their_sides(data, model, tmp_path):
    trainer = trainer_of(TensorBoardLogger(tmp_path, "run", ""), VisualReport())
    trainer.validate(model, datamodule=data, verbose=False)
    assert set(images(tmp_path / "run")) == {f"val/{name}" for name in IMAGES}
    assert not (tmp_path / "run" / "00000").exists()
    trainer.test(model, datamodule=data, verbose=False)
    assert set(images(tmp_path / "run")) == {f"{side}/{name}" for side in ("val", "test") for name in IMAGES}
    assert [folder.name for folder in (tmp_path / "run" / "00000").iterdir()] == ["test_features"]


@pytest.mark.parametrize("options", [{}, {"fast_dev_run": True}])
def test_without_tensorboard_nothing_is_collected(data, model, tmp_path, options):
    report = VisualReport()
    trainer_of(CSVLogger(tmp_path, "run", ""), report, epochs=1, **options).fit(model, datamodule=data)
    assert not list(tmp_path.rglob("events*"))
    assert not head_of(model.network)._forward_pre_hooks


def test_what_lightning_tries_out_before_a_fit_is_not_reported(data, model, tmp_path):
    trainer_of(TensorBoardLogger(tmp_path, "run", ""), VisualReport(), epochs=1, limit_val_batches=1, num_sanity_val_steps=1).fit(
        model, datamodule=data
    )
    assert images(tmp_path / "run")["val/reliability"] == [1]
    assert not head_of(model.network)._forward_pre_hooks


def test_the_projector_gets_at_most_so_many_pictures_of_the_whole_side(data, model, tmp_path):
    trainer_of(TensorBoardLogger(tmp_path, "run", ""), VisualReport(embedded=4)).test(model, datamodule=data, verbose=False)
    lines = (tmp_path / "run" / "00000" / "test_features" / "metadata.tsv").read_text().splitlines()[1:]
    assert len(lines) == 4
    assert len({line.split("\t")[0] for line in lines}) > 1


def test_a_picture_that_is_gone_leaves_a_grey_place(data, model, tmp_path, picture_folder):
    shutil.copytree(picture_folder, tmp_path / "pictures")
    moved = PictureDataModule(root=str(tmp_path / "pictures"), split_file=str(tmp_path / "s.csv"), size=32, num_workers=0)

    class Vanishing(VisualReport):
        def on_test_epoch_end(self, trainer, pl_module):
            shutil.rmtree(tmp_path / "pictures")
            super().on_test_epoch_end(trainer, pl_module)

    trainer_of(TensorBoardLogger(tmp_path, "run", ""), Vanishing()).test(model, datamodule=moved, verbose=False)
    assert "test/mistakes" in images(tmp_path / "run")


def test_a_training_that_diverged_is_still_drawn(data, model, tmp_path):
    model.network.fc.bias.data.fill_(float("nan"))
    trainer_of(TensorBoardLogger(tmp_path, "run", ""), VisualReport()).validate(model, datamodule=data, verbose=False)
    assert set(images(tmp_path / "run")) == {f"val/{name}" for name in IMAGES}


def evaluation(labels, presence):
    return Evaluation([f"{i}.jpg" for i in range(len(labels))], np.array(labels), np.array(presence), ["cat", "dog", "owl"])


def test_counts_are_of_labels_and_answers_and_leave_out_pictures_of_no_animal():
    answers = evaluation([0, 1, 1, NO_CLASS], [[0.9, 0, 0], [0.9, 0, 0], [0, 0.5, 0], [0, 0, 0.4]])
    assert answers.counts().tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]


def test_the_worst_mistakes_are_the_surest_and_any_animal_is_wrong_where_there_is_none():
    answers = evaluation([0, 1, 1, NO_CLASS], [[0.9, 0, 0], [0.6, 0, 0.1], [0, 0.5, 0], [0, 0, 0.7]])
    assert answers.worst_mistakes(9) == [3, 1]
    assert answers.worst_mistakes(1) == [3]


def test_the_table_of_classes_begins_with_the_worst_and_names_what_they_are_taken_for():
    counts = np.array([[1, 3, 1], [0, 4, 0], [0, 0, 0]])
    assert [scores.tolist() for scores in class_scores(counts)] == [[1.0, 4 / 7, 0.0], [0.2, 1.0, 0.0], [2 / 6, 8 / 11, 0.0]]
    table = rows(class_table(counts, ["cat", "dog", "owl"]))
    assert table[2:] == [["cat", "5", "1.000", "0.200", "0.333", "dog 3, owl 1"], ["dog", "4", "0.571", "1.000", "0.727", ""]]


def test_no_class_name_breaks_the_table():
    table = class_table(np.array([[1, 1], [1, 1]]), ["a|b", "c\nd"])
    assert table.splitlines()[2] == "| a\\|b | 2 | 0.500 | 0.500 | 0.500 | c d 1 |"


@pytest.mark.slow
def test_two_processes_report_the_pictures_of_both_once(fit_flags, tmp_path):
    flags = fit_flags("--data.val=0.3", "--trainer.devices=2", "--trainer.strategy=ddp_find_unused_parameters_true")
    command = [sys.executable, "-m", "animal_cls", "fit", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "animal_cls" / "version_0"
    assert set(images(folder)) == {f"val/{name}" for name in IMAGES}
    table = rows(text(folder, "val/classes"))
    assert {row[0]: int(row[1]) for row in table[2:]} == {"cat": 4, "dog": 4, "owl": 4}
    assert done.stderr.count("side by side") == 1


def test_the_shipped_configuration_reports(fit_flags, tmp_path):
    assert main(["fit", *fit_flags("--data.val=0.3")]) == 0
    folder = tmp_path / "runs" / "animal_cls" / "version_0"
    assert set(images(folder)) == {f"val/{name}" for name in IMAGES}
    assert {"val/ece", "val/animal_auroc", "val/animal_fpr95", "val/top1", "val/loss"} <= set(events(folder).Tags()["scalars"])
    assert [row[0] for row in rows(text(folder, "side_by_side"))[2:4]] == ["pictures", "loss"]
