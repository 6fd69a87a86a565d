"""What a command line of Lightning's needs to be started from: checked checkpoints, predictions as lines, errors as one line.

Both packages have it, since neither may import the other.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, TypeVar

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback

from animal_cls.checkpoints import AtomicCheckpointIO
from animal_cls.module import CheckpointError, check_checkpoint
from animal_cls.processes import gathered

ATOMIC = [{"class_path": f"{AtomicCheckpointIO.__module__}.{AtomicCheckpointIO.__qualname__}"}]
NAMED_BY_LIGHTNING = frozenset({"best", "last", "hpc"})  # in place of a checkpoint's file
Started = TypeVar("Started", bound="CommandLine")


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
        sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
        sys.stdout.flush()


class CommandLine(LightningCLI):
    """LightningCLI that checks checkpoints before anything starts, writes none by halves, and whose predict prints JSON lines.

    Attributes:
        trains: word for what it trains, in messages.
    """

    trains: ClassVar[str]

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Write checkpoints so that none is ever half written."""
        parser.set_defaults({"trainer.plugins": ATOMIC})

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Refuse a checkpoint of something else before its hyperparameters are read, and to evaluate or predict without one.

        Raises:
            CheckpointError: the message names the file, or the flag that is missing.
        """
        super().parse_arguments(parser, args)
        command = self.config.get("subcommand")
        if command is None:  # the command line only builds its parts (run=False)
            return
        checkpoint = self.config[command].get("ckpt_path")
        if checkpoint and checkpoint not in NAMED_BY_LIGHTNING and "://" not in str(checkpoint):
            check_checkpoint(checkpoint)
        if not checkpoint and command != "fit":
            raise CheckpointError(f"{command} needs a trained {self.trains}: --ckpt_path=FILE.ckpt")

    def before_instantiate_classes(self) -> None:
        """Make predict print JSON lines and leave no log."""
        if self.subcommand == "predict":
            trainer = self.config.predict.trainer
            trainer.logger = False
            if trainer.callbacks is None:
                trainer.enable_progress_bar = False  # the bar that Lightning adds writes to stdout
            trainer.callbacks = [*(trainer.callbacks or []), PredictionPrinter()]
            self.config.predict.return_predictions = False


def start(
    line: type[Started],
    model: type[LightningModule],
    data: type[LightningDataModule],
    args: Sequence[str] | None,
    callbacks: Sequence[Callback],
) -> Started:
    """Run a command line in this process, with callbacks beside those of the configuration.

    Args:
        line: the command line.
        model: what it trains.
        data: what it trains on.
        args: its arguments; the process's when there are none.
        callbacks: put before those of the configuration.

    Returns:
        The command line when it has run: its trainer, model and data.
    """
    return line(
        model,
        data,
        args=list(args) if args is not None else None,
        trainer_defaults={"callbacks": list(callbacks)},
        save_config_callback=SaveConfigOnFit,
        save_config_kwargs={"overwrite": True},
        load_from_checkpoint_support=False,
        parser_kwargs={
            "prog": f"python -m {__package__}",
            "description": f"Train, validate, test or use a {line.trains}.",
            "allow_abbrev": False,
        },
    )


def exit_code(run: Callable[[], object], bad_input: tuple[type[Exception], ...]) -> int:
    """Run something; of the errors that bad input makes, say one line on stderr.

    Returns:
        0, or 2 for bad input.
    """
    try:
        run()
    except bad_input as error:
        sys.stderr.write(f"animal_cls: {reason(error)}\n")
        return 2
    return 0


def reason(error: Exception) -> str:
    """What an error says; of one that a worker of a loader met, without the traceback that torch puts before it."""
    text = str(error)
    if not text.startswith("Caught "):
        return text
    return text.strip().splitlines()[-1].removeprefix(f"{type(error).__module__}.{type(error).__qualname__}: ")
