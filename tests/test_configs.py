"""Every configuration that ships: it builds, and it trains for two steps on tiny data; overlays do so on top of one of each package."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import yaml

from animal_cls import cli as classifier_cli
from animal_cls import network
from animal_ner import cli as tagger_cli
from animal_ner import encoder
from animal_ner.tags import TAGS

ROOT = Path(__file__).parents[1]
TAGGERS = sorted((ROOT / "configs" / "animal_ner").glob("*.yaml"))
CLASSIFIERS = sorted((ROOT / "configs" / "animal_cls").glob("*.yaml"))
OVERLAYS = ("debug", "cpu", "gpu", "ddp")
SIZE = 32


@pytest.fixture(autouse=True)
def offline(monkeypatch, encoder_folder):
    """Encoders are the tests' own and pretrained weights none; two threads would wait for each other."""
    monkeypatch.setattr(sys, "argv", ["configs"])
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(encoder, "snapshot_download", lambda name, **_: str(encoder_folder))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def split_file(tmp_path_factory):
    return tmp_path_factory.mktemp("split") / "split.csv"


@pytest.fixture
def tiny_sentences(sentence_file):
    """Flags: a few sentences, no grammar and no borrowed texts."""
    return [f"--data.{side}=[{sentence_file}]" for side in ("train", "val", "test")] + [
        "--data.by_heart=true",
        "--data.generated=0",
        "--data.drawn=0",
        "--data.borrowed=null",
        "--data.batch_size=4",
        "--model.window=32",
    ]


@pytest.fixture
def tiny_pictures(picture_folder, negatives_folder, split_file):
    """Flags: a few pictures, small ones, and weights that need no download."""
    return [
        f"--data.root={picture_folder}",
        f"--data.negatives={negatives_folder}",
        f"--data.split_file={split_file}",
        "--data.corrections=null",
        f"--data.size={SIZE}",
        f"--data.train_size={SIZE}",
        "--data.batch_size=8",
        "--data.num_workers=0",
        "--data.test_only=null",
        "--data.test=0.2",
        f"--model.size={SIZE}",
        "--model.weights=none",
        "--model.imagenet=false",
        "--model.teacher=null",
        "--model.probe_epochs=1",
    ]


def rehearsal(tmp_path):
    """Flags: two batches of each side, without logs and checkpoints, as in every configuration but this one."""
    return ["--trainer.accelerator=cpu", "--trainer.fast_dev_run=2", f"--trainer.logger.init_args.save_dir={tmp_path}"]


def test_the_configs_are_where_this_test_looks():
    assert {path.parent.name for path in (ROOT / "configs").rglob("*.yaml")} == {"animal_ner", "animal_cls", "overlays"}
    assert {path.stem for path in (ROOT / "configs" / "overlays").iterdir()} == set(OVERLAYS)


@pytest.mark.parametrize("config", TAGGERS, ids=lambda path: path.stem)
def test_a_tagger_config_trains(config, tiny_sentences, tmp_path):
    cli = tagger_cli.run(["fit", f"--config={config}", *tiny_sentences, *rehearsal(tmp_path)])
    assert cli.trainer.global_step == 2
    assert set(cli.trainer.callback_metrics) >= {"train/loss", "val/f1"}
    assert torch.isfinite(cli.trainer.callback_metrics["train/loss"])
    assert len(cli.model.eval().read(["there is a cat", ""])) == 2


@pytest.mark.parametrize("config", TAGGERS, ids=lambda path: path.stem)
def test_the_sentences_of_a_tagger_config_are_in_the_repository(config):
    data = yaml.safe_load(config.read_text())["data"]
    assert all((ROOT / file).is_file() for side in ("train", "val", "test") for file in data[side])


@pytest.mark.parametrize("config", CLASSIFIERS, ids=lambda path: path.stem)
def test_a_classifier_config_trains_on_the_classes_of_a_folder(config, tiny_pictures, tmp_path):
    cli = classifier_cli.run(["fit", f"--config={config}", *tiny_pictures, *rehearsal(tmp_path)])
    assert cli.model.classes == ["cat", "dog", "owl"]
    assert cli.trainer.global_step == 2
    assert set(cli.trainer.callback_metrics) >= {"train/loss", "val/macro_f1"}
    assert torch.isfinite(cli.trainer.callback_metrics["train/loss"])


@pytest.mark.parametrize("config", CLASSIFIERS, ids=lambda path: path.stem)
def test_a_classifier_config_predicts_at_the_size_of_its_pictures(config):
    content = yaml.safe_load(config.read_text())
    assert content["model"]["size"] == content["data"]["size"]


@pytest.mark.parametrize("config", CLASSIFIERS, ids=lambda path: path.stem)
def test_a_classifier_config_normalises_as_its_pretrained_weights_do(config):
    model = yaml.safe_load(config.read_text())["model"]
    if model["weights"] != "pretrained":
        pytest.skip("its weights are a file")
    if model["backbone"] in network.models.list_models(module=network.models):
        preset = network.models.get_model_weights(model["backbone"]).DEFAULT.transforms()
        expected = preset.mean, preset.std
    else:
        preset = network.timm.get_pretrained_cfg(model["backbone"])
        expected = preset.mean, preset.std
    assert (model["mean"], model["std"]) == tuple(map(list, expected))


def test_every_run_says_in_its_log_folder_which_classifier_config_it_is_of():
    names = [yaml.safe_load(path.read_text())["trainer"]["logger"]["init_args"]["name"] for path in CLASSIFIERS]
    assert len(set(names)) == len(names)


def overlaid(overlay, tmp_path):
    """Flags: an overlay, and what keeps it on one CPU process."""
    flags = [f"--config={ROOT / 'configs' / 'overlays' / overlay}.yaml", "--trainer.accelerator=cpu", "--trainer.devices=1"]
    return [*flags, f"--trainer.logger.init_args.save_dir={tmp_path}"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_on_a_tagger_config_trains(overlay, tiny_sentences, tmp_path):
    base = ["fit", f"--config={ROOT / 'configs' / 'animal_ner' / 'scratch.yaml'}"]
    more = [] if overlay == "debug" else ["--trainer.fast_dev_run=2"]
    cli = tagger_cli.run([*base, *overlaid(overlay, tmp_path), *tiny_sentences, *more])
    assert cli.trainer.global_step > 0
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    assert cli.trainer.max_epochs == 1
    assert cli.model.hparams["scratch"]
    assert cli.model.network.num_labels == len(TAGS)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_on_a_classifier_config_trains(overlay, tiny_pictures, tmp_path):
    base = ["fit", f"--config={ROOT / 'configs' / 'animal_cls' / 'efficientnet_lite2.yaml'}", "--model.backbone=shufflenet_v2_x0_5"]
    more = [] if overlay == "debug" else ["--trainer.fast_dev_run=2"]
    cli = classifier_cli.run([*base, *overlaid(overlay, tmp_path), *tiny_pictures, *more])
    assert cli.trainer.global_step > 0
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    if overlay == "debug":
        left = {path.name for path in tmp_path.rglob("*.*") if path.is_file()}
        assert {"config.yaml", "best.ckpt", "last.ckpt", "start.ckpt"} <= left


def test_debug_logs_beside_the_real_runs():
    overlay = yaml.safe_load((ROOT / "configs" / "overlays" / "debug.yaml").read_text())
    assert overlay["trainer"]["logger"] == {"init_args": {"save_dir": "runs/debug"}}


@pytest.mark.parametrize(("overlay", "precision"), [("cpu", "bf16-mixed"), ("gpu", "bf16-mixed")])
def test_an_overlay_sets_what_it_is_for(overlay, precision):
    trainer = yaml.safe_load((ROOT / "configs" / "overlays" / f"{overlay}.yaml").read_text())["trainer"]
    assert (trainer["accelerator"], trainer["precision"]) == (overlay, precision)
