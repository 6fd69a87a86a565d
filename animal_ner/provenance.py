"""Which sentences a tagger learnt from: a fingerprint that is another one when the files are other ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PROVENANCE = "provenance"  # among the hyperparameters of the data, in checkpoints


def provenance(files: Mapping[str, Sequence[Path]], counts: Mapping[str, int]) -> dict[str, Any]:
    """Tell the files of texts in plain values.

    Args:
        files: for each use (train, val, test, borrowed, plain) its files; what is not there is left out.
        counts: number of sentences by use.

    Returns:
        The SHA-256 ``fingerprint`` of the sorted (use, name, SHA-256) of all files, and the number of ``sentences`` by use.
    """
    rows = sorted((use, file.name, _digest(file)) for use, listed in files.items() for file in listed if file.is_file())
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    return {"fingerprint": hashlib.sha256(lines.encode()).hexdigest(), "sentences": dict(counts)}


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
    then, here = (", ".join(f"{count:,} {use}" for use, count in data["sentences"].items()) for data in (before, current))
    return f"the checkpoint was trained on other data: sentences were {then} and are {here} now, or other texts"


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
