"""In which order a training meets its sentences, and how each is varied: a function of the seed, the epoch and the place in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import DistributedSampler


class Draw(NamedTuple):
    """One sentence of a training epoch."""

    item: int  # index of the sentence in its dataset
    seed: int  # of its variation, below 2**32


class TrainOrder(DistributedSampler[Draw]):
    """Draws each of some sentences once in an epoch; processes that train together share them out, and leave out what is left over.

    Nothing is left to the state of a random generator, so a fit that resumes draws what one that never stopped would have drawn. Lightning
    leaves a DistributedSampler as it is, whatever the number of processes.

    Args:
        sentences: how many there are.
        seed: of order and variation, beside the one of ``seed_everything``.
        position: tells, when an epoch is begun or resumed, its number and how many of its batches were trained on already.
        batch_size: draws in a batch of one process.
        processes: number of processes that train together.
        rank: number of this one, from 0.
    """

    def __init__(
        self,
        sentences: int,
        *,
        seed: int,
        position: Callable[[], tuple[int, int]],
        batch_size: int,
        processes: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(range(sentences), num_replicas=processes, rank=rank, seed=seed, drop_last=True)  # type: ignore[arg-type]
        self.sentences = sentences
        self.position = position
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[Draw]:
        epoch, batches = self.position()
        chance = torch.Generator().manual_seed(seed_of(self.seed, epoch))
        indices = torch.randperm(self.sentences, generator=chance)
        seeds = torch.randint(2**32, indices.shape, generator=chance)
        draws = [Draw(*pair) for pair in zip(indices.tolist(), seeds.tolist(), strict=True)]
        return iter(draws[self.rank : self.total_size : self.num_replicas][batches * self.batch_size :])


def seed_of(*numbers: int) -> int:
    """A seed, below 2**64, for some numbers (epoch, batch, ...) of the run that ``seed_everything`` seeded."""
    run = int(os.environ.get("PL_GLOBAL_SEED", "0"))
    return int(np.random.SeedSequence(run, spawn_key=numbers).generate_state(1, np.uint64)[0])
