"""The two models in the formats of other libraries: transformers, torchvision or timm, torch.export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, normalizers
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from animal_cls.calibration import Calibration
from animal_cls.imagenet import LEAST, ImageNetHead, groups
from animal_cls.module import Classifier
from animal_cls.network import library_of
from animal_ner.module import Tagger
from animal_ner.text import STRAIGHT

DESCRIPTION = "classifier.json"
LOGITS = (
    "imagenet_head.weight @ concatenation(features, told) + imagenet_head.bias; features: what the network's last layer is given; "
    "told, of each group: log(max(least, sum of the probabilities of its classes)); probabilities: softmax of the network's 1000 outputs"
)
TRANSFORMERS_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
SAFETENSORS_FILES = ("classifier.safetensors", DESCRIPTION)
PT2_FILES = ("classifier.pt2", DESCRIPTION)


def write_transformers(tagger: Tagger, folder: Path) -> None:
    """Write a tagger as transformers keeps models: for ``pipeline("token-classification", folder, aggregation_strategy="first")``.

    ``first`` is the strategy of the tagger: a word's tag is that of its first piece. The pipeline takes the likeliest tag of each word,
    the tagger the likeliest legal sequence of tags, so an I may begin a span where the tagger would have found a B. Of a text longer than
    the tagger's window the pipeline reads the beginning, unless it is given a ``stride``.

    Args:
        tagger: a trained tagger, whose encoder's tokenizer has pieces that tell where a word goes on (WordPiece).
        folder: an existing folder.
    """
    network, tokenizer = tagger.network, tagger.tokenizer
    if not isinstance(network, PreTrainedModel) or tokenizer is None:
        raise TypeError("a tagger without its encoder cannot be written")
    network.save_pretrained(folder)
    _as_transformers_has_it(tokenizer, window=int(tagger.hparams["window"])).save_pretrained(folder)


def _as_transformers_has_it(tokenizer: Tokenizer, *, window: int) -> PreTrainedTokenizerFast:
    """The tokenizer with the names of its special pieces, and with what ``animal_ner.text.plain`` does to most texts before it.

    It knows no letters of other alphabets that look like Latin ones, and takes signs apart that ``plain`` leaves whole (a half, ligatures).
    """
    own = Tokenizer.from_str(tokenizer.to_str())
    plain = [normalizers.Replace(chr(character), simple) for character, simple in STRAIGHT.items()]
    symbols = normalizers.Replace(Regex(r"[\p{So}\p{Sk}&&[^\x00-\x7F]]"), " ")
    own.normalizer = normalizers.Sequence([*plain, symbols, normalizers.NFKC(), *([own.normalizer] if own.normalizer else [])])
    ends = [own.id_to_token(i) for i in own.encode("").ids]
    named = {"cls_token": ends[0], "sep_token": ends[-1]} if ends else {}
    candidates = (("pad_token", "[PAD]"), ("pad_token", "<pad>"), ("unk_token", "[UNK]"), ("unk_token", "<unk>"))
    named |= {name: piece for name, piece in candidates if own.token_to_id(piece) is not None}
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=own,
        model_max_length=window,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        **named,
    )


def write_safetensors(classifier: Classifier, calibration: Calibration, folder: Path) -> None:
    """Write a classifier's weights under the names of the library that has the network, and beside them what it must be given.

    Of one that goes by ImageNet's classes, too, the library's network gets the pretrained last layer; the description says how the
    tensors ``imagenet_head.*``, which the library does not know, make logits of the features and of that layer's.

    Args:
        classifier: a trained classifier.
        calibration: from its logits to presences.
        folder: an existing folder.
    """
    hparams = classifier.hparams
    save_file(_library_state(classifier.network), folder / SAFETENSORS_FILES[0], metadata={"format": "pt", "backbone": hparams["backbone"]})
    description = _description(classifier, calibration) | {
        "backbone": hparams["backbone"],
        "library": library_of(hparams["backbone"]),
        "padding": hparams["padding"],
        "mean": list(hparams["mean"]),
        "std": list(hparams["std"]),
        "input": "float32 (N, 3, size, size), RGB: whole pictures squashed to size x size, on values 0..1, minus mean, divided by std",
    }
    if hparams["imagenet"]:
        description["imagenet_head"] = {
            "logits": LOGITS,
            "least": LEAST,
            "groups": {name: list(classes) for name, classes in groups().items()},
        }
    _write_json(folder / DESCRIPTION, description)


def _library_state(network: nn.Module) -> dict[str, Tensor]:
    """The tensors of a network by the library's names; those that an ``ImageNetHead`` has beside its pretrained layer by its own."""
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    for at in (name for name, module in network.named_modules() if isinstance(module, ImageNetHead)):
        for part in ("weight", "bias"):
            state[f"{at}.{part}"] = state.pop(f"{at}.pretrained.{part}")
            state[f"imagenet_head.{part}"] = state.pop(f"{at}.linear.{part}")
    return state


def write_pt2(classifier: Classifier, calibration: Calibration, folder: Path) -> None:
    """Write a classifier as a program of torch.export's, preprocessing included, which runs without this package.

    Args:
        classifier: a trained classifier; its memory layout becomes the usual one.
        calibration: from its logits to presences.
        folder: an existing folder.
    """
    size = int(classifier.hparams["size"])
    classifier.hparams["channels_last"] = False  # a layout for training
    images = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    program = torch.export.export(classifier.eval(), (images,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    torch.export.save(program, folder / PT2_FILES[0])
    description = _description(classifier, calibration) | {
        "input": "uint8 (N, 3, size, size), RGB: whole pictures squashed to size x size",
    }
    _write_json(folder / DESCRIPTION, description)


def _description(classifier: Classifier, calibration: Calibration) -> dict[str, Any]:
    """What a classifier must be given and what it says, in plain values."""
    return {
        "classes": list(classifier.classes),
        "size": int(classifier.hparams["size"]),
        "output": "logits (N, classes); the presence of a class is sigmoid(scale * logit + shift)",
        "long_pictures": "one at least 1.8 times as long as wide (or high) is shown in parts as well; the largest logit of a class counts",
        "calibration": {"scale": calibration.scale, "shift": calibration.shift},
    }


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
