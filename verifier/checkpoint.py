"""The two models as Lightning checkpoints, in place of a release's. The only part of inference that needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from animal_cls import module as classifier
from animal_cls.calibration import Calibration
from animal_cls.picture import Pixels
from animal_cls.views import strongest
from animal_ner import module as tagger
from animal_ner.tokens import Tagging
from verifier.decision import InputError
from verifier.release import Manifest


def limit_threads(threads: int) -> None:
    """Let torch use so many threads; they are the process's, whichever checkpoint runs."""
    torch.set_num_threads(threads)


class CheckpointReader:
    """A tagger from a checkpoint."""

    def __init__(self, file: str | Path) -> None:
        try:
            self.module = tagger.load_checkpoint(file)
        except tagger.CheckpointError as error:
            raise InputError(str(error)) from error

    @property
    def tokenizer(self) -> Tokenizer:
        """Cuts texts into the pieces that the tagger reads; a checkpoint holds it."""
        return cast("Tokenizer", self.module.tokenizer)

    @property
    def window(self) -> int:
        """Most pieces that the tagger reads at once."""
        return int(self.module.hparams["window"])

    def read(self, texts: Sequence[str]) -> list[Tagging]:
        """The mentions of each text, in characters of the text as given, and how sure they are."""
        return self.module.tag(list(texts))


class CheckpointLooker:
    """A classifier from a checkpoint, calibrated as the release is if it knows the release's kinds."""

    def __init__(self, file: str | Path, manifest: Manifest | None = None) -> None:
        try:
            self.module = classifier.load_checkpoint(file)
        except classifier.CheckpointError as error:
            raise InputError(str(error)) from error
        self.kinds = tuple(self.module.classes)
        self.size = int(self.module.hparams["size"])
        fits = manifest is not None and manifest.kinds == self.kinds
        self._calibration = manifest.calibration if manifest is not None and fits else Calibration()

    def look(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """Calibrated presences 0..1, shape (N, kinds), of the views (V, size, size, 3), uint8, of N pictures."""
        return self._calibration.presence(self.logits(pictures))

    def logits(self, pictures: Sequence[Pixels]) -> NDArray[np.float32]:
        """Logits (N, kinds) of the views (V, size, size, 3), uint8, of N pictures."""
        batch = torch.from_numpy(np.concatenate(pictures)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            logits = self.module(batch).numpy()
        return strongest(logits, [len(views) for views in pictures])
