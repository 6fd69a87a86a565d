"""Averaging the weights of two checkpoints of one network: the end of a fine-tuning and its start, or two trainings from one start."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from animal_cls.checkpoints import write_checkpoint
from animal_cls.module import CheckpointError
from verifier.decision import InputError

SAME = ("tags", "tokenizer", "classes", "backbone", "mean", "std", "padding", "imagenet")  # what else makes a network the same
OF_ITS_TRAINING = ("optimizer_states", "lr_schedulers", "callbacks", "loops", "current_model_state", "averaging_state")


def average_checkpoints(tuned: Path, start: Path, output: Path, *, share: float) -> None:
    """Write the checkpoint ``share`` of the way from one to another.

    Between the start and the end of a fine-tuning such averages keep most of what was learnt and forget less of other sources
    (Wortsman et al., "Robust fine-tuning of zero-shot models", 2022); half way between two trainings from one start they do better
    than either (Wortsman et al., "Model soups", 2022).

    Args:
        tuned: checkpoint of a classifier or a tagger; the result keeps its description, without the state of its training.
        start: another one of the same network.
        output: file to write.
        share: 0 gives ``start``, 1 ``tuned``.

    Raises:
        InputError: a checkpoint cannot be read or written, or they are of different networks.
    """
    content, other = _read(tuned), _read(start)
    weights, others = content["state_dict"], other["state_dict"]
    differing = [name for name, value in weights.items() if name not in others or others[name].shape != value.shape]
    differing += [name for name in SAME if _setting(content, name) != _setting(other, name)]
    if differing:
        raise InputError(f"{start}: another network than {tuned} ({differing[0]} differs)")
    averaged = {name: torch.lerp(others[name], value, share) if value.is_floating_point() else value for name, value in weights.items()}
    kept = {name: value for name, value in content.items() if name not in OF_ITS_TRAINING}
    try:
        write_checkpoint(kept | {"state_dict": averaged}, output)
    except CheckpointError as error:
        raise InputError(str(error)) from error


def _setting(checkpoint: Mapping[str, Any], name: str) -> Any:
    return checkpoint.get(name, checkpoint.get("hyper_parameters", {}).get(name))


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise InputError(f"{file}: no such file; expected a checkpoint (.ckpt) of animal_cls or animal_ner")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # each of its own type
        raise InputError(f"{file}: not a checkpoint that can be read ({type(error).__name__})") from error
    if not isinstance(content, dict) or content.get("task") not in ("animal_cls", "animal_ner"):
        raise InputError(f"{file}: was not made by this framework; expected a checkpoint of animal_cls or animal_ner")
    return content


def main(args: Sequence[str] | None = None) -> int:
    """Command line of scripts/average.py."""
    parser = argparse.ArgumentParser(
        prog="average.py",
        description="Average two checkpoints of one network: a fine-tuned classifier with where its fine-tuning started, or two taggers "
        "that were trained from the same encoder.",
    )
    parser.add_argument("--tuned", type=Path, required=True, metavar="CKPT", help="checkpoint at the end of a training")
    parser.add_argument("--start", type=Path, required=True, metavar="CKPT", help="checkpoint at its start (start.ckpt), or of another one")
    parser.add_argument(
        "--share", type=float, default=0.7, help="how much of --tuned is taken, 0..1: 0 gives --start, 1 --tuned (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="CKPT", help="checkpoint to write")
    options = parser.parse_args(args)
    if not 0 <= options.share <= 1:
        parser.error(f"--share {options.share}: a share lies between 0 and 1")
    try:
        average_checkpoints(options.tuned, options.start, options.output, share=options.share)
    except InputError as error:
        print(f"average: {error}", file=sys.stderr)
        return 2
    return 0
