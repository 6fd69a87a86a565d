"""Command line: ``python -m animal_cls {fit,validate,test,predict} --config configs/animal_cls/efficientnet_lite2.yaml``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback

from animal_cls.checkpoints import AtomicCheckpointIO
from animal_cls.corrections import CorrectionError
from animal_cls.data import DataError, PictureDataModule
from animal_cls.labelling import PredictionTable
from animal_cls.module import CheckpointError, Classifier, check_checkpoint
from animal_cls.network import WeightsError
from animal_cls.picture import PictureError
from animal_cls.processes import gathered
from animal_cls.split import SplitError

ATOMIC = [{"class_path": f"{AtomicCheckpointIO.__module__}.{AtomicCheckpointIO.__qualname__}"}]
BAD_INPUT = (CheckpointError, CorrectionError, DataError, PictureError, SplitError, WeightsError)


class SaveConfigOnFit(SaveConfigCallback):
    """Stores the configuration beside the logs of a fit; other commands would overwrite it."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Save the configuration when a fit begins."""
        if stage == "fit":
            super().setup(trainer, pl_module, stage)


class PredictionPrinter(BasePredictionWriter):
    """Prints predictions to stdout, one JSON object a line: as they come, or when all are there if several processes predict."""

    def __init__(self) -> None:
        super().__init__(write_interval="batch")
        self._records: dict[int, Any] = {}

    def write_on_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, prediction: Any, batch_indices: Sequence[int] | None, *args: Any
    ) -> None:
        """Print one line for each record of the batch."""
        if trainer.world_size == 1:
            _print_lines(prediction)
        elif batch_indices is not None:
            self._records.update(zip(batch_indices, prediction, strict=True))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the records of all processes, in order."""
        records = gathered(self._records)
        if trainer.is_global_zero:
            _print_lines(records[index] for index in sorted(records))


def _print_lines(records: Iterable[Any]) -> None:
    for record in records:
        print(json.dumps(record, ensure_ascii=False), flush=True)


class ClassifierCLI(LightningCLI):
    """LightningCLI whose model takes its classes from the data."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Link the classes of the data to the model; ``--predictions.file`` makes predict write a table to correct."""
        parser.link_arguments("data.classes", "model.classes", apply_on="instantiate")
        parser.add_lightning_class_args(PredictionTable, "predictions")
        parser.set_defaults({"trainer.plugins": ATOMIC})

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Refuse a checkpoint of something else before its hyperparameters are read.

        Raises:
            CheckpointError: it is missing, broken or of something else, or none is given to a command that needs one.
        """
        super().parse_arguments(parser, args)
        command = self.config.get("subcommand")
        if command is None:  # the command line only builds its parts (run=False)
            return
        checkpoint = self.config[command].get("ckpt_path")
        if checkpoint and checkpoint not in {"best", "last", "hpc"}:
            check_checkpoint(checkpoint)
        if not checkpoint and command != "fit":
            raise CheckpointError(f"{command} needs a trained classifier: give its checkpoint as --ckpt_path")

    def before_instantiate_classes(self) -> None:
        """Make predict print JSON lines and leave no log."""
        if self.subcommand == "predict":
            trainer = self.config.predict.trainer
            trainer.logger = False
            if trainer.callbacks is None:
                trainer.enable_progress_bar = False  # the bar that Lightning adds writes to stdout
            trainer.callbacks = [*(trainer.callbacks or []), PredictionPrinter()]
            self.config.predict.return_predictions = False


def run(args: Sequence[str] | None = None, *, callbacks: Sequence[Callback] = ()) -> ClassifierCLI:
    """Run the command line in this process, with callbacks beside those of the configuration.

    Returns:
        The command line when it has run: its trainer, model and data.
    """
    return ClassifierCLI(
        Classifier,
        PictureDataModule,
        args=list(args) if args is not None else None,
        trainer_defaults={"callbacks": list(callbacks)},
        save_config_callback=SaveConfigOnFit,
        save_config_kwargs={"overwrite": True},
        load_from_checkpoint_support=False,
    )


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; bad input gives one line on stderr and exit code 2."""
    try:
        run(args)
    except BAD_INPUT as error:
        print(f"animal_cls: {_reason(error)}", file=sys.stderr)
        return 2
    return 0


def _reason(error: Exception) -> str:
    """What an error says; of one that a worker met, without the traceback that torch puts before it."""
    text = str(error)
    if not text.startswith("Caught "):
        return text
    return text.strip().splitlines()[-1].removeprefix(f"{type(error).__module__}.{type(error).__qualname__}: ")
