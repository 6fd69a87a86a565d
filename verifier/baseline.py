"""The obvious way, to measure ours against: two stock models, a word of the one compared with a word of the other.

Runs as a program of its own, ``python verifier/baseline.py FOLDER TEXT IMAGE``, that imports nothing of ours: its start is its own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2
from transformers import DistilBertConfig, DistilBertForTokenClassification, PreTrainedTokenizerFast, pipeline

TAGS = {0: "O", 1: "B-ANIMAL", 2: "I-ANIMAL"}


class Baseline:
    """A DistilBERT tagger in a transformers pipeline and torchvision's MobileNetV2, as their documentation has it.

    A text is true if a word that the tagger finds is the likeliest class of the picture.

    Args:
        folder: made by ``save_baseline``.
    """

    def __init__(self, folder: Path) -> None:
        self._tagger = pipeline("token-classification", model=str(folder), aggregation_strategy="simple", device="cpu")
        stored = torch.load(folder / "classifier.pth", map_location="cpu", weights_only=True)
        self._classes: list[str] = stored["classes"]
        self._classifier = mobilenet_v2(num_classes=len(self._classes)).eval()
        self._classifier.load_state_dict(stored["state_dict"])
        self._transform = MobileNet_V2_Weights.DEFAULT.transforms()

    @torch.inference_mode()
    def verify(self, text: str, image: Path) -> bool:
        """Whether the likeliest animal of a picture is a word of a text."""
        words = {entity["word"] for entity in self._tagger(text)}
        with Image.open(image) as picture:
            logits = self._classifier(self._transform(picture.convert("RGB"))[None])
        return self._classes[int(logits.argmax())] in words


def save_baseline(folder: Path, *, tokenizer: Path, classes: Sequence[str], config: DistilBertConfig | None = None) -> None:
    """Write the models of a ``Baseline`` with random weights, on which neither time nor memory depends.

    Args:
        folder: an existing folder.
        tokenizer: tokenizer file of a BERT, which is DistilBERT's too.
        classes: class names of the classifier.
        config: of the tagger; DistilBERT's own when none is given.
    """
    pieces = PreTrainedTokenizerFast(tokenizer_file=str(tokenizer), pad_token="[PAD]", unk_token="[UNK]")  # type: ignore[no-untyped-call]  # noqa: S106
    pieces.save_pretrained(folder)
    config = config or DistilBertConfig()
    config.id2label, config.label2id = TAGS, {tag: i for i, tag in TAGS.items()}
    tagger = DistilBertForTokenClassification(config)
    with torch.no_grad():
        tagger.classifier.bias[0] = 5.0  # most words are no animal
    tagger.save_pretrained(folder)
    state = mobilenet_v2(num_classes=len(classes)).state_dict()
    torch.save({"classes": list(classes), "state_dict": state}, folder / "classifier.pth")


if __name__ == "__main__":
    print(str(Baseline(Path(sys.argv[1])).verify(sys.argv[2], Path(sys.argv[3]))).lower())
