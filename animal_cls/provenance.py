"""Which pictures a network learnt from: a fingerprint that is another one when the data are other ones."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from animal_cls.split import Example, Side

PROVENANCE = "provenance"  # among the hyperparameters of the data, in checkpoints


def provenance(placed: Sequence[tuple[Example, Side]], sizes: Mapping[Path, int], *, folders: Sequence[Path]) -> dict[str, Any]:
    """Tell the pictures of a split in plain values.

    Args:
        placed: the pictures that are used, with their sides.
        sizes: bytes of each file.
        folders: where paths start from: the data may be moved.

    Returns:
        The SHA-256 ``fingerprint`` of the sorted (path, label, bytes, side) of all pictures, the number of ``pictures`` by side, and
        of training pictures by class (``classes``).
    """
    rows = sorted((_relative(example.path, folders), example.label, sizes[example.path], side.value) for example, side in placed)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    return {
        "fingerprint": hashlib.sha256(lines.encode()).hexdigest(),
        "pictures": {side.value: sum(s == side for _, s in placed) for side in Side},
        "classes": dict(sorted(Counter(example.label for example, side in placed if side == Side.TRAIN and example.label).items())),
    }


def differing_data(checkpoint: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What is to be said when a checkpoint goes on with other data than it was trained on; "" when they are the same or unknown.

    Args:
        checkpoint: content of a checkpoint.
        now: hyperparameters of the data at hand.
    """
    before = checkpoint.get("datamodule_hyper_parameters", {}).get(PROVENANCE)
    current = now.get(PROVENANCE)
    if not before or not current or before["fingerprint"] == current["fingerprint"]:
        return ""
    then, here = (" + ".join(f"{data['pictures'][side]:,}" for side in Side) for data in (before, current))
    return f"the checkpoint was trained on other data: {then} pictures (train + val + test), now {here}, or other labels or sides"


def _relative(path: Path, folders: Sequence[Path]) -> str:
    folder = next((folder for folder in folders if path.is_relative_to(folder)), None)
    return (path.relative_to(folder) if folder else path).as_posix()
