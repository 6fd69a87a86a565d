"""The release: the exported models as files that say what they are and prove that they are whole."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from animal_cls.calibration import Calibration
from animal_ner.language import ENGLISH
from animal_ner.tags import TAGS
from verifier.asked import Asked
from verifier.decision import InputError

FORMAT = 2
MANIFEST = "manifest.json"
CARD = "MODEL_CARD.md"  # for people: nothing reads it
FILES = ("tagger.onnx", "classifier.onnx", "tokenizer.json")
MAX_FILE_BYTES = 512 * 1024 * 1024
MAX_MANIFEST_BYTES = 4 * 1024 * 1024
MAX_SIDE = 2048  # pixels
LISTED = 200  # characters of a path that a message repeats
MAX_WINDOW = 8192  # pieces
SHIPPED = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Manifest:
    """What a release is.

    Attributes:
        tags: tags of the tagger in the order of its logits.
        kinds: kinds in the order of the classifier's logits.
        size: side in pixels of the classifier's images.
        window: most pieces that the tagger reads at once.
        calibration: from the classifier's logits to presences.
        reading: from the log-odds of a text's sureness (see ``animal_ner.tags``) to the probability that it is read right.
        asked: from what a picture shows to the probability that it shows a kind of which a text speaks.
        threshold: probability of truth, 0..1, from which an answer is true.
        seen_from: presence, 0..1, from which an animal counts as seen.
        sha256: digest of each file, by name.
        training: the configurations that trained both models, and the metrics and data they were measured on.
        language: what the tagger reads. Texts in another one claim nothing, as far as this can be told, which it can for English.
    """

    tags: tuple[str, ...]
    kinds: tuple[str, ...]
    size: int
    window: int
    calibration: Calibration
    reading: Calibration
    asked: Asked
    threshold: float
    seen_from: float
    sha256: dict[str, str]
    training: dict[str, Any]
    language: str = ENGLISH

    def to_json(self) -> str:
        """The manifest as it is stored."""
        return json.dumps({"format": FORMAT} | asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read a stored manifest.

        Raises:
            ValueError: it is not one, or one of another format.
        """
        try:
            fields = json.loads(text)
        except RecursionError:
            raise ValueError("brackets within brackets within brackets") from None
        if not isinstance(fields, dict) or fields.pop("format", None) != FORMAT:
            raise ValueError(f"not a manifest of format {FORMAT}")
        try:
            fields |= {"tags": tuple(fields["tags"]), "kinds": tuple(fields["kinds"]), "calibration": Calibration(**fields["calibration"])}
            fields |= {"reading": Calibration(**fields["reading"]), "asked": Asked(**fields["asked"])}
            manifest = cls(**fields)
        except (KeyError, TypeError) as error:
            raise ValueError(f"a field is missing or of the wrong type ({error})") from error
        wrong = next((name for name, is_right in _RIGHT.items() if not is_right(getattr(manifest, name))), None)
        if wrong:
            raise ValueError(f"{wrong}: {str(getattr(manifest, wrong))[:60]} cannot be what a release has")
        return manifest


def _names(value: Any) -> bool:
    return bool(value) and all(isinstance(name, str) and name for name in value) and len(set(value)) == len(value)


def _whole(value: Any, *, least: int, most: int) -> bool:
    return isinstance(value, int) and least <= value <= most


def _share(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


def _calibration(value: Calibration | Asked) -> bool:
    return all(isinstance(number, int | float) and math.isfinite(number) for number in asdict(value).values())


_RIGHT: dict[str, Callable[[Any], bool]] = {
    "tags": _names,
    "kinds": _names,
    "size": partial(_whole, least=8, most=MAX_SIDE),
    "window": partial(_whole, least=8, most=MAX_WINDOW),
    "calibration": _calibration,
    "reading": _calibration,
    "asked": _calibration,
    "threshold": _share,
    "seen_from": _share,
    "sha256": lambda value: isinstance(value, dict),
    "training": lambda value: isinstance(value, dict),
    "language": lambda value: isinstance(value, str),
}


class Release:
    """A release directory whose files are checked against the manifest when they are read.

    Args:
        folder: the directory; the one that travels with the package when none is given.

    Raises:
        InputError: it is no release, or its tags are not those of this version.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = SHIPPED if folder is None else Path(folder)
        try:
            is_file, is_release = self.folder.is_file(), (self.folder / MANIFEST).is_file()
        except OSError as error:
            raise InputError(f"{str(self.folder)[:LISTED]}: cannot be used as a release ({error.strerror})") from error
        if is_file:
            what = "a training checkpoint" if self.folder.suffix == ".ckpt" else "a file"
            raise InputError(f"{self.folder}: {what}, not a release; give a folder made by scripts/export.py")
        if not is_release:
            raise InputError(f"{self.folder}: not a release (no {MANIFEST} there); scripts/export.py makes one")
        if self.manifest.tags != TAGS:
            raise InputError(f"{self.folder}: made for the tags {', '.join(self.manifest.tags)}; this version has {', '.join(TAGS)}")

    @cached_property
    def manifest(self) -> Manifest:
        """What the release says of itself."""
        path = self.folder / MANIFEST
        try:
            if path.stat().st_size > MAX_MANIFEST_BYTES:
                raise ValueError(f"more than {MAX_MANIFEST_BYTES:,} bytes")
            return Manifest.from_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error}); export the release again") from error

    def checked(self, name: str) -> Path:
        """Where one of the release's files lies, after its SHA-256 was found to be what the manifest says.

        Raises:
            InputError: the file is missing, too large, or another one than was exported.
        """
        path = self.folder / name
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise InputError(f"{path}: more than {MAX_FILE_BYTES:,} bytes; no file of a release is that large")
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); the release is incomplete") from error
        if found != self.manifest.sha256.get(name):
            raise InputError(f"{path}: SHA-256 differs from the manifest's; the file was damaged or exchanged")
        return path


def digest(content: bytes) -> str:
    """SHA-256 of some bytes in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
