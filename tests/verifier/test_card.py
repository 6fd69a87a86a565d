"""The card of a release says what the release and its evaluation say, and nothing that they do not."""

import json
import shutil
from dataclasses import replace

import pytest

from verifier import InputError
from verifier.card import FEW, model_card, write_card
from verifier.export import main as export
from verifier.release import SHIPPED, Release

MANIFEST = Release().manifest
EVALUATION = {
    "settings": {"texts": "test.jsonl", "pictures": "photos", "side": "test", "release": MANIFEST.sha256},
    "overall": {"pairs": 1400, "balanced_accuracy": 0.8125, "ece": 0.0625},
    "intervals": {"balanced_accuracy": [0.7, 0.9]},
    "groups": {"category": {"plain": {"balanced_accuracy": 0.9}, "exception": {"balanced_accuracy": 0.5}}},
    "true_pairs": 700,
    "texts": 70,
    "pictures": 1234,
}


@pytest.fixture
def folder(tmp_path):
    """A release of which only the manifest is there, which is all that a card is made from."""
    (tmp_path / "release").mkdir()
    shutil.copy(SHIPPED / "manifest.json", tmp_path / "release")
    return tmp_path / "release"


def with_data(**data):
    training = MANIFEST.training | {"animal_cls": MANIFEST.training["animal_cls"] | {"data": data}}
    return replace(MANIFEST, training=training)


def test_a_card_names_the_networks_the_scores_the_calibration_and_every_kind():
    card = model_card(MANIFEST)
    cls, ner = (MANIFEST.training[model] for model in ("animal_cls", "animal_ner"))
    assert all(name in card for name in (cls["config"]["model"]["backbone"], ner["config"]["model"]["encoder"]))
    assert f"| tagger: F1 of exact spans and claims | {ner['validation']['f1']:.3f} |" in card
    assert f"| classifier: top-1 | {cls['validation']['top1']:.3f} |" in card
    assert f"sigmoid({MANIFEST.calibration.scale:.3f} * logit" in card
    assert all(kind in card for kind in MANIFEST.kinds)


def test_a_card_has_the_configurations_in_a_form_that_can_be_read_back():
    blocks = [json.loads(block.split("```")[0]) for block in model_card(MANIFEST).split("```json\n")[1:]]
    for block, model in zip(blocks, ("animal_ner", "animal_cls"), strict=True):
        config = MANIFEST.training[model]["config"]
        assert (block["model"], block["data"]) == (config["model"], config["data"])
        assert block["trainer"]["max_epochs"] == config["trainer"]["max_epochs"]


def test_a_card_tells_counts_fingerprints_and_kinds_that_were_learnt_from_few_pictures():
    counts = {"train": 8123, "val": 900, "test": 901}
    card = model_card(with_data(fingerprint="ab12", pictures=counts, classes={"ant": FEW - 1, "bat": FEW}, unreadable=3))
    assert "| pictures | 8,123 | 900 | 901 | `ab12` |" in card
    assert f"fewer than {FEW} pictures each: ant." in card
    assert "3 pictures could not be read" in card


def test_what_a_release_does_not_tell_is_called_not_recorded():
    card = model_card(replace(MANIFEST, training={}))
    assert "| pictures | not recorded | not recorded | not recorded | not recorded |" in card
    assert "Licence of the data: not recorded" in card
    assert "`animal_ner`: not recorded." in card


def test_the_licence_given_beats_that_of_the_manifest():
    manifest = replace(MANIFEST, training=MANIFEST.training | {"data_licence": "CC0"})
    assert "Licence of the data: CC0." in model_card(manifest)
    assert "Licence of the data: all rights reserved." in model_card(manifest, licence="all rights reserved")


def test_an_evaluation_adds_its_figures_and_the_categories_that_fare_worst(folder, tmp_path):
    (tmp_path / "figures.json").write_text(json.dumps(EVALUATION))
    card = write_card(folder, evaluation=tmp_path / "figures.json").read_text()
    assert "1,400 pairs (700 of them true) of 70 texts (`test.jsonl`) and 1,234 pictures (`photos`, side test)" in card
    assert "| balanced accuracy | 0.812 | 0.700 to 0.900 |" in card
    assert "exception 0.500, plain 0.900" in card


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text", r"figures\.json: not figures of scripts/evaluate\.py --json"),
        ("[]", r"figures\.json: not figures"),
        (json.dumps({"settings": {"release": {}}}), r"figures\.json: measured on another release"),
    ],
)
def test_figures_of_something_else_are_refused(folder, tmp_path, content, message):
    (tmp_path / "figures.json").write_text(content)
    with pytest.raises(InputError, match=message):
        write_card(folder, evaluation=tmp_path / "figures.json")


def test_a_release_that_is_there_gets_its_card_by_one_command(folder, capsys):
    assert export(["card", "--release", str(folder), "--data-licence", "CC-BY 4.0"]) == 0
    assert capsys.readouterr().out == f"{folder / 'MODEL_CARD.md'}\n"
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "MODEL_CARD.md"}
    assert "Licence of the data: CC-BY 4.0." in (folder / "MODEL_CARD.md").read_text()


def test_a_card_that_tells_of_an_evaluation_does_not_lose_it(tmp_path, capsys):
    for name in ("manifest.json", "MODEL_CARD.md"):
        shutil.copy(SHIPPED / name, tmp_path)
    assert export(["card", "--release", str(tmp_path), "--data-licence", "CC-BY 4.0"]) == 2
    assert "its evaluation would be lost; give --evaluation FILE" in capsys.readouterr().err
    assert (tmp_path / "MODEL_CARD.md").read_bytes() == (SHIPPED / "MODEL_CARD.md").read_bytes()


def test_a_folder_that_is_no_release_gets_none(tmp_path, capsys):
    assert export(["card", "--release", str(tmp_path)]) == 2
    assert f"{tmp_path}: not a release" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_shipped_release_has_its_own_card():
    card = (SHIPPED / "MODEL_CARD.md").read_text()
    assert model_card(MANIFEST).split("## Metrics")[0].split("Licence of the data")[0] in card
    assert f"sigmoid({MANIFEST.calibration.scale:.3f} * logit + {MANIFEST.calibration.shift:.3f})" in card
    assert "Licence of the data: not recorded" not in card
    assert "Verdicts on" in card  # scripts/export.py card --evaluation adds them
