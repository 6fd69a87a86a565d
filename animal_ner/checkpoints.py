"""Checkpoints that are whole whatever happens, and from which a fit goes on as if it had never stopped."""

from __future__ import annotations

import io
import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import SIGTERMException

from animal_ner.module import CheckpointError
from animal_ner.processes import remove_leftovers


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint to the disk beside its place, and then puts it there: what is in its place is always whole.

    Lightning's own writes to the folder of temporary files, which may be on another disk, and waits for no disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save a checkpoint; one on another machine (``s3://...``) as Lightning does.

        Raises:
            CheckpointError: it cannot be written, as on a full disk; what was there before is as it was.
        """
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
        else:
            write_checkpoint(checkpoint, Path(path))


def write_checkpoint(checkpoint: dict[str, Any], file: Path) -> None:
    """Put a checkpoint in its place in one piece.

    Raises:
        CheckpointError: it cannot be written; what was there before is as it was.
    """
    content = io.BytesIO()
    torch.save(checkpoint, content)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(content.getbuffer())
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CheckpointError(f"{file}: cannot be saved ({error.strerror}); what was there before is as it was") from error


class LastCheckpoint(ModelCheckpoint):
    """Keeps ``last.ckpt``, from which a fit goes on exactly as if it had never stopped.

    Saved at the end of each epoch, every so many steps, and when Ctrl-C or SIGTERM stop the fit, always between two steps of the
    optimizer. A second Ctrl-C stops at once and saves nothing, as SIGKILL does. What a process that was killed left half written is removed
    when the next fit begins in its folder, or from a checkpoint there.

    Args:
        every_n_steps: steps of the optimizer from one save within an epoch to the next; 0 saves at the end of epochs alone.
    """

    def __init__(self, every_n_steps: int = 500) -> None:
        super().__init__(filename="last", enable_version_counter=False)
        self.every_n_steps = every_n_steps
        self._signal = 0  # the one that asked to stop
        self._handlers: dict[int, Any] = {}
        self._step = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Clean up behind a fit that was killed."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit" and trainer.is_global_zero:
            for folder in {Path(self.dirpath or ""), *([Path(trainer.ckpt_path).parent] if trainer.ckpt_path else [])}:
                remove_leftovers(folder, ".*.ckpt.*")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen for signals."""
        super().on_train_start(trainer, pl_module)
        self._step = trainer.global_step
        self._listen()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen for signals."""
        self._listen()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Save after a step of the optimizer, if it is time to or the fit is to stop.

        Raises:
            SIGTERMException: the fit is to stop; it ends the process as its signal would.
        """
        stepped, self._step = trainer.global_step > self._step, trainer.global_step
        # Between steps gradients would be lost. After the last batch Lightning validates and saves, and the fit stops at the next step.
        if not stepped or trainer.is_last_batch or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        stops = trainer.strategy.reduce_boolean_decision(self._signal > 0, all=False)
        if stops or (self.every_n_steps and self._step % self.every_n_steps == 0):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))
        if stops:
            rank_zero_info(f"Stopped after {self._step:,} steps; --ckpt_path {self.best_model_path} goes on.")
            # Lightning kills all when a process that it started fails, so the first alone says by which signal the fit was stopped.
            raise SIGTERMException(128 + (self._signal or signal.SIGTERM) if trainer.is_global_zero else 0)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save, and leave signals to those who had them before: there is no step to wait for."""
        super().on_train_epoch_end(trainer, pl_module)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def _listen(self) -> None:
        if not self._handlers and threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._ask_to_stop) for number in (signal.SIGINT, signal.SIGTERM)}

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._signal = number
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.write(2, b"\nStopping after this step; Ctrl-C again stops at once.\n")
