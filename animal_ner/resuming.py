"""Data of a fit that goes on where it stopped, shared out among the processes that work together.

Both packages have it, since neither may import the other.
"""

from __future__ import annotations

import warnings
from typing import Any

from lightning.pytorch import LightningDataModule
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from torch.utils.data import Dataset, Sampler


class TooFewError(ValueError):
    """There is less to evaluate or predict than there are processes; the message says how many of each."""


class ResumableData(LightningDataModule):
    """Data that know where a fit stands, so that one which resumes trains on the rest of its epoch."""

    def __init__(self) -> None:
        super().__init__()
        self._resumed = (0, 0)  # the epoch that a fit begins or goes on with, and how many of its batches were trained on already

    def setup(self, stage: str) -> None:
        """Begin at the beginning; Lightning loads what a checkpoint says afterwards."""
        self._resumed = (0, 0)

    def state_dict(self) -> dict[str, int]:
        """Where a fit stands: its epoch, and how many batches of it are trained on. Lightning keeps it in checkpoints.

        Lightning would keep the state of a loader as well, but restores it too late for a schedule that asks for the number of steps
        (its issue 20550).
        """
        trainer: Any = self.trainer  # these parts of it are typed too widely
        begun = trainer.fit_loop.epoch_progress.current.started
        batches = trainer.fit_loop.epoch_loop.batch_progress.current.processed
        over = batches >= trainer.num_training_batches or trainer.should_stop
        return {"epoch": begun, "batches": 0} if over else {"epoch": max(begun - 1, 0), "batches": batches}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on where ``state_dict`` says."""
        self._resumed = (state_dict["epoch"], state_dict["batches"])
        warnings.filterwarnings("ignore", "You're resuming from a checkpoint that ended before the epoch ended and your dataloader is not")

    def position(self) -> tuple[int, int]:
        """Where the epoch to be trained on begins.

        Returns:
            Its number, from 0, and how many of its batches, of one process each, were trained on before the fit resumed.
        """
        current = self.trainer.current_epoch if self.trainer else 0
        return (current, 0) if current > self._resumed[0] else self._resumed

    def share(self) -> dict[str, int]:
        """How many ``processes`` share the work, and which of them this is (``rank``, from 0); empty without a Trainer."""
        return {"processes": self.trainer.world_size, "rank": self.trainer.global_rank} if self.trainer else {}

    def each_once(self, dataset: Dataset[Any], things: str) -> Sampler[int] | None:
        """Share a dataset out in order, each of its items to one process; Lightning's own sharing repeats some.

        Args:
            dataset: it has a length.
            things: what it holds, for the error.

        Returns:
            The indices of this process; none, if it is the only one.

        Raises:
            TooFewError: there are more processes than items.
        """
        share, count = self.share(), len(dataset)  # type: ignore[arg-type]
        if share.get("processes", 1) == 1:
            return None
        if count < share["processes"]:
            raise TooFewError(f"{count:,} {things} are too few for {share['processes']} processes; use fewer (trainer.devices)")
        return UnrepeatedDistributedSampler(dataset, num_replicas=share["processes"], rank=share["rank"], shuffle=False)
