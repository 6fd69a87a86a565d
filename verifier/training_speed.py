"""How fast the classifier trains under Lightning, by precision and layout of tensors, and beside a bare PyTorch loop that does the same."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from animal_cls.module import Classifier
from animal_cls.throughput import Throughput

Precision: TypeAlias = Literal["32-true", "bf16-mixed"]

CLASSES = 10
CLIP = 5.0  # longest gradient, as in configs/animal_cls
WARM_UP = 1  # steps of each fit that do not count: they find the memory and the kernels that the others use


def time_training(
    backbone: str, *, side: int, batch_size: int, steps: int, precision: Precision, channels_last: bool, beside_loop: bool = False
) -> tuple[list[float], list[float]]:
    """Time single training steps on random pictures, on the CPU.

    The fit is one as configs/animal_cls has it: it clips gradients, changes rates, shows progress and logs for TensorBoard. A bare loop has
    the same network, loader, precision, optimizer, clipping and rates, and neither shows nor logs anything.

    Args:
        backbone: of the classifier.
        side: of the pictures, in pixels.
        batch_size: pictures of a step.
        steps: that count.
        precision: as the Trainer names it.
        channels_last: lay out tensors with channels last.
        beside_loop: after each step of Lightning's, let a bare loop take one.

    Returns:
        Seconds of each step under Lightning, from the end of the one before, so that all that Lightning does between them counts; and
        those of the bare loop, likewise.
    """

    def build() -> tuple[Classifier, DataLoader[dict[str, Tensor]]]:
        """A classifier and a loader, the same each time; nothing in them is left to chance."""
        torch.manual_seed(0)
        names = [f"kind {k}" for k in range(CLASSES)]
        model = Classifier(names, backbone, weights="none", size=side, dropout=0.0, composed=0.0, channels_last=channels_last)
        return model, DataLoader(_Pictures(batch_size, side, count=batch_size * (WARM_UP + steps)), batch_size=batch_size)

    loop = _bare_steps(*build(), precision=precision) if beside_loop else iter(())
    turns = _Turns(loop)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="cpu",
            devices=1,
            precision=precision,
            max_epochs=1,
            gradient_clip_val=CLIP,
            log_every_n_steps=20,
            logger=TensorBoardLogger(folder, default_hp_metric=False),
            callbacks=[turns, RichProgressBar(console_kwargs={"stderr": True}), LearningRateMonitor(), Throughput()],
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        trainer.fit(*build())
    return turns.seconds[WARM_UP:], turns.others[WARM_UP:]


def _bare_steps(model: Classifier, loader: DataLoader[dict[str, Tensor]], *, precision: Precision) -> Iterator[float]:
    """Train as the tutorials of PyTorch do, and yield the seconds of each step."""
    schedule = model.schedule(len(loader))
    optimizer = schedule.optimizer
    batches = iter(loader)
    for _ in range(len(loader)):
        begin = time.perf_counter()
        batch = next(batches)
        wanted = model.hparams["target"] * nn.functional.one_hot(batch["label"], CLASSES).float()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            loss = nn.functional.binary_cross_entropy_with_logits(model(batch["image"]), wanted, reduction="sum") / len(wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        yield time.perf_counter() - begin


class _Pictures(Dataset[dict[str, Tensor]]):
    """Random pictures, those of one batch again and again."""

    def __init__(self, batch_size: int, side: int, *, count: int) -> None:
        self._images = torch.randint(0, 256, (batch_size, 3, side, side), dtype=torch.uint8)
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {"image": self._images[i % len(self._images)], "label": i % CLASSES}


class _Turns(Callback):
    """Times steps from end to end, and after each of them lets another loop take one."""

    def __init__(self, other: Iterator[float]) -> None:
        self.seconds: list[float] = []
        self.others: list[float] = []
        self._other, self._begin = other, time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.seconds.append(time.perf_counter() - self._begin)
        with contextlib.suppress(StopIteration):
            self.others.append(next(self._other))
        self._begin = time.perf_counter()
