"""What the classifier does, as pictures in TensorBoard: confusions, worst classes, worst mistakes, reliability, features."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from torch.utils.tensorboard import SummaryWriter

from animal_cls.data import NO_CLASS
from animal_cls.figures import class_figure, confusion_figure, picture_grid, reliability_figure, short
from animal_cls.metrics import BINS
from animal_cls.module import Classifier
from animal_cls.network import head_of
from animal_cls.picture import PictureError, Pixels, load_picture
from animal_cls.processes import gathered

MISTAKE_SIZE = 150  # side in pixels of the worst mistakes
THUMBNAIL_SIZE = 48  # and of the pictures in the projector, whose sprite may have 8192


class Answer(NamedTuple):
    """What the classifier said of one picture."""

    label: int  # NO_CLASS when it shows none of the classes
    logits: NDArray[np.float32]  # (K,)
    features: NDArray[np.float32] | None  # (F,), the input of the last layer


@dataclass(frozen=True)
class Evaluation:
    """What the classifier said of the N pictures of a side."""

    paths: Sequence[str]
    labels: NDArray[np.int64]  # (N,), NO_CLASS where a picture shows none of the classes
    presence: NDArray[np.float64]  # (N, K), 0..1
    classes: Sequence[str]

    @property
    def said(self) -> NDArray[np.int64]:
        """The likeliest class of each picture, (N,)."""
        return np.asarray(self.presence.argmax(axis=1))

    def counts(self) -> NDArray[np.int64]:
        """The pictures that show a class, by label and answer, (K, K)."""
        counts = np.zeros((len(self.classes), len(self.classes)), dtype=np.int64)
        shown = self.labels != NO_CLASS
        np.add.at(counts, (self.labels[shown], self.said[shown]), 1)
        return counts

    def worst_mistakes(self, most: int) -> list[int]:
        """Wrong answers, the surest first; on a picture of no animal any answer is wrong."""
        largest = self.presence.max(axis=1)
        return [int(i) for i in np.argsort(-largest, kind="stable") if self.said[i] != self.labels[i]][:most]

    def name(self, label: int) -> str:
        """The class of a label."""
        return "no animal" if label == NO_CLASS else self.classes[label]


class VisualReport(Callback):
    """Draws what the classifier does on the validation and the test side, for TensorBoard; without its logger it does nothing.

    After validation and test: ``<side>/confusion``, ``<side>/worst_classes``, ``<side>/mistakes`` and ``<side>/reliability`` (images),
    ``<side>/classes`` (text: precision and recall of every class, worst first), ``<side>_pr/...`` (precision-recall curves) and
    ``<side>/report_seconds``, which tells what all this took. At the end of a fit (for its last validation) and of a test also the
    features before the last layer, for the projector. On several devices the answers of all are gathered, and rank zero draws.

    Args:
        every_n_epochs: epochs of a fit from one report to the next; its end is always reported. 0 reports the end alone.
        most_classes: most classes that the figures show; of more, those with the most mistakes.
        mistakes: most of the worst mistakes to show.
        curves: number of the worst classes whose precision-recall curves are drawn.
        embedded: most pictures in the projector.
    """

    def __init__(self, every_n_epochs: int = 1, most_classes: int = 40, mistakes: int = 24, curves: int = 5, embedded: int = 1000) -> None:
        self.every_n_epochs = every_n_epochs
        self.most_classes = most_classes
        self.mistakes = mistakes
        self.curves = curves
        self.embedded = embedded
        self._answers: dict[str, Answer] = {}
        self._reported = True
        self._passes: list[Tensor] = []  # the features of each pass that a batch makes through the network
        self._hook: RemovableHandle | None = None

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start collecting."""
        self._begin(trainer, pl_module)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start collecting."""
        self._begin(trainer, pl_module)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Collect what was said of the batch."""
        self._collect(outputs, batch, batches=trainer.num_val_batches[dataloader_idx])

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Collect what was said of the batch."""
        self._collect(outputs, batch, batches=trainer.num_test_batches[dataloader_idx])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report, when it is due."""
        self._release()
        fitting, every = trainer.state.fn == TrainerFn.FITTING, self.every_n_epochs
        if not fitting or (every > 0 and (trainer.current_epoch + 1) % every == 0):
            self._report(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report, with the features."""
        self._release()
        self._report(trainer, pl_module, "test", embed=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the last validation, unless that is done, with its features."""
        self._report(trainer, pl_module, "val", draw=not self._reported, embed=True)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forget everything."""
        self._release()
        self._answers = {}

    def _begin(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._answers, self._reported = {}, False
        if not trainer.sanity_checking and _writer(trainer) and isinstance(pl_module, Classifier):
            self._hook = head_of(pl_module.network).register_forward_pre_hook(self._keep_features)

    def _keep_features(self, _: nn.Module, inputs: tuple[Tensor]) -> None:
        self._passes.append(inputs[0].detach().flatten(1))

    def _release(self) -> None:
        if self._hook:
            self._hook.remove()
        self._hook = None

    def _collect(self, logits: Tensor, batch: Mapping[str, Any], *, batches: float) -> None:
        """Keep the answers, and of a part of each batch the features, so that those spread over the whole side."""
        if self._hook is None:
            return
        share = math.ceil(self.embedded / max(batches, 1))
        features = [*self._passes[0][:share].float().cpu().numpy(), *[None] * max(len(logits) - share, 0)]
        self._passes.clear()  # the test makes others, of composed pictures
        rows = zip(batch["label"].tolist(), logits.float().cpu().numpy(), features, strict=True)
        self._answers.update(zip(batch["path"], (Answer(*row) for row in rows), strict=True))

    def _report(self, trainer: Trainer, pl_module: LightningModule, side: str, *, draw: bool = True, embed: bool = False) -> None:
        writer = _writer(trainer)
        if writer is None or not isinstance(pl_module, Classifier) or not self._answers:
            return
        start = time.perf_counter()
        answers = gathered(self._answers)
        if trainer.is_global_zero and draw:
            self._draw(writer, _evaluation(answers, pl_module.classes), side, trainer.global_step)
            writer.add_scalar(f"{side}/report_seconds", time.perf_counter() - start, trainer.global_step)
        if trainer.is_global_zero and embed:
            self._embed(writer, answers, pl_module.classes, side, trainer.global_step)
        self._reported = True

    def _draw(self, writer: SummaryWriter, evaluation: Evaluation, side: str, step: int) -> None:
        counts = evaluation.counts()
        precision, recall, f1 = class_scores(counts)
        order = np.lexsort((-counts.sum(axis=1), f1))
        order = order[counts.sum(axis=1)[order] > 0]
        names = [f"{short(evaluation.classes[k])} ({counts[k].sum()})" for k in order]
        right = evaluation.said == evaluation.labels
        figures = {
            "reliability": reliability_figure(evaluation.presence.max(axis=1), right, bins=BINS),
        }
        if len(order):
            figures["confusion"] = confusion_figure(counts, evaluation.classes, most=self.most_classes)
            figures["worst_classes"] = class_figure(precision[order], recall[order], names, most=self.most_classes)
            writer.add_text(f"{side}/classes", class_table(counts, evaluation.classes), step)
        mistakes = evaluation.worst_mistakes(self.mistakes)
        if mistakes:
            pictures = [_picture(evaluation.paths[i], MISTAKE_SIZE) for i in mistakes]
            figures["mistakes"] = picture_grid(pictures, [_caption(evaluation, i) for i in mistakes])
        for name, figure in figures.items():
            writer.add_figure(f"{side}/{name}", figure, step)
        shown = evaluation.labels[:, None] == np.arange(len(evaluation.classes))
        writer.add_pr_curve(f"{side}_pr/all classes, micro-averaged", shown.ravel(), evaluation.presence.ravel(), step)
        for k in order[: self.curves]:
            writer.add_pr_curve(f"{side}_pr/{evaluation.classes[k]}", shown[:, k], evaluation.presence[:, k], step)

    def _embed(self, writer: SummaryWriter, answers: Mapping[str, Answer], classes: Sequence[str], side: str, step: int) -> None:
        chosen = {path: answer for path, answer in answers.items() if answer.features is not None}
        chosen = dict(list(chosen.items())[: self.embedded])
        if not chosen:
            return
        evaluation = _evaluation(chosen, classes)
        pictures = np.stack([_picture(path, THUMBNAIL_SIZE) for path in chosen])
        metadata = [
            [_one_line(cell) for cell in (evaluation.name(label), classes[said], f"{presence.max():.3f}", path)]
            for label, said, presence, path in zip(evaluation.labels, evaluation.said, evaluation.presence, chosen, strict=True)
        ]
        writer.add_embedding(
            np.stack([answer.features for answer in chosen.values() if answer.features is not None]),
            metadata,
            torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255,
            global_step=step,
            tag=f"{side}_features",
            metadata_header=["label", "answer", "presence", "path"],
        )


def class_scores(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Precision, recall and F1, each (K,) and 0..1, of counts (K, K) by label and answer; 0 where there is nothing to divide by."""
    right, said, shown = counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1)
    return right / np.maximum(said, 1), right / np.maximum(shown, 1), 2 * right / np.maximum(said + shown, 1)


def class_table(counts: NDArray[np.int64], classes: Sequence[str]) -> str:
    """Markdown: pictures, precision, recall, F1 and most frequent mistakes of each class that is shown, the worst first."""
    precision, recall, f1 = class_scores(counts)
    mistakes = counts * ~np.eye(len(counts), dtype=bool)
    lines = ["| class | pictures | precision | recall | F1 | taken for |", "|---|---|---|---|---|---|"]
    for k in np.lexsort((-counts.sum(axis=1), f1)):
        if counts[k].any():
            taken = ", ".join(f"{classes[j]} {mistakes[k, j]}" for j in np.argsort(-mistakes[k], kind="stable")[:3] if mistakes[k, j])
            cells = [classes[k], str(counts[k].sum()), f"{precision[k]:.3f}", f"{recall[k]:.3f}", f"{f1[k]:.3f}", taken]
            lines.append("| " + " | ".join(_one_line(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _evaluation(answers: Mapping[str, Answer], classes: Sequence[str]) -> Evaluation:
    logits = np.stack([answer.logits for answer in answers.values()]).astype(np.float64)
    presence = np.nan_to_num(1 / (1 + np.exp(-np.clip(logits, -50, 50))))  # a training that diverged gives none
    return Evaluation(list(answers), np.array([answer.label for answer in answers.values()]), presence, classes)


def _writer(trainer: Trainer) -> SummaryWriter | None:
    """TensorBoard's writer; none when the trainer logs elsewhere."""
    return next((logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)


def _picture(path: str, size: int) -> Pixels:
    """A picture brought to a size; a grey one if it cannot be read any more."""
    try:
        return load_picture(path, size)
    except PictureError:
        return np.full((size, size, 3), 200, dtype=np.uint8)


def _caption(evaluation: Evaluation, i: int) -> list[str]:
    label, said, name = evaluation.labels[i], evaluation.said[i], Path(evaluation.paths[i]).name
    return [short(evaluation.name(label)), f"→ {short(evaluation.classes[said])} {evaluation.presence[i, said]:.2f}", short(name)]


def _one_line(text: str) -> str:
    return " ".join(text.split())
