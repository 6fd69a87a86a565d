"""Keeping where a fine-tuning started, to average its end with (see ``scripts/average.py``)."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer


class StartCheckpoint(Callback):
    """Keeps the network as it is before its first step, beside the other checkpoints of the run, as ``start.ckpt``."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save it, unless the fit goes on from a checkpoint or keeps none, as a ``fast_dev_run`` does."""
        rehearsal = trainer.fast_dev_run  # type: ignore[attr-defined]  # Lightning sets it when it starts, unseen by mypy
        if trainer.ckpt_path is None and trainer.checkpoint_callbacks and not rehearsal:
            trainer.save_checkpoint(Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints" / "start.ckpt", weights_only=True)
