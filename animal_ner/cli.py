"""Command line: ``python -m animal_ner {fit,validate,test,predict} --config configs/animal_ner/minilm.yaml``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from lightning.pytorch import Callback

from animal_ner.data import SentenceDataModule
from animal_ner.encoder import EncoderError
from animal_ner.launch import CommandLine, exit_code, start
from animal_ner.module import CheckpointError, Tagger
from animal_ner.resuming import TooFewError
from animal_ner.sentences import SentenceError

BAD_INPUT = (CheckpointError, EncoderError, SentenceError, TooFewError)


class TaggerCLI(CommandLine):
    """Command line of the tagger."""

    trains = "tagger"


def run(args: Sequence[str] | None = None, *, callbacks: Sequence[Callback] = ()) -> TaggerCLI:
    """Run the command line in this process, with callbacks beside those of the configuration.

    Returns:
        The command line when it has run: its trainer, model and data.
    """
    return start(TaggerCLI, Tagger, SentenceDataModule, args, callbacks)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; bad input gives one line on stderr and exit code 2."""
    return exit_code(partial(run, args), BAD_INPUT)
