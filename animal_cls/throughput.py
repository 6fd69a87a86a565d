"""How many pictures a training sees in a second."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class Throughput(Callback):
    """Logs ``train/pictures_per_second``, of all processes together, over the latest steps; validation does not count.

    Lightning's ThroughputMonitor waits for the device in each step, which slows the pipeline that it measures.

    Args:
        steps: latest training batches that are averaged over.
    """

    def __init__(self, steps: int = 50) -> None:
        self._ends: deque[tuple[float, int]] = deque(maxlen=steps + 1)  # of batches: when each ended (s), and its pictures

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Log what the latest batches gave."""
        self._ends.append((time.perf_counter(), trainer.world_size * len(batch["image"])))
        seconds = self._ends[-1][0] - self._ends[0][0]
        if seconds:
            pictures = sum(count for _, count in list(self._ends)[1:])
            pl_module.log("train/pictures_per_second", pictures / seconds, batch_size=1)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure anew after it."""
        self._ends.clear()
