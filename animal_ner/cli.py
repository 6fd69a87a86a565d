"""Command line: ``python -m animal_ner {fit,validate,test,predict} --config configs/animal_ner/minilm.yaml``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback

from animal_ner.checkpoints import AtomicCheckpointIO
from animal_ner.data import SentenceDataModule
from animal_ner.encoder import EncoderError
from animal_ner.module import CheckpointError, Tagger, check_checkpoint
from animal_ner.processes import gathered
from animal_ner.sentences import SentenceError

ATOMIC = [{"class_path": f"{AtomicCheckpointIO.__module__}.{AtomicCheckpointIO.__qualname__}"}]
BAD_INPUT = (CheckpointError, EncoderError, SentenceError)


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


class TaggerCLI(LightningCLI):
    """LightningCLI whose predict prints JSON lines, and whose checkpoints are checked before anything starts."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Write checkpoints so that none is ever half written."""
        parser.set_defaults({"trainer.plugins": ATOMIC})

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
        if checkpoint and checkpoint not in {"best", "last", "hpc"}:
            check_checkpoint(Path(checkpoint))
        if not checkpoint and command != "fit":
            raise CheckpointError(f"{command} needs a trained tagger: --ckpt_path=FILE.ckpt")

    def before_instantiate_classes(self) -> None:
        """Make predict print JSON lines and leave no log."""
        if self.subcommand == "predict":
            trainer = self.config.predict.trainer
            trainer.logger = False
            if trainer.callbacks is None:
                trainer.enable_progress_bar = False  # the bar that Lightning adds writes to stdout
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
