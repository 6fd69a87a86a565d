"""Command line: ``python -m animal_cls {fit,validate,test,predict} --config configs/animal_cls/efficientnet_lite2.yaml``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from lightning.pytorch import Callback
from lightning.pytorch.cli import LightningArgumentParser

from animal_cls.corrections import CorrectionError
from animal_cls.data import PictureDataModule
from animal_cls.examples import DataError
from animal_cls.labelling import PredictionTable
from animal_cls.launch import CommandLine, exit_code, start
from animal_cls.module import CheckpointError, Classifier
from animal_cls.network import WeightsError
from animal_cls.picture import PictureError
from animal_cls.resuming import TooFewError
from animal_cls.split import SplitError

BAD_INPUT = (CheckpointError, CorrectionError, DataError, PictureError, SplitError, TooFewError, WeightsError)


class ClassifierCLI(CommandLine):
    """Command line whose model takes its classes from the data."""

    trains = "classifier"

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Link the classes of the data to the model; ``--predictions.file`` makes predict write a table to correct."""
        super().add_arguments_to_parser(parser)
        parser.link_arguments("data.classes", "model.classes", apply_on="instantiate")
        parser.add_lightning_class_args(PredictionTable, "predictions")


def run(args: Sequence[str] | None = None, *, callbacks: Sequence[Callback] = ()) -> ClassifierCLI:
    """Run the command line in this process, with callbacks beside those of the configuration.

    Returns:
        The command line when it has run: its trainer, model and data.
    """
    return start(ClassifierCLI, Classifier, PictureDataModule, args, callbacks)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; bad input gives one line on stderr and exit code 2."""
    return exit_code(partial(run, args), BAD_INPUT)
