"""The classifier: which animals does a picture show? A network with one sigmoid for each class."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, Self

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MetricCollection

from animal_cls.blank import blank_pictures
from animal_cls.composition import compose, couple
from animal_cls.data import NO_CLASS, PictureDataModule
from animal_cls.imagenet import ImageNetHead, groups
from animal_cls.metrics import BothAmongThree, picture_scores
from animal_cls.network import Padding, WeightsError, build_network, head_of, load_weights
from animal_cls.order import seed_of
from animal_cls.probe import fit_probe
from animal_cls.provenance import differing_data
from animal_cls.teacher import teach
from animal_cls.views import strongest

logger = logging.getLogger(__name__)

HEAD_RATE = 3  # peak learning rate of the head, as a multiple of the backbone's
IN_BAR = ("/top1", "/macro_f1")  # the scores that the progress bar has room for


class CheckpointError(ValueError):
    """A checkpoint that is missing, broken, or of something else; the message names the file."""


class Classifier(LightningModule):
    """Tells for each class whether a picture shows it: none, one or several may be present.

    Training begins with a head that fits the pretrained features of whole pictures (see ``probe``), and goes on with the whole network at
    a small rate.

    Args:
        classes: class names in the order of the outputs; filled in from the data by the command line.
        backbone: name of a classification model of torchvision or timm.
        weights: where fit starts from: ``pretrained`` (the library's), ``none``, or a local weights file, such as the classifier.onnx of
            a release. Read by fit alone; loading a checkpoint never touches it.
        padding: ``tensorflow`` for weights that were trained with TensorFlow's SAME padding.
        imagenet: let the last layer go by what the pretrained one says of ImageNet's animals, too (see ``ImageNetHead``); for weights that
            know ImageNet's 1,000 classes.
        mean: per-channel mean of the input, on values 0..1.
        std: per-channel standard deviation of the input, on values 0..1.
        size: side in pixels of the images the network should be given when predicting.
        probe_epochs: passes over the features of whole pictures that fit the head before training; 0 starts from a random head.
        frozen: share of the backbone's parameters, counted from the input, that never learn, 0..1. Early layers hold few parameters and
            cost most of the backward pass; they see edges and textures, which are the same in all photos.
        rate: peak learning rate of the backbone, above 0; the head peaks at three times this.
        weight_decay: AdamW's, on matrices and kernels alone; from 0.
        warmup: share of the training in which the rates rise linearly, 0..1.
        dropout: probability that the head drops a feature, 0..1.
        target: what a present class should score, 0..1; below 1 the network is less sure of wrong labels.
        blank: share of the pictures that are trained on, and that fit the head, that show nothing (see ``blank_pictures``), 0..1.
        composed: share of each training batch composed of two pictures, so that several kinds may be present, 0..1.
        teacher: checkpoint of a classifier of the same classes to learn from, beside the labels (see ``teach``). Read by fit alone.
        taught: how much of what is learnt is the teacher's, 0..1; ``target`` scales the mixture of both.
        freeze_batch_norm: keep the pretrained BatchNorm statistics.
        channels_last: lay out tensors with channels last, which convolutions prefer.
        compile: run training steps through ``torch.compile``, which may be faster on a GPU; the first step takes long.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        classes: list[str],
        backbone: str = "mobilenet_v2",
        weights: str = "pretrained",
        padding: Padding = "torchvision",
        imagenet: bool = False,
        mean: tuple[float, float, float] = (0.485, 0.456, 0.406),
        std: tuple[float, float, float] = (0.229, 0.224, 0.225),
        size: int = 224,
        probe_epochs: int = 60,
        frozen: float = 0.0,
        rate: float = 2e-4,
        weight_decay: float = 0.05,
        warmup: float = 0.1,
        dropout: float = 0.2,
        target: float = 0.95,
        blank: float = 0.0,
        composed: float = 0.2,
        teacher: str | None = None,
        taught: float = 0.7,
        freeze_batch_norm: bool = True,
        channels_last: bool = True,
        compile: bool = False,  # noqa: A002  (the word that torch has for it)
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.classes = list(classes)
        self._train_forward: Callable[[Tensor], Tensor] = self.forward
        self._teachers: list[Classifier] = []  # at most one, in a list so that its weights are none of this module's
        self._build(len(self.classes))

    def _build(self, outputs: int) -> None:
        hparams = self.hparams
        outputs = max(outputs, 2)  # predict builds the network before the checkpoint tells the classes
        self.network = build_network(
            hparams["backbone"],
            outputs=outputs,
            padding=hparams["padding"],
            dropout=hparams["dropout"],
            imagenet=hparams["imagenet"],
        )
        # Few of many classes are present: start from that, or the first steps only learn to say no.
        nn.init.constant_(head_of(self.network).bias, -math.log(max(outputs - 1, 1)))
        nn.init.normal_(head_of(self.network).weight, std=0.01)
        body, head = self._learning_parameters()
        learning = {id(parameter) for parameter in [*body, *head]}
        for parameter in self.network.parameters():
            parameter.requires_grad_(id(parameter) in learning)
        if hparams["channels_last"]:
            self.network.to(memory_format=torch.channels_last)
        self.register_buffer("pixel_mean", torch.tensor(hparams["mean"]).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("pixel_std", torch.tensor(hparams["std"]).view(1, 3, 1, 1) * 255, persistent=False)
        self.val_scores = picture_scores(outputs, prefix="val/")
        self.test_scores = picture_scores(outputs, prefix="test/")
        self.both, self.both_whole = BothAmongThree(), BothAmongThree()
        self.train()  # Lightning keeps the modes it finds

    def on_fit_start(self) -> None:
        """Read the pretrained weights and fit the head, when a fit starts from its beginning: a checkpoint is restored by now."""
        if self.hparams["freeze_batch_norm"]:
            warnings.filterwarnings("ignore", r"Found \d+ module\(s\) in eval mode")  # they are meant to be
        if self.hparams["compile"]:  # of training alone: batches of validation have other sizes, for each of which it would compile anew
            self._train_forward = torch.compile(self.forward)
        if self.hparams["teacher"]:
            self._teachers = [self._load_teacher(self.hparams["teacher"])]
        if self.trainer.ckpt_path is not None:
            return
        if self.hparams["weights"] == "none" and self.hparams["imagenet"]:
            raise WeightsError("model.imagenet: weights of none know no classes of ImageNet; take 'pretrained', or imagenet: false")
        if self.hparams["weights"] != "none":
            load_weights(self.network, self.hparams["weights"], backbone=self.hparams["backbone"], classes=self.classes)
        data = getattr(self.trainer, "datamodule", None)
        if self.hparams["probe_epochs"] and isinstance(data, PictureDataModule):
            self._fit_head(data)

    def _load_teacher(self, file: str) -> Classifier:
        try:
            teacher = load_checkpoint(file)
        except CheckpointError as error:
            remedy = "a fit that goes on needs it where it was" if self.trainer.ckpt_path else "null learns from labels alone"
            raise CheckpointError(f"model.teacher: {error}; {remedy}") from error
        if teacher.classes != self.classes:
            differing = differing_classes(teacher.classes, self.classes)
            raise CheckpointError(f"model.teacher: {file} knows {differing}; both must know the same")
        return teacher.to(self.device).requires_grad_(False)

    def _fit_head(self, data: PictureDataModule) -> None:
        """Fit the head to the features of the training pictures, seen whole."""
        loader = data.whole_train_dataloader()
        limit = self.trainer.limit_train_batches
        seen = islice(loader, limit if isinstance(limit, int) else None)
        parts = zip(*(self._features(batch) for batch in self._beside_blanks(seen)), strict=True)
        features, targets, weights = (self._gathered(torch.cat(part)) for part in parts)
        layer = fit_probe(
            features,
            targets * self.hparams["target"],
            weights=weights,
            epochs=self.hparams["probe_epochs"],
            dropout=self.hparams["dropout"],
            told=len(groups()) if self.hparams["imagenet"] else 0,
        )
        with torch.no_grad():
            for parameter, value in zip((head_of(self.network).weight, head_of(self.network).bias), layer, strict=True):
                parameter.copy_(self.trainer.strategy.broadcast(value))

    def _beside_blanks(self, batches: Iterable[Mapping[str, Tensor]]) -> Iterator[Mapping[str, Tensor]]:
        """Batches, and after each the pictures that show nothing."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for batch in batches:
                yield batch
                if count := round(self.hparams["blank"] * len(batch["image"])):
                    none = torch.full_like(batch["label"][:count], NO_CLASS)
                    blanks = blank_pictures(count, batch["image"].shape[-1])
                    yield {
                        "image": blanks,
                        "label": none,
                        "weight": torch.full_like(batch["weight"][:count], float(batch["weight"].mean())),
                    }

    def _gathered(self, rows: Tensor) -> Tensor:
        """The rows of all processes, each of which has as many, on the CPU."""
        everything: Tensor = self.all_gather(rows)  # type: ignore[assignment]
        return everything.reshape(-1, *rows.shape[1:]).cpu()

    @torch.no_grad()
    def _features(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """What the head is given for the pictures of a batch: (N, F), with their (N, K) presence and (N,) weights."""
        found: list[Tensor] = []
        hook = head_of(self.network).register_forward_pre_hook(lambda _, inputs: found.append(inputs[0].float().cpu()))
        self.eval()
        with self.trainer.precision_plugin.forward_context():
            images = batch["image"].to(self.device)
            self(images)
            presence = self._targets(images, batch["label"].to(self.device)).cpu()
        self.train()
        hook.remove()
        return found[0], presence, batch["weight"]

    def forward(self, images: Tensor) -> Tensor:
        """Score images.

        Args:
            images: (B, 3, H, W), uint8 or float, RGB values 0..255.

        Returns:
            Logits (B, K), float32; a sigmoid makes them presences 0..1.
        """
        images = (images.to(self.pixel_mean.dtype) - self.pixel_mean) / self.pixel_std
        if self.hparams["channels_last"]:
            images = images.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.network(images)
        return logits.float()

    def train(self, mode: bool = True) -> Self:
        """Switch modes; pretrained BatchNorm statistics stay frozen if they are to."""
        super().train(mode)
        if mode and self.hparams["freeze_batch_norm"]:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def on_train_batch_start(self, batch: Mapping[str, Tensor], batch_idx: int) -> None:
        """Seed what is random in a step, so that a fit that resumes goes on as one that never stopped."""
        torch.manual_seed(seed_of(self.current_epoch, batch_idx, self.global_rank))

    def training_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor:
        """Binary cross-entropy of every class, summed over classes and averaged over pictures."""
        images, presence = compose(batch["image"], self._targets(batch["image"], batch["label"]), share=self.hparams["composed"])
        images, presence = self._with_blanks(images, presence)
        loss = self._loss(self._train_forward(images), presence)
        self.log("train/loss", loss, batch_size=len(images), prog_bar=True)
        return loss

    def _targets(self, images: Tensor, labels: Tensor) -> Tensor:
        """What each picture is to show (B, K): what its label says and, if there is a teacher, what that sees."""
        presence = self._presence(labels)
        for teacher in self._teachers:
            presence = teach(presence, images, teacher, size=teacher.hparams["size"], share=self.hparams["taught"])
        return presence

    def _with_blanks(self, images: Tensor, presence: Tensor) -> tuple[Tensor, Tensor]:
        """Let a share of the pictures of a batch show nothing."""
        count = round(self.hparams["blank"] * len(images))
        if not count:
            return images, presence
        blanks = blank_pictures(count, images.shape[-1]).to(images)
        return torch.cat([blanks, images[count:]]), torch.cat([torch.zeros_like(presence[:count]), presence[count:]])

    def validation_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor:
        """Loss and scores; returns the logits (B, K)."""
        return self._evaluate(batch, "val", self.val_scores)

    def on_validation_epoch_end(self) -> None:
        """Log the scores."""
        self._log_scores(self.val_scores)

    def test_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor:
        """As validation, and pictures of two kinds, each composed of two pictures of the batch."""
        logits = self._evaluate(batch, "test", self.test_scores)
        self._test_couples(batch, logits)
        return logits

    def on_test_epoch_end(self) -> None:
        """Log the scores."""
        self._log_scores(self.test_scores)
        for name, metric in (("test/both_in_top3", self.both), ("test/both_in_top3_whole", self.both_whole)):
            found = metric.compute()  # of all processes, so that all of them log it or none
            if not found.isnan():
                self.log(name, found, sync_dist=True)
            metric.reset()

    def _test_couples(self, batch: Mapping[str, Tensor], logits: Tensor) -> None:
        """Score pictures of two kinds: the whole of each alone, and as a long picture is seen, with its parts.

        The parts are pictures of the batch themselves, so that only the whole is new to the network.
        """
        wholes, presence, left, right = couple(batch["image"], self._presence(batch["label"]))
        if not len(wholes):
            return
        seen = self(wholes)
        self.both_whole.update(seen, presence)
        self.both.update(torch.stack([seen, logits[left], logits[right]]).amax(0), presence)

    @torch.inference_mode()
    def measure(self, batches: Iterable[Mapping[str, Tensor]]) -> dict[str, float]:
        """Evaluate labelled pictures as validation does, in this process alone and without a Trainer's loops.

        Args:
            batches: as a dataloader of labelled pictures gives them; at least one.

        Returns:
            The number of pictures, the loss and the scores by name, as ``picture_scores`` has them.
        """
        scores = picture_scores(len(self.classes), sync_on_compute=False).to(self.device)
        loss, pictures, was_training = 0.0, 0, self.training
        self.eval()
        for batch in batches:
            images, labels = batch["image"].to(self.device), batch["label"].to(self.device)
            logits = self(images)
            scores.update(logits, labels)
            loss += float(self._loss(logits, self._presence(labels))) * len(labels)
            pictures += len(labels)
        self.train(was_training)
        return {"pictures": pictures, "loss": loss / pictures} | {name: float(value) for name, value in scores.compute().items()}

    def predict_step(self, batch: Mapping[str, Any], batch_idx: int) -> list[dict[str, Any]]:
        """Name the animals of each picture, most likely first, from all its views.

        Returns:
            For each picture: path, and either an error or label (the likeliest class), presence (its probability, 0..1) and
            animals (the five likeliest classes with theirs).
        """
        logits = self(batch["image"]).cpu().numpy()
        presences, best = torch.from_numpy(strongest(logits, batch["views"])).sigmoid().sort(dim=1, descending=True)
        records: list[dict[str, Any]] = []
        for path, error, values, order in zip(batch["path"], batch["error"], presences.tolist(), best.tolist(), strict=True):
            if error:
                records.append({"path": path, "error": error})
                continue
            animals = [{"kind": self.classes[k], "probability": round(p, 4)} for k, p in list(zip(order, values, strict=True))[:5]]
            records.append({"path": path, "label": animals[0]["kind"], "presence": animals[0]["probability"], "animals": animals})
        return records

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimizer and the schedule of its rates, which goes on with each step."""
        scheduler = self.schedule(int(self.trainer.estimated_stepping_batches))
        return {"optimizer": scheduler.optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def schedule(self, steps: int) -> LambdaLR:
        """AdamW whose rates rise linearly, then fall along a cosine; the head's is ``HEAD_RATE`` times the backbone's."""
        hparams = self.hparams
        body, head = self._learning_parameters()
        groups = [
            {
                "params": [p for p in parameters if (p.ndim > 1) == decays],
                "lr": rate,
                "weight_decay": hparams["weight_decay"] * decays,
            }
            for parameters, rate in ((body, hparams["rate"]), (head, HEAD_RATE * hparams["rate"]))
            for decays in (True, False)
        ]
        optimizer = AdamW([group for group in groups if group["params"]])
        return LambdaLR(optimizer, partial(share_of_rate, end=steps, warmup=hparams["warmup"]))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say what the checkpoint is; the hyperparameters say the rest (classes in order, preprocessing, backbone)."""
        checkpoint["task"] = "animal_cls"

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the classes from the checkpoint, or refuse to go on with others; warn if a fit goes on with other pictures.

        Raises:
            CheckpointError: the checkpoint is of another task, or its classes are not those of the data.
        """
        _check_task(checkpoint, "the checkpoint")
        stored = list(checkpoint["hyper_parameters"]["classes"])
        imagenet = bool(checkpoint["hyper_parameters"].get("imagenet", False))  # which older checkpoints do not know
        if imagenet != self.hparams["imagenet"]:
            self.hparams["imagenet"] = imagenet
            self._build(len(self.classes))
        if not self.classes:
            self.classes = stored
            self.hparams["classes"] = stored
            self._build(len(stored))
        elif stored != self.classes:
            raise CheckpointError(f"the checkpoint knows {differing_classes(stored, self.classes)}; use the data it was trained on")
        self._warn_of_other_data(checkpoint)

    def _warn_of_other_data(self, checkpoint: Mapping[str, Any]) -> None:
        trainer = self._trainer
        if trainer is None or not trainer.training or not trainer.is_global_zero:
            return
        difference = differing_data(checkpoint, getattr(getattr(trainer, "datamodule", None), "hparams", {}))
        if difference:
            logger.warning("%s: %s", trainer.ckpt_path, difference)

    def _learning_parameters(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Parameters of the backbone that may learn, and those of the head."""
        head = list(head_of(self.network).parameters())
        last = {id(p) for module in self.network.modules() if isinstance(module, ImageNetHead) for p in module.parameters()}
        last |= {id(p) for p in head}
        body = [p for p in self.network.parameters() if id(p) not in last]
        ends = list(accumulate(p.numel() for p in body))
        untouched = self.hparams["frozen"] * ends[-1]
        return [p for p, end in zip(body, ends, strict=True) if end > untouched], head

    def _presence(self, labels: Tensor) -> Tensor:
        """Multi-hot targets (B, K) of class indices (B,); all zero for NO_CLASS."""
        presence = torch.zeros(len(labels), len(self.classes), device=labels.device)
        shown = labels != NO_CLASS
        presence[shown, labels[shown]] = 1.0
        return presence

    def _loss(self, logits: Tensor, presence: Tensor) -> Tensor:
        loss = nn.functional.binary_cross_entropy_with_logits(logits, presence * self.hparams["target"], reduction="sum")
        return loss / len(logits)

    def _evaluate(self, batch: Mapping[str, Tensor], stage: str, scores: MetricCollection) -> Tensor:
        logits: Tensor = self(batch["image"])
        loss = self._loss(logits, self._presence(batch["label"]))
        self.log(f"{stage}/loss", loss, batch_size=len(logits), prog_bar=True, sync_dist=True)
        scores.update(logits, batch["label"])
        return logits

    def _log_scores(self, scores: MetricCollection) -> None:
        for name, value in scores.compute().items():
            self.log(name, value, prog_bar=name.endswith(IN_BAR), sync_dist=True)
        scores.reset()


def share_of_rate(step: int, *, end: int, warmup: float) -> float:
    """Share 0..1 of the peak rate at a step: a linear rise over the share ``warmup`` of the steps, then a cosine to zero at ``end``."""
    if step >= end:
        return 0.0
    rising = warmup * end
    if step < rising:
        return (step + 1) / (rising + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / (end - rising)))


def differing_classes(stored: Sequence[str], current: Sequence[str]) -> str:
    """Say what a checkpoint's classes are, what the data's are, and where they first differ.

    Example:
        >>> differing_classes(["cat", "dog"], ["cat", "owl", "dog"])
        "2 classes (cat, dog), the data have 3 (cat, owl, dog); number 2 is 'dog' there and 'owl' in the data"
    """
    at = next((i for i, (one, other) in enumerate(zip(stored, current, strict=False)) if one != other), min(len(stored), len(current)))
    there, here = (f"{names[at]!r}" if at < len(names) else "missing" for names in (stored, current))
    shown = (", ".join(names[:3]) + (", ..." if len(names) > 3 else "") for names in (stored, current))
    text = "{} classes ({}), the data have {} ({}); number {} is {} there and {} in the data"
    first, second = shown
    return text.format(len(stored), first, len(current), second, at + 1, there, here)


def load_checkpoint(file: str | Path) -> Classifier:
    """Load a trained classifier, in eval mode, without running code from the file and without the network.

    Raises:
        CheckpointError: the file is missing, broken, or no checkpoint of a classifier.
    """
    check_checkpoint(file)
    return Classifier.load_from_checkpoint(file, map_location="cpu", weights_only=True).eval()


def check_checkpoint(file: str | Path) -> None:
    """See that a file is a checkpoint of a classifier.

    Raises:
        CheckpointError: the file is missing, broken, or no checkpoint of a classifier.
    """
    path = Path(file)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; expected a checkpoint (.ckpt) of animal_cls")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)  # reads no tensor: who loads the checkpoint will
    except Exception as error:
        raise CheckpointError(f"{path}: not a checkpoint that can be read ({type(error).__name__})") from error
    _check_task(content, str(path))


def _check_task(checkpoint: object, name: str) -> None:
    task = checkpoint.get("task") if isinstance(checkpoint, dict) else None
    if task != "animal_cls":
        what = f"is of {task}" if task else "was not made by this framework"
        raise CheckpointError(f"{name} {what}; expected a checkpoint of animal_cls")
