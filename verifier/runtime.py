"""The two models as they run without torch: ONNX sessions for the tagger and the classifier of a release."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from animal_cls.picture import Pixels
from animal_cls.views import strongest
from animal_ner.tokens import Ids, Logits, Tagging, tag_texts
from verifier.release import Release


class Reader(Protocol):
    """Finds the mentions of texts."""

    def read(self, texts: Sequence[str]) -> list[Tagging]:
        """The mentions of each text, in characters of the text as given, and how sure they are."""
        ...


class Looker(Protocol):
    """Finds the animals of pictures."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds in the order of the columns that ``look`` returns."""
        ...

    @property
    def size(self) -> int:
        """Side in pixels of the views that ``look`` takes."""
        ...

    def look(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """Calibrated presences 0..1, shape (N, kinds), of the views (V, size, size, 3), uint8, of N pictures."""
        ...


class OnnxReader:
    """The tagger of a release, in so many threads (in as many as there are cores when none is given)."""

    def __init__(self, release: Release, *, threads: int | None = None) -> None:
        self._session = _session(release.checked("tagger.onnx"), threads=threads)
        self._tokenizer = Tokenizer.from_file(str(release.checked("tokenizer.json")))
        self._window = release.manifest.window

    def read(self, texts: Sequence[str]) -> list[Tagging]:
        """The mentions of each text, in characters of the text as given, and how sure they are."""
        return tag_texts(self._tokenizer, texts, self._score, size=self._window)

    def _score(self, ids: Ids, mask: Ids) -> Logits:
        logits: Logits = self._session.run(["logits"], {"ids": ids, "mask": mask})[0]
        return logits


class OnnxLooker:
    """The classifier of a release, in so many threads (in as many as there are cores when none is given)."""

    def __init__(self, release: Release, *, threads: int | None = None) -> None:
        self._session = _session(release.checked("classifier.onnx"), threads=threads)
        self.kinds = release.manifest.kinds
        self.size = release.manifest.size
        self._calibration = release.manifest.calibration

    def look(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """Calibrated presences 0..1, shape (N, kinds), of the views (V, size, size, 3), uint8, of N pictures."""
        batch = np.concatenate(pictures).transpose(0, 3, 1, 2)
        logits = self._session.run(["logits"], {"images": np.ascontiguousarray(batch)})[0]
        return self._calibration.presence(strongest(logits, [len(views) for views in pictures]))


def as_presence(kinds: Sequence[str], row: NDArray[np.float64]) -> dict[str, float]:
    """One row of ``look`` by kind."""
    return {kind: float(value) for kind, value in zip(kinds, row, strict=True)}


def _session(model: Path, *, threads: int | None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0  # 0 lets ONNX Runtime take every core
    # Two sessions whose idle threads spin fight over the cores: 19-27 ms a pair with spinning, 11 ms without.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
