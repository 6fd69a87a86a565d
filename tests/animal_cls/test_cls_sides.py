"""Train, validation and test scores at the end of a fit."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch import Trainer

from animal_cls.cli import main
from animal_cls.module import Classifier, load_checkpoint
from animal_cls.sides import ScoresOfSides, side_table
from animal_cls.split import Side


def columns(said):
    """The measures of each side by name, from the table on stderr."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in said.splitlines() if line.startswith("| ")]
    return {side: {row[0]: row[i] for row in lines[1:]} for i, side in enumerate(lines[0]) if side}


@pytest.fixture
def data(small_pictures):
    return small_pictures()


def test_the_best_weights_are_measured_on_all_sides_as_validate_and_test_measure_them(fit_flags, data, tmp_path, capsys):
    assert main(["fit", *fit_flags("--trainer.max_epochs=2", "--data.val=0.3", "--data.test=0.3")]) == 0
    said = capsys.readouterr()
    assert "side by side" not in said.out
    sides = columns(said.err)
    assert {side: measures["pictures"] for side, measures in sides.items()} == {"train": "19", "val": "15", "test": "12"}
    best = tmp_path / "runs" / "animal_cls" / "version_0" / "checkpoints" / "best.ckpt"
    assert f"{best}, side by side:" in said.err
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    for side, evaluate in (("val", trainer.validate), ("test", trainer.test)):
        (logged,) = evaluate(load_checkpoint(best), datamodule=data, verbose=False)
        logged = {name: value for name, value in logged.items() if "both_in_top3" not in name}  # of pictures composed for the test alone
        assert {f"{side}/{name}" for name in sides[side]} - {f"{side}/pictures"} == set(logged)
        for name, value in logged.items():
            assert float(sides[side][name.removeprefix(f"{side}/")]) == pytest.approx(value, abs=6e-4), name


def test_a_rehearsal_is_not_measured(fit_flags, capsys):
    assert main(["fit", *fit_flags("--trainer.fast_dev_run=true")]) == 0
    assert "side by side" not in capsys.readouterr().err


def test_sides_that_the_trainer_limits_are_measured_on_as_many_batches(data, capsys):
    data.batch_size = 2
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        limit_train_batches=1,
        limit_val_batches=1,
        limit_test_batches=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ScoresOfSides()],
    )
    trainer.fit(Classifier(["cat", "dog", "owl"], "shufflenet_v2_x0_5", weights="none", size=32, probe_epochs=0), datamodule=data)
    assert {side: measures["pictures"] for side, measures in columns(capsys.readouterr().err).items()} == dict.fromkeys(Side, "2")


def test_without_a_checkpoint_the_last_weights_are_measured_and_stay_as_they_are(data, capsys):
    model = Classifier(["cat", "dog", "owl"], "shufflenet_v2_x0_5", weights="none", size=32, probe_epochs=0)
    modes = {}

    class Measure(ScoresOfSides):
        def on_train_end(self, trainer, pl_module):
            before = {name: value.clone() for name, value in pl_module.state_dict().items()}
            modes["before"] = [module.training for module in pl_module.modules()]
            super().on_train_end(trainer, pl_module)
            modes["after"] = [module.training for module in pl_module.modules()]
            assert all(torch.equal(before[name], value) for name, value in pl_module.state_dict().items())

    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Measure(train_pictures=5)],
    )
    trainer.fit(model, datamodule=data)
    said = capsys.readouterr().err
    assert "the last weights, side by side:" in said
    assert columns(said)["train"]["pictures"] == "5"
    assert modes["before"] == modes["after"]


def test_measuring_needs_no_trainer_and_augments_nothing(trained, data):
    data.prepare_data()
    data.setup("fit")
    model = load_checkpoint(trained / "best.ckpt")
    first, again = (model.measure(data.whole_pictures(Side.TRAIN, most=20)) for _ in range(2))
    training = model.train().measure(data.whole_pictures(Side.TRAIN, most=20))
    assert first == again == training
    assert model.training
    assert first["pictures"] == 20


def test_a_side_without_negatives_or_pictures_has_empty_cells():
    train, val = {"pictures": 1200, "loss": 0.5, "animal_auroc": 0.9}, {"pictures": 3, "loss": 1.25}
    assert side_table({"train": train, "val": val, "test": {"pictures": 0}}).splitlines() == [
        "|              | train |   val | test |",
        "|--------------|------:|------:|-----:|",
        "| pictures     | 1,200 |     3 |    0 |",
        "| loss         | 0.500 | 1.250 |    - |",
        "| animal_auroc | 0.900 |     - |    - |",
    ]
