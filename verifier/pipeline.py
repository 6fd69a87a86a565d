"""The Verifier: a text and a picture in, a verdict out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

from animal_cls.picture import PictureError, PictureSource, Pixels, load_picture
from animal_ner.names import Names
from animal_ner.tags import Span
from animal_ner.text import TextError, check_text
from verifier.decision import InputError, Mention, Verdict, decide
from verifier.release import Release
from verifier.runtime import Looker, OnnxLooker, OnnxReader, Reader, as_presence

BATCH = 32  # pairs that pass through the models together

_Item = TypeVar("_Item")


class Verifier:
    """Tells whether what a text says about the animals in a picture is true.

    Args:
        release: folder of a release; the one that travels with the package when none is given.
        reader: finds the mentions of texts in place of the release's tagger.
        looker: finds the animals of pictures in place of the release's classifier.

    Raises:
        InputError: the release is missing or damaged.

    Example:
        >>> from verifier import Verifier
        >>> verdict = Verifier().verify("There is a cat in the picture.", "notebooks/cat.jpg")
        >>> verdict.answer, verdict.reason.value
        (True, 'agrees')
    """

    def __init__(self, release: str | Path | None = None, *, reader: Reader | None = None, looker: Looker | None = None) -> None:
        opened = Release(release)
        self._reader = reader or OnnxReader(opened)
        self._looker = looker or OnnxLooker(opened)
        self._names = Names(self._looker.kinds)
        self._manifest = opened.manifest

    @staticmethod
    def from_checkpoints(*, ner: str | Path | None = None, cls: str | Path | None = None, release: str | Path | None = None) -> Verifier:
        """A Verifier with one or both models from Lightning checkpoints in place of the release's (needs the extra ``train``).

        The threshold is the release's, and so is the calibration if the checkpoint knows the release's kinds; other kinds go
        uncalibrated until they are exported.

        Args:
            ner: checkpoint of animal_ner.
            cls: checkpoint of animal_cls.
            release: folder of a release; the shipped one when none is given.

        Raises:
            InputError: a checkpoint is missing, broken or of another model, or the extra is not installed.
        """
        try:
            from verifier.checkpoint import CheckpointLooker, CheckpointReader  # noqa: PLC0415  (torch, only when asked for)
        except ModuleNotFoundError as error:
            raise InputError(f"{error.name} is missing; checkpoints need the extra 'train': pip install -e '.[train]'") from error
        reader = CheckpointReader(ner) if ner else None
        looker = CheckpointLooker(cls, Release(release).manifest) if cls else None
        return Verifier(release, reader=reader, looker=looker)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of animals that are known, in alphabetical order."""
        return tuple(sorted(self._looker.kinds))

    def verify(self, text: str, image: PictureSource) -> Verdict:
        """Tell whether what a text says about the animals in a picture is true.

        Args:
            text: one message about the picture.
            image: path, bytes of a file, PIL image, or uint8 array (H, W, 3).

        Raises:
            InputError: the text is empty or too long, or the picture cannot be read.
        """
        return self._decide(self.read(text), self.look(image))

    def verify_batch(self, pairs: Iterable[tuple[str, PictureSource]]) -> Iterator[Verdict]:
        """Verify many pairs in order, some at a time through both models; the pairs are taken as they are needed.

        Raises:
            InputError: at the pair that is wrong, after the verdicts before it.
        """
        for outcome in self.try_batch(pairs):
            if isinstance(outcome, InputError):
                raise outcome
            yield outcome

    def try_batch(self, pairs: Iterable[tuple[str, PictureSource]]) -> Iterator[Verdict | InputError]:
        """As ``verify_batch``, but a pair that is wrong yields its error, and the others go on."""
        for batch in _batches(pairs, BATCH):
            inputs = [_load(pair, self._looker.size) for pair in batch]
            good = [each for each in inputs if not isinstance(each, InputError)]
            spans = iter(self._reader.read([text for text, _ in good]))
            presences = iter(self._looker.look([pixels for _, pixels in good]) if good else ())
            for each in inputs:
                if isinstance(each, InputError):
                    yield each
                else:
                    yield self._decide(self._mentions(each[0], next(spans)), as_presence(self._looker.kinds, next(presences)))

    def read(self, text: str) -> tuple[Mention, ...]:
        """Find the animals that a text names, with what it claims of each.

        Raises:
            InputError: the text is empty or too long.
        """
        checked = _check(text)
        return self._mentions(checked, self._reader.read([checked])[0])

    def look(self, image: PictureSource) -> dict[str, float]:
        """Find the animals of a picture: for each kind the calibrated probability, 0..1, that the picture shows it.

        Raises:
            InputError: the picture cannot be read.
        """
        row = self._looker.look([_open(image, self._looker.size)])[0]
        return as_presence(self._looker.kinds, row)

    def _mentions(self, text: str, spans: Sequence[Span]) -> tuple[Mention, ...]:
        """Spans as mentions, their names led to kinds."""
        mentions: list[Mention] = []
        for span in spans:
            name = text[span.start : span.end]
            kinds, suggestion = tuple(sorted(self._names.kinds(name))), self._names.suggestion(name)
            mention = Mention(name, span.start, span.end, span.claim, kinds, suggestion)
            if mentions and mention.kinds and self._describes(mentions[-1], mention, text):
                mentions.pop()
            mentions.append(mention)
        return tuple(mentions)

    def _describes(self, before: Mention, mention: Mention, text: str) -> bool:
        """Whether what was read as a mention is but an adjective of the next one: "fluffy" in "fluffy cat"."""
        adjacent = not text[before.end : mention.start].strip(" -")
        return adjacent and before.claim == mention.claim and not self._names.is_listed(before.text)

    def _decide(self, mentions: tuple[Mention, ...], presence: dict[str, float]) -> Verdict:
        manifest = self._manifest
        return decide(
            mentions=mentions, presence=presence, asked=manifest.asked, threshold=manifest.threshold, seen_from=manifest.seen_from
        )


def _check(text: str) -> str:
    try:
        return check_text(text)
    except TextError as error:
        raise InputError(str(error)) from error


def _open(image: PictureSource, size: int) -> Pixels:
    try:
        return load_picture(image, size)
    except PictureError as error:
        raise InputError(str(error)) from error


def _load(pair: object, size: int) -> tuple[str, Pixels] | InputError:
    """A pair ready for the models, or what is wrong with it."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        return InputError(f"pairs: {type(pair).__name__} given; each pair must be (text, image)")
    text, image = pair
    try:
        return _check(text), _open(image, size)
    except InputError as error:
        return error


def _batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
