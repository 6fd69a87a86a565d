"""How fast the classifier trains under Lightning, beside a bare PyTorch loop over the same network."""

from __future__ import annotations

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from animal_cls.module import Classifier
from animal_cls.network import build_network


def time_training(backbone: str, *, side: int, batch_size: int, steps: int) -> dict[str, list[float]]:
    """Seconds of single training steps on random pictures, the ways taking turns twice.

    Args:
        backbone: of the classifier.
        side: of the pictures, in pixels.
        batch_size: pictures of a step.
        steps: that count in each turn, after two that do not.

    Returns:
        Seconds by way: first the classifier under Lightning, then a plain loop over the same network as PyTorch lays out tensors, and
        with their channels last, as the classifier has them.
    """
    batch = {
        "image": torch.randint(0, 256, (batch_size, 3, side, side), dtype=torch.uint8),
        "label": torch.arange(batch_size) % 10,
    }
    seconds: dict[str, list[float]] = {"the classifier": [], "a bare loop": [], "a bare loop, channels last": []}
    for _ in range(2):
        seconds["the classifier"] += _lightning_steps(backbone, batch, steps + 2)[2:]
        seconds["a bare loop"] += _bare_steps(backbone, batch, steps + 2, torch.contiguous_format)[2:]
        seconds["a bare loop, channels last"] += _bare_steps(backbone, batch, steps + 2, torch.channels_last)[2:]
    return seconds


def _lightning_steps(backbone: str, batch: dict[str, Tensor], steps: int) -> list[float]:
    model = Classifier([f"kind {k}" for k in range(10)], backbone=backbone, weights="none", size=batch["image"].shape[-1])
    clock = _Clock()
    trainer = Trainer(
        accelerator="cpu",
        max_steps=steps,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, DataLoader(_Same(batch, steps), batch_size=None))
    return clock.seconds


def _bare_steps(backbone: str, batch: dict[str, Tensor], steps: int, layout: torch.memory_format) -> list[float]:
    network = build_network(backbone, outputs=10, padding="torchvision", dropout=0.2).to(memory_format=layout).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-4)
    seconds = []
    for _ in range(steps):
        begin = time.perf_counter()
        images = (batch["image"].float() / 255 - 0.5) / 0.5
        loss = nn.functional.cross_entropy(network(images.contiguous(memory_format=layout)), batch["label"])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        seconds.append(time.perf_counter() - begin)
    return seconds


class _Same(Dataset[dict[str, Tensor]]):
    """One batch, again and again."""

    def __init__(self, batch: dict[str, Tensor], count: int) -> None:
        self._batch, self._count = batch, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        if not 0 <= i < self._count:
            raise IndexError(i)
        return self._batch


class _Clock(Callback):
    """Seconds from the end of each training step to the end of the next, all that Lightning does between them included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._before = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self._before)
        self._before = now
