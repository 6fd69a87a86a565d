"""Averaging a fine-tuned network with where its fine-tuning started."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from animal_cls.checkpoints import write_checkpoint
from animal_cls.module import CheckpointError, load_checkpoint


class StartCheckpoint(Callback):
    """Keeps the network as it is before its first step, beside the other checkpoints of the run, as ``start.ckpt``."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save it, unless the fit goes on from a checkpoint or keeps none, as a ``fast_dev_run`` does."""
        rehearsal = trainer.fast_dev_run  # type: ignore[attr-defined]  # Lightning sets it when it starts, unseen by mypy
        if trainer.ckpt_path is None and trainer.checkpoint_callbacks and not rehearsal:
            trainer.save_checkpoint(Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints" / "start.ckpt", weights_only=True)


def average_checkpoints(tuned: Path, start: Path, output: Path, *, share: float) -> None:
    """Write the checkpoint ``share`` of the way from the start of a fine-tuning to its end.

    Such averages keep most of what fine-tuning learnt and forget less of other sources (Wortsman et al., "Robust fine-tuning of
    zero-shot models", 2022).

    Args:
        tuned: checkpoint at the end; the result keeps its description, without the state of its optimizer.
        start: checkpoint at the start, of the same network.
        output: file to write.
        share: 0 gives the start, 1 the end.

    Raises:
        CheckpointError: a checkpoint cannot be read or written, or they are of different networks.
    """
    ends = [load_checkpoint(file).state_dict() for file in (start, tuned)]
    differing = [name for name, value in ends[1].items() if name not in ends[0] or ends[0][name].shape != value.shape]
    if differing:
        raise CheckpointError(f"{start}: another network than {tuned} ({differing[0]} differs)")
    content = torch.load(tuned, map_location="cpu", weights_only=True)
    content["state_dict"] = {
        name: torch.lerp(ends[0][name], value, share) if value.is_floating_point() else value for name, value in ends[1].items()
    }
    for name in ("optimizer_states", "lr_schedulers", "callbacks", "loops", "current_model_state", "averaging_state"):
        content.pop(name, None)
    write_checkpoint(content, output)


def main(args: Sequence[str] | None = None) -> int:
    """Command line of scripts/average.py."""
    parser = argparse.ArgumentParser(prog="average.py", description="Average a fine-tuned classifier with where its fine-tuning started.")
    parser.add_argument("--tuned", type=Path, required=True, metavar="CKPT", help="checkpoint at the end of fine-tuning")
    parser.add_argument("--start", type=Path, required=True, metavar="CKPT", help="checkpoint at its start: start.ckpt")
    parser.add_argument(
        "--share", type=float, default=0.7, help="how much of the end is taken, 0..1: 0 gives the start, 1 the end (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="CKPT", help="checkpoint to write")
    options = parser.parse_args(args)
    try:
        average_checkpoints(options.tuned, options.start, options.output, share=options.share)
    except CheckpointError as error:
        print(f"average: {error}", file=sys.stderr)
        return 2
    return 0
