"""The Verifier: a text and a picture in, a verdict out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np

from animal_cls.calibration import log_odds
from animal_cls.picture import PictureError, PictureSource, Pixels
from animal_cls.views import load_views
from animal_ner.language import ENGLISH, is_foreign
from animal_ner.names import Names
from animal_ner.text import TextError, check_text
from animal_ner.tokens import Tagging
from verifier.decision import InputError, Mention, Reading, Verdict, decide
from verifier.lookalikes import read_look_alikes
from verifier.mentions import find_mentions
from verifier.release import MANIFEST, Release, digest
from verifier.runtime import Looker, OnnxLooker, OnnxReader, Reader, as_presence

BATCH = 32  # pairs that pass through the models together
LOOK = 8  # pictures that pass through the classifier together: per picture as fast as 32, and the process needs 332 MB, not 722
REMEMBERED = 4096  # texts of batches whose readings are kept, some MB: tables say the same of many pictures
SHORT = 200  # characters of a text that is remembered at most; longer ones hardly come again
DECODERS = 4  # most threads that open the pictures of a batch

UNREAD = Reading((), certainty=1.0, foreign=True)

_Item = TypeVar("_Item")
_Key: TypeAlias = str | int  # what tells a picture from the others of its batch: its path, or its place if it has none


class _Pair(NamedTuple):
    """A text that can be read, and a picture."""

    text: str
    image: PictureSource
    key: _Key


class Verifier:
    """Tells whether what a text says about the animals in a picture is true.

    Args:
        release: folder of a release; the one that travels with the package when none is given.
        reader: finds the mentions of texts in place of the release's tagger.
        looker: finds the animals of pictures in place of the release's classifier.
        threads: that the release's classifier may use, and the opening of a batch's pictures; by default as many as there are cores, and
            at most four to open pictures.

    A Verifier answers in the process that opened it, from any of its threads; one that forks (gunicorn --preload) opens it afterwards.

    Raises:
        InputError: the release is missing or damaged.

    Example:
        >>> from verifier import Verifier
        >>> verdict = Verifier().verify("There is a cat in the picture.", "notebooks/cat.jpg")
        >>> verdict.answer, verdict.reason.value
        (True, 'agrees')
    """

    def __init__(
        self,
        release: str | Path | None = None,
        *,
        reader: Reader | None = None,
        looker: Looker | None = None,
        threads: int | None = None,
    ) -> None:
        opened = Release(release)
        with ThreadPoolExecutor(2) as loaders:
            reading = loaders.submit(lambda: reader or OnnxReader(opened))
            looking = loaders.submit(lambda: looker or OnnxLooker(opened, threads=threads))
            self._looker = looking.result()
            self._names = Names(self._looker.kinds)  # while the tagger, which takes longer, is still being read
            self._reader = reading.result()
        self._process = os.getpid()
        self._decoders = ThreadPoolExecutor(threads or min(DECODERS, os.cpu_count() or 1), "decoder")
        self._manifest = opened.manifest
        self._remembered: dict[str, Reading] = {}
        self._remembering = Lock()

    @staticmethod
    def from_checkpoints(
        *,
        ner: str | Path | None = None,
        cls: str | Path | None = None,
        release: str | Path | None = None,
        threads: int | None = None,
    ) -> Verifier:
        """A Verifier with one or both models from Lightning checkpoints in place of the release's (needs the extra ``train``).

        The threshold is the release's, and so is the calibration if the checkpoint knows the release's kinds; other kinds go
        uncalibrated until they are exported.

        Args:
            ner: checkpoint of animal_ner.
            cls: checkpoint of animal_cls.
            release: folder of a release; the shipped one when none is given.
            threads: as in ``Verifier``; torch's are limited for the whole process.

        Raises:
            InputError: a checkpoint is missing, broken or of another model, or the extra is not installed.
        """
        try:
            from verifier.checkpoint import CheckpointLooker, CheckpointReader, limit_threads  # noqa: PLC0415  (torch, only when asked for)
        except ModuleNotFoundError as error:
            raise InputError(f"{error.name} is missing; checkpoints need the extra 'train': pip install -e '.[train]'") from error
        if threads is not None:
            limit_threads(threads)
        reader = CheckpointReader(ner) if ner else None
        looker = CheckpointLooker(cls, Release(release).manifest) if cls else None
        return Verifier(release, reader=reader, looker=looker, threads=threads)

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
        self._check_process()
        checked = _check(text)
        opened = self._decoders.submit(_open, image, self._looker.size)  # while the text is read
        reading = self._read([checked])[checked]
        return self._decide(reading, self._presence(opened.result()))

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
        """As ``verify_batch``, but a pair that is wrong yields its error, and the others go on.

        Within a batch a picture file is looked at once, however many pairs it meets in, and a short text is not read again before
        thousands of others were; pictures that are given as bytes, images or arrays are each looked at.
        """
        for batch in batches(pairs, BATCH):
            yield from self._try(batch)

    def _try(self, batch: Sequence[object]) -> Iterator[Verdict | InputError]:
        """The outcome of each pair of a batch; its pictures are opened while its texts are read and other pictures looked at."""
        self._check_process()
        pairs = [_check_pair(pair, place) for place, pair in enumerate(batch)]
        good = [pair for pair in pairs if not isinstance(pair, InputError)]
        images = {pair.key: pair.image for pair in good}
        opened = self._decoders.map(self._try_open, images.values())
        readings = self._read_anew_or_remember(list(dict.fromkeys(pair.text for pair in good)))
        looks = self._look_at(zip(images, opened, strict=True))
        for pair in pairs:
            if isinstance(pair, InputError):
                yield pair
                continue
            look = looks[pair.key]
            yield look if isinstance(look, InputError) else self._decide(readings[pair.text], look)

    def _check_process(self) -> None:
        """Refuse to wait for threads that a fork left behind.

        Raises:
            RuntimeError: this is another process than the one that opened the Verifier.
        """
        if os.getpid() != self._process:
            raise RuntimeError("this Verifier was opened before the process forked, and its threads stayed behind; open one in each")

    def _try_open(self, image: PictureSource) -> Pixels | InputError:
        try:
            return _open(image, self._looker.size)
        except InputError as error:
            return error

    def _look_at(self, opened: Iterable[tuple[_Key, Pixels | InputError]]) -> dict[_Key, dict[str, float] | InputError]:
        """The presences of each picture, or why it could not be opened."""
        looks: dict[_Key, dict[str, float] | InputError] = {}
        for group in batches(opened, LOOK):
            looks |= {key: each for key, each in group if isinstance(each, InputError)}
            pixels = {key: each for key, each in group if not isinstance(each, InputError)}
            rows = self._looker.look(list(pixels.values())) if pixels else ()
            looks |= {key: as_presence(self._looker.kinds, row) for key, row in zip(pixels, rows, strict=True)}
        return looks

    def read(self, text: str) -> tuple[Mention, ...]:
        """Find the animals that a text names, with what it claims of each; none in a text of a language that the release does not read.

        Raises:
            InputError: the text is empty or too long.
        """
        return self.reading(text).mentions

    def reading(self, text: str) -> Reading:
        """As ``read``, with the probability that the text is read right.

        Raises:
            InputError: the text is empty or too long.
        """
        return self._read([_check(text)])[text]

    def look(self, image: PictureSource) -> dict[str, float]:
        """Find the animals of a picture: for each kind the calibrated probability, 0..1, that the picture shows it.

        Raises:
            InputError: the picture cannot be read.
        """
        self._check_process()
        return self._presence(_open(image, self._looker.size))

    def _presence(self, pixels: Pixels) -> dict[str, float]:
        return as_presence(self._looker.kinds, self._looker.look([pixels])[0])

    def _read_anew_or_remember(self, texts: Sequence[str]) -> dict[str, Reading]:
        with self._remembering:
            known = {text: self._remembered[text] for text in texts if text in self._remembered}
        new = self._read([text for text in texts if text not in known])
        with self._remembering:
            self._remembered |= {text: reading for text, reading in new.items() if len(text) <= SHORT}
            while len(self._remembered) > REMEMBERED:
                del self._remembered[next(iter(self._remembered))]  # the oldest
        return known | new

    def _read(self, texts: Sequence[str]) -> dict[str, Reading]:
        """What each text says; in a language of which the tagger knows nothing nothing is read."""
        known = [text for text in texts if self._manifest.language != ENGLISH or not is_foreign(text)]
        taggings = self._reader.read(known) if known else ()
        readings = {text: self._reading(text, tagging) for text, tagging in zip(known, taggings, strict=True)}
        return {text: readings.get(text, UNREAD) for text in texts}

    def _reading(self, text: str, tagging: Tagging) -> Reading:
        certainty = float(self._manifest.reading.presence(log_odds(np.array(tagging.sureness))))
        return Reading(find_mentions(text, tagging.spans, self._names), certainty)

    def _decide(self, reading: Reading, presence: dict[str, float]) -> Verdict:
        manifest = self._manifest
        return decide(
            mentions=reading.mentions,
            presence=presence,
            asked=manifest.asked,
            threshold=manifest.threshold,
            seen_from=manifest.seen_from,
            certainty=reading.certainty,
            foreign=reading.foreign,
            alike=read_look_alikes(),
        )


@dataclass(frozen=True)
class Models:
    """Which models answer, by their files: what opens the same Verifier in any process.

    Attributes:
        release: folder of a release; the shipped one when none is given.
        ner: checkpoint of animal_ner in place of the release's tagger.
        cls: checkpoint of animal_cls in place of the release's classifier.
    """

    release: Path | None = None
    ner: Path | None = None
    cls: Path | None = None

    def open(self, *, threads: int | None = None) -> Verifier:
        """The Verifier of these files; ``threads`` as there.

        Raises:
            InputError: a file is missing, broken, or of another model.
        """
        if self.ner or self.cls:
            return Verifier.from_checkpoints(ner=self.ner, cls=self.cls, release=self.release, threads=threads)
        return Verifier(self.release, threads=threads)

    def sha256(self) -> str:
        """A digest of everything that these models answer with; a manifest has those of a release's files.

        Raises:
            InputError: a file cannot be read.
        """
        files = [Release(self.release).folder / MANIFEST, *(file for file in (self.ner, self.cls) if file)]
        try:
            return digest(b"".join(digest(file.read_bytes()).encode() for file in files))
        except OSError as error:
            raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _check(text: str) -> str:
    try:
        return check_text(text)
    except TextError as error:
        raise InputError(str(error)) from error


def _open(image: PictureSource, size: int) -> Pixels:
    try:
        return load_views(image, size)
    except PictureError as error:
        raise InputError(str(error)) from error


def _check_pair(pair: object, place: int) -> _Pair | InputError:
    """A pair of which the text can be read, or what is wrong with it."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        return InputError(f"pairs: {type(pair).__name__} given; each pair must be (text, image)")
    text, image = pair
    try:
        return _Pair(_check(text), image, os.fspath(image) if isinstance(image, str | os.PathLike) else place)
    except InputError as error:
        return error


def batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Cut items, taken as they are needed, into lists of this size; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
