"""What other libraries make of the exported models is what the models say."""

import json

import pytest
import timm
import torch
from safetensors.torch import load_file
from torchvision import models
from transformers import pipeline

from animal_cls.calibration import Calibration
from animal_cls.module import Classifier
from animal_cls.network import head_of, load_weights
from animal_ner.module import Tagger
from animal_ner.sentences import read_sentences
from animal_ner.tags import TAGS
from verifier.interchange import PT2_FILES, SAFETENSORS_FILES, TRANSFORMERS_FILES, write_pt2, write_safetensors, write_transformers

SENTENCES = (
    "There is a cat in the picture.",
    "no dog here",
    "Isn\u2019t it an owl?",  # a phone's apostrophe
    "is it not a cat?",
    "a dog or an owl",
    "a cat,a dog and 2 owls!",
    "no \uff23\uff21\uff34 here",  # full-width letters
    "an owl\U0001f989in this picture",  # an emoji for a space
    "there is no dog_only a cat",
    "\u201cno owl\u201d",
    "nothing in this picture",
    "it is not a dogfish, but a cat\u2026",
)
CALIBRATION = Calibration(scale=1.5, shift=0.25)


@pytest.fixture(scope="module")
def tagger(encoder_folder, sentence_file):
    """A tagger that has learnt the fixtures' sentences by heart."""
    torch.manual_seed(0)
    tagger = Tagger(str(encoder_folder), window=32, dropout=0.0, freeze_words=False)
    sentences = read_sentences(sentence_file)
    optimizer = torch.optim.AdamW(tagger.parameters(), lr=1e-2, fused=True)
    for _ in range(30):
        optimizer.zero_grad()
        tagger.training_step(sentences, 0).backward()
        optimizer.step()
    return tagger.eval()


@pytest.fixture(scope="module")
def transformers_folder(tagger, tmp_path_factory):
    folder = tmp_path_factory.mktemp("transformers")
    write_transformers(tagger, folder)
    return folder


def classifier(backbone, **changes):
    torch.manual_seed(0)
    model = Classifier(["cat", "dog", "owl"], backbone, "none", size=32, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), **changes)
    model.network.train()  # BatchNorm statistics and a head that are not those of the start
    torch.nn.init.normal_(model.network.get_submodule("fc" if backbone == "shufflenet_v2_x0_5" else "classifier").weight)
    with torch.no_grad():
        model.network(torch.randn(8, 3, 32, 32))
    return model.eval()


@pytest.fixture(scope="module")
def images():
    return torch.randint(0, 256, (3, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_a_pipeline_of_transformers_finds_the_spans_that_the_tagger_finds(tagger, transformers_folder):
    read = pipeline("token-classification", str(transformers_folder), aggregation_strategy="first")
    found = [[(e["start"], e["end"], e["entity_group"]) for e in read(text)] for text in SENTENCES]
    expected = [[(span.start, span.end, span.claim.value) for span in spans] for spans in tagger.read(list(SENTENCES))]
    assert found == expected
    assert sum(map(len, expected)) > len(SENTENCES)


def test_a_transformers_folder_says_our_tags_and_how_much_is_read_at_once(transformers_folder):
    config = json.loads((transformers_folder / "config.json").read_text())
    assert {int(i): tag for i, tag in config["id2label"].items()} == dict(enumerate(TAGS))
    assert json.loads((transformers_folder / "tokenizer_config.json").read_text())["model_max_length"] == 32
    assert {path.name for path in transformers_folder.iterdir()} <= set(TRANSFORMERS_FILES)


def test_a_long_text_is_read_by_a_pipeline_with_a_stride(tagger, transformers_folder):
    text = "there is no picture of it here but in this picture there is a cat. " * 3
    read = pipeline("token-classification", str(transformers_folder), aggregation_strategy="first", stride=8)
    assert [(e["start"], e["end"]) for e in read(text)] == [(s.start, s.end) for s in tagger.read([text])[0]]


@pytest.mark.parametrize("backbone", ["shufflenet_v2_x0_5", "test_efficientnet"])
def test_the_weights_load_in_the_library_s_own_network_and_give_the_same_logits(backbone, images, tmp_path):
    model = classifier(backbone)
    write_safetensors(model, CALIBRATION, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(SAFETENSORS_FILES)
    told = json.loads((tmp_path / "classifier.json").read_text())
    build = {"torchvision": models.get_model, "timm": timm.create_model}[told["library"]]
    network = build(told["backbone"], num_classes=len(told["classes"])).eval()
    network.load_state_dict(load_file(tmp_path / "classifier.safetensors"), strict=True)
    mean, std = (torch.tensor(told[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    with torch.inference_mode():
        expected = model(images)
        assert torch.allclose(network((images / 255 - mean) / std), expected, atol=1e-4)
    assert expected.std() > 0.01
    assert told["classes"] == ["cat", "dog", "owl"]
    assert told["calibration"] == {"scale": 1.5, "shift": 0.25}
    assert (told["size"], told["padding"]) == (32, "torchvision")


@pytest.mark.parametrize("backbone", ["shufflenet_v2_x0_5", "test_efficientnet"])
def test_weights_that_go_by_imagenet_give_the_same_logits_by_their_description(backbone, images, tmp_path):
    torch.manual_seed(0)
    model = Classifier(["cat", "dog", "owl"], backbone, "none", imagenet=True, size=32, dropout=0.0).eval()
    write_safetensors(model, CALIBRATION, tmp_path)
    told = json.loads((tmp_path / "classifier.json").read_text())
    build = {"torchvision": models.get_model, "timm": timm.create_model}[told["library"]]
    network, state = build(told["backbone"], num_classes=1000).eval(), load_file(tmp_path / "classifier.safetensors")
    head = {name: state.pop(f"imagenet_head.{name}") for name in ("weight", "bias")}
    network.load_state_dict(state, strict=True)
    mean, std = (torch.tensor(told[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    features = []
    head_of(network).register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    with torch.inference_mode():
        probability = network((images / 255 - mean) / std).softmax(-1)
        groups = [
            probability[:, classes].sum(-1).clamp(min=told["imagenet_head"]["least"]).log()
            for classes in told["imagenet_head"]["groups"].values()
        ]
        logits = torch.cat([features[0], torch.stack(groups, dim=-1)], dim=-1) @ head["weight"].T + head["bias"]
        assert torch.allclose(logits, model(images), atol=1e-4)

        again = Classifier(["cat", "dog", "owl"], backbone, imagenet=True, size=32, mean=model.hparams["mean"], std=model.hparams["std"])
        load_weights(again.network, str(tmp_path / "classifier.safetensors"), backbone=backbone, classes=again.classes)
        assert torch.allclose(again.eval()(images), model(images), atol=1e-4)


@pytest.mark.parametrize(("backbone", "padding"), [("test_efficientnet", "torchvision"), ("shufflenet_v2_x0_5", "tensorflow")])
def test_a_program_gives_the_classifier_s_logits_for_any_number_of_pictures(backbone, padding, images, tmp_path):
    model = classifier(backbone, padding=padding)
    with torch.inference_mode():
        expected = model(images)
    write_pt2(model, CALIBRATION, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(PT2_FILES)
    program = torch.export.load(tmp_path / "classifier.pt2").module()
    for count in (1, 3):
        assert torch.allclose(program(images[:count]), expected[:count], atol=1e-4)
    assert json.loads((tmp_path / "classifier.json").read_text())["classes"] == ["cat", "dog", "owl"]
