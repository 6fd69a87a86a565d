from pathlib import Path

import pytest
import torch

from animal_cls.cli import ClassifierCLI
from animal_cls.data import PictureDataModule
from animal_cls.module import Classifier
from animal_ner.cli import TaggerCLI
from animal_ner.data import SentenceDataModule
from animal_ner.module import Tagger

ROOT = Path(__file__).parents[1]


def test_the_configs_are_where_this_test_looks():
    assert {path.parent.name for path in (ROOT / "configs").rglob("*.yaml")} == {"animal_ner", "animal_cls"}


@pytest.mark.parametrize("config", sorted((ROOT / "configs" / "animal_ner").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_tagger_config_builds_a_model_and_finds_its_sentences(config, encoder_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    flags = [f"--config={config}", f"--model.encoder={encoder_folder}", f"--trainer.logger.init_args.save_dir={tmp_path}"]
    cli = TaggerCLI(Tagger, SentenceDataModule, run=False, args=[*flags, "--trainer.accelerator=cpu"], save_config_callback=None)
    cli.datamodule.setup("fit")
    cli.datamodule.setup("test")
    spans = cli.model.eval().read(["there is a cat", ""])
    assert len(spans) == 2


@pytest.mark.parametrize("config", sorted((ROOT / "configs" / "animal_cls").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_classifier_config_builds_a_model_for_the_classes_of_a_folder(config, picture_folder, negatives_folder, tmp_path):
    flags = [f"--config={config}", f"--data.root={picture_folder}", f"--data.negatives={negatives_folder}", "--trainer.accelerator=cpu"]
    flags += [f"--trainer.logger.init_args.save_dir={tmp_path}", f"--data.split_file={tmp_path / 'split.csv'}", "--data.corrections=null"]
    cli = ClassifierCLI(Classifier, PictureDataModule, run=False, args=flags, save_config_callback=None)
    assert cli.model.classes == ["cat", "dog", "owl"]
    size = cli.datamodule.size
    with torch.inference_mode():
        assert cli.model.eval()(torch.zeros(1, 3, size, size, dtype=torch.uint8)).shape == (1, 3)
