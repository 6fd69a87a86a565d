"""Train, validation and test scores side by side, at the end of a fit: what was learnt, and what was learnt by heart."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from animal_cls.data import PictureDataModule
from animal_cls.module import Classifier, load_checkpoint
from animal_cls.split import Side


class ScoresOfSides(Callback):
    """Measures the best weights of a fit on all three sides when it ends, on stderr and as text ``side_by_side`` in TensorBoard.

    The best weights are those of the first ModelCheckpoint; without one, those at the end. Pictures are whole, without augmentation.
    On several devices rank zero measures and the others wait. A ``fast_dev_run`` is not measured; of a side that the Trainer limits to
    some batches (``limit_val_batches``), as many pictures are.

    Args:
        train_pictures: most training pictures to measure, spread evenly; validation and test pictures are measured one and all.
    """

    def __init__(self, train_pictures: int = 1000) -> None:
        self.train_pictures = train_pictures

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure and report."""
        # Lightning sets both when it starts, unseen by mypy.
        data, rehearsal = trainer.datamodule, trainer.fast_dev_run  # type: ignore[attr-defined]
        if rehearsal or not isinstance(pl_module, Classifier) or not isinstance(data, PictureDataModule):
            return
        if trainer.is_global_zero:
            best = _best_checkpoint(trainer)
            model = load_checkpoint(best).to(pl_module.device) if best else pl_module
            measures = {}
            limits = {Side.TRAIN: trainer.limit_train_batches, Side.VAL: trainer.limit_val_batches, Side.TEST: trainer.limit_test_batches}
            for side in Side:
                limit = limits[side]
                most = limit * data.batch_size if isinstance(limit, int) else len(data.pictures(side))
                loader = data.whole_pictures(side, most=min(most, self.train_pictures) if side == Side.TRAIN else most)
                with trainer.precision_plugin.forward_context():
                    measures[side.value] = model.measure(loader) if len(loader) else {"pictures": 0}
            table = side_table(measures)
            sys.stderr.write(f"\n{best or 'the last weights'}, side by side:\n{table}\n")
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoardLogger):
                    logger.experiment.add_text("side_by_side", table, trainer.global_step)
        trainer.strategy.barrier("side_by_side")


def side_table(measures: Mapping[str, Mapping[str, float]]) -> str:
    """A table in Markdown, aligned to be read as it is: a column for each side, a row for each measure, ``-`` where a side has none.

    Args:
        measures: for each side its measures by name; those of numbers of pictures are whole.
    """
    names = list(dict.fromkeys(name for side in measures.values() for name in side))
    cells = [["", *measures], *([name, *(_cell(side.get(name)) for side in measures.values())] for name in names)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))) + " |"
        for row in cells
    ]
    rule = "|" + "|".join(f"{'-' * (w + 1)}:" if i else "-" * (w + 2) for i, w in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _best_checkpoint(trainer: Trainer) -> Path | None:
    callback = trainer.checkpoint_callback
    path = Path(callback.best_model_path) if isinstance(callback, ModelCheckpoint) and callback.best_model_path else None
    return path if path and path.is_file() else None
