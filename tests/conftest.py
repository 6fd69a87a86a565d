"""Small pictures, sentences and an encoder, made anew for each test session: no test needs a download."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForTokenClassification

from animal_ner.sentences import Sentence, write_sentences
from animal_ner.tags import Claim, Span

settings.register_profile("any machine", deadline=None)  # a busy one is no failure
settings.load_profile("any machine")

COLOURS = {"cat": (200, 60, 60), "dog": (60, 200, 60), "owl": (60, 60, 200)}
SPELT_WHOLE = "there is are no a an the in this picture cat dog owl cats dogs or and not only it isn of here but ? . , '"


def _picture(colour: tuple[int, int, int], seed: int, size: tuple[int, int]) -> Image.Image:
    """A picture of one colour with a pattern of its own, so that no two are near-duplicates."""
    noise = np.random.default_rng(seed).integers(-50, 50, (6, 6, 3))
    blocks = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one sub-folder of twelve JPEGs for each of cat (red), dog (green) and owl (blue)."""
    root = tmp_path_factory.mktemp("pictures")
    for k, (label, colour) in enumerate(COLOURS.items()):
        (root / label).mkdir()
        for i in range(12):
            _picture(colour, 100 * k + i, (60 + i, 50)).save(root / label / f"{i}.jpg", quality=92)
    return root


@pytest.fixture(scope="session")
def negatives_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ten grey pictures that show none of the classes."""
    root = tmp_path_factory.mktemp("negatives")
    for i in range(10):
        _picture((128, 128, 128), 1000 + i, (50, 60)).save(root / f"{i}.jpg")
    return root


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a very small BERT of random weights: config.json, tokenizer.json and model.safetensors."""
    folder = tmp_path_factory.mktemp("encoder")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *dict.fromkeys([*SPELT_WHOLE.split(), *letters]), *(f"##{letter}" for letter in letters)]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertForTokenClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(encoder_folder: Path) -> Tokenizer:
    """The tokenizer of ``encoder_folder``."""
    return Tokenizer.from_file(str(encoder_folder / "tokenizer.json"))


@pytest.fixture(scope="session")
def sentence_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Annotated sentences in JSON lines: presence, absence and alternatives of cat, dog and owl."""
    sentences = []
    for name in COLOURS:
        for frame, claim in (("there is a {}.", Claim.PRESENT), ("no {} here", Claim.ABSENT), ("is it not a {}?", Claim.PRESENT)):
            start = frame.index("{")
            sentences.append(Sentence(frame.format(name), (Span(start, start + len(name), claim),), "plain"))
    sentences.append(Sentence("a cat or a dog", (Span(2, 5, Claim.EITHER), Span(11, 14, Claim.EITHER)), "either"))
    sentences.append(Sentence("there is a picture", (), "none"))
    file = tmp_path_factory.mktemp("sentences") / "sentences.jsonl"
    write_sentences(file, sentences)
    return file


@pytest.fixture
def tiny_trainer(tmp_path: Path) -> list[str]:
    """Command-line flags of a trainer for a few seconds on a CPU, logging below ``tmp_path``."""
    return [
        "--trainer.accelerator=cpu",
        "--trainer.precision=32-true",
        "--trainer.max_epochs=1",
        f"--trainer.logger.init_args.save_dir={tmp_path / 'runs'}",
    ]


PROGRAM = """
import os, sys
for number, file in ((1, {output!r}), (2, {errors!r})):
    os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
os.environ.update({environment!r})
import torch
torch.set_num_threads(1)
sys.argv = [{package!r}, *{arguments!r}]
from {package}.cli import main
sys.exit(main())
"""


@pytest.fixture(scope="session")
def start_cli() -> Callable[..., BaseProcess]:
    """Starts the command line of a package as a process of its own, forked from one that has imported all it needs.

    Its stdout is added to a file, its stderr to one beside it that ends in ``.err``.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["animal_ner.cli", "animal_cls.cli"])

    def start(package: str, arguments: list[str], output: Path, environment: Mapping[str, str] | None = None) -> BaseProcess:
        errors = output.with_suffix(".err")
        program = PROGRAM.format(
            package=package, arguments=arguments, output=str(output), errors=str(errors), environment=dict(environment or {})
        )
        process = context.Process(target=exec, args=(program, {}))
        process.start()
        return process

    return start


@pytest.fixture(scope="session")
def tiny_data(
    encoder_folder: Path, sentence_file: Path, picture_folder: Path, negatives_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    """Command-line flags of each package for its tiny data and a model to go with them, on a CPU."""
    shared = ["--trainer.accelerator=cpu", "--trainer.precision=32-true", "--trainer.enable_model_summary=false"]
    return {
        "animal_ner": [
            *shared,
            *(f"--data.{side}=['{sentence_file}']" for side in ("train", "val", "test")),
            *("--data.generated=9", "--data.drawn=0", "--data.borrowed=null", "--data.batch_size=2"),
            "--data.by_heart=true",
            *(f"--model.encoder={encoder_folder}", "--model.window=32"),
        ],
        "animal_cls": [
            *shared,
            *(f"--data.root={picture_folder}", f"--data.negatives={negatives_folder}", "--data.corrections=null"),
            f"--data.split_file={tmp_path_factory.mktemp('split') / 'split.csv'}",
            *("--data.size=32", "--data.train_size=32", "--data.num_workers=0", "--data.batch_size=4"),
            *(
                "--model.backbone=shufflenet_v2_x0_5",
                "--model.padding=torchvision",
                "--model.weights=none",
                "--model.imagenet=false",
                "--model.size=32",
            ),
            "--model.probe_epochs=1",
        ],
    }


def json_lines(text: str) -> list[dict[str, object]]:
    """Parse JSON lines."""
    return [json.loads(line) for line in text.splitlines() if line.strip()]
