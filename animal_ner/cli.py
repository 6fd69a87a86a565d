"""Command line: ``python -m animal_ner {fit,validate,test,predict} --config configs/animal_ner/minilm.yaml``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback

from animal_ner.data import SentenceDataModule
from animal_ner.encoder import EncoderError
from animal_ner.module import CheckpointError, Tagger, check_checkpoint
from animal_ner.sentences import SentenceError

BAD_INPUT = (CheckpointError, EncoderError, SentenceError)


class SaveConfigOnFit(SaveConfigCallback):
    """Stores the configuration beside the logs of a fit; other commands would overwrite it."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Save the configuration when a fit begins."""
        if stage == "fit":
            super().setup(trainer, pl_module, stage)


class PredictionPrinter(BasePredictionWriter):
    """Prints predictions to stdout as they come, one JSON object a line."""

    def __init__(self) -> None:
        super().__init__(write_interval="batch")

    def write_on_batch_end(self, trainer: Trainer, pl_module: LightningModule, prediction: Any, *args: Any) -> None:
        """Print one line for each record of the batch."""
        for record in prediction:
            print(json.dumps(record, ensure_ascii=False), flush=True)


class TaggerCLI(LightningCLI):
    """LightningCLI whose predict prints JSON lines, and whose checkpoints are checked before anything starts."""

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Refuse a checkpoint that is none of a tagger, and to evaluate or predict without one.

        Raises:
            CheckpointError: the message names the file, or the flag that is missing.
        """
        super().parse_arguments(parser, args)
        command = self.config.get("subcommand")
        if command is None:  # the command line only builds its parts (run=False)
            return
        checkpoint = self.config[command].ckpt_path
        if checkpoint:
            check_checkpoint(Path(checkpoint))
        elif command != "fit":
            raise CheckpointError(f"{command} needs a trained tagger: --ckpt_path=FILE.ckpt")

    def before_instantiate_classes(self) -> None:
        """Make predict print JSON lines and leave no log."""
        if self.subcommand == "predict":
            trainer = self.config.predict.trainer
            trainer.logger = False
            trainer.callbacks = [*(trainer.callbacks or []), PredictionPrinter()]
            self.config.predict.return_predictions = False


def run(args: Sequence[str] | None = None, *, callbacks: Sequence[Callback] = ()) -> TaggerCLI:
    """Run the command line in this process, with callbacks beside those of the configuration.

    Returns:
        The command line when it has run: its trainer, model and data.
    """
    return TaggerCLI(
        Tagger,
        SentenceDataModule,
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
        print(f"animal_ner: {error}", file=sys.stderr)
        return 2
    return 0
