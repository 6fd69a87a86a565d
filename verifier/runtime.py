"""The two models as they run without torch: ONNX sessions for the tagger and the classifier of a release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from animal_cls.picture import Pixels
from animal_cls.views import strongest
from animal_ner.tokens import Ids, Logits, Tagging, tag_texts
from verifier.decision import InputError
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
    """The tagger of a release."""

    def __init__(self, release: Release) -> None:
        self._session = tagger_session(release.checked("tagger.onnx"), len(release.manifest.tags))
        self._tokenizer = _tokenizer(release.checked("tokenizer.json"))
        self._window = release.manifest.window

    def read(self, texts: Sequence[str]) -> list[Tagging]:
        """The mentions of each text, in characters of the text as given, and how sure they are."""
        return tag_one_by_one(self._session, self._tokenizer, texts, size=self._window)


def tagger_session(model: Path, tags: int) -> ort.InferenceSession:
    """A tagger of so many tags, in one thread: waking a second one takes longer than it saves on the dozen pieces that a message has.

    Raises:
        InputError: the file holds no such model.
    """
    return _session(model, threads=1, inputs={"ids": 2, "mask": 2}, logits=tags)


def tag_one_by_one(tagger: ort.InferenceSession, tokenizer: Tokenizer, texts: Sequence[str], *, size: int) -> list[Tagging]:
    """Find the mentions of each text, in windows of at most ``size`` pieces.

    Windows are scored one by one: int8 activations are scaled by all that is scored at once, so in a batch the other texts would
    change how one is read (10 of 700 messages in shuffled batches of 32).
    """

    def score(ids: Ids, mask: Ids) -> Logits:
        logits: Logits = tagger.run(["logits"], {"ids": ids, "mask": mask})[0]
        return logits

    return tag_texts(tokenizer, texts, score, size=size, batch_size=1)


class OnnxLooker:
    """The classifier of a release, in so many threads (in as many as there are cores when none is given)."""

    def __init__(self, release: Release, *, threads: int | None = None) -> None:
        self._session = classifier_session(release.checked("classifier.onnx"), len(release.manifest.kinds), threads=threads)
        self.kinds = release.manifest.kinds
        self.size = release.manifest.size
        self._calibration = release.manifest.calibration

    def look(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """Calibrated presences 0..1, shape (N, kinds), of the views (V, size, size, 3), uint8, of N pictures."""
        return self._calibration.presence(view_logits(self._session, pictures))


def classifier_session(model: Path, kinds: int, *, threads: int | None = None) -> ort.InferenceSession:
    """A classifier of so many kinds.

    Raises:
        InputError: the file holds no such model.
    """
    return _session(model, threads=threads, inputs={"images": 4}, logits=kinds)


def view_logits(classifier: ort.InferenceSession, pictures: Sequence[Pixels]) -> NDArray[np.float32]:
    """Logits (N, kinds) of the views (V, size, size, 3), uint8, of N pictures."""
    batch = np.concatenate(pictures).transpose(0, 3, 1, 2)
    logits = classifier.run(["logits"], {"images": np.ascontiguousarray(batch)})[0]
    return strongest(logits, [len(views) for views in pictures])


def as_presence(kinds: Sequence[str], row: NDArray[np.float64]) -> dict[str, float]:
    """One row of ``look`` by kind."""
    return {kind: float(value) for kind, value in zip(kinds, row, strict=True)}


def _session(model: Path, *, threads: int | None, inputs: Mapping[str, int], logits: int) -> ort.InferenceSession:
    """A model with inputs of so many dimensions, that gives so many logits.

    Raises:
        InputError: the file holds no such model.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0  # 0 lets ONNX Runtime take every core
    # Two sessions whose idle threads spin fight over the cores: 19-27 ms a pair with spinning, 11 ms without.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what is wrong is said in the error
    try:
        session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # each of its own type
        raise InputError(f"{model}: not a model that can be run ({str(error).partition(chr(10))[0]}); export the release again") from error
    found = {each.name: len(each.shape) for each in session.get_inputs()}
    given = {each.name: each.shape[-1:] for each in session.get_outputs()}.get("logits", [])
    if found != inputs or (given != [logits] and all(isinstance(size, int) for size in given)):
        what = f"takes {', '.join(found)} and gives {given[0] if given else 'no'} logits"
        raise InputError(f"{model}: {what}, not {', '.join(inputs)} and {logits} as the manifest says; files of two releases are mixed up")
    return session


def _tokenizer(file: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises nothing narrower
        raise InputError(f"{file}: not a tokenizer that can be read ({error}); export the release again") from error
