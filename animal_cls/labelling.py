"""Labelling with the classifier's help: predict writes a table, a person corrects what is uncertain, and fit reads it."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse.typing import ClosedUnitInterval
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter

from animal_cls.cells import UNCERTAIN, safe_cell
from animal_cls.examples import DataError
from animal_cls.processes import gathered

COLUMNS = ("path", "label", "confidence", "uncertain", "others")


class PredictionTable(BasePredictionWriter):
    """Writes what predict says of each picture into a CSV that a person can correct and ``data.table`` of fit can read.

    Its columns are path (absolute), label (the likeliest class), confidence (its presence, 0..1), uncertain (yes or empty) and
    others (the next likeliest, or why the picture cannot be read). A person puts the right label into the rows marked uncertain,
    ``-`` where there is no animal, and empties the mark. The file appears once all pictures are predicted.

    Args:
        file: the CSV to write; none writes nothing. A file that is there is never overwritten: a person may have corrected it.
        sure: a picture is uncertain when its largest presence is below this, 0..1.
        margin: a picture is uncertain when its two largest presences are less than this apart, 0..1. On the 1,779 validation and
            test pictures of the release's split, a tenth of them of no animal, both defaults together mark 0.37 of the pictures
            and 0.95 of those with a wrong label; of the others 0.984 are right.
    """

    def __init__(self, file: str | None = None, sure: ClosedUnitInterval = 0.5, margin: ClosedUnitInterval = 0.2) -> None:
        super().__init__(write_interval="batch")
        self.file = Path(file) if file else None
        self.sure, self.margin = sure, margin
        self._rows: dict[int, list[str]] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """See that the file can be written before any picture is predicted.

        Raises:
            DataError: it is there already, or its folder cannot be made.
        """
        super().setup(trainer, pl_module, stage)
        if stage != "predict" or self.file is None:
            return
        if self.file.exists():
            raise DataError(f"{self.file}: is there already, maybe corrected by hand; name another file (predictions.file) or remove it")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{self.file}: cannot be written ({error.strerror}); name another file (predictions.file)") from error

    def write_on_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, prediction: Any, batch_indices: Sequence[int] | None, *args: Any
    ) -> None:
        """Keep the rows of the batch."""
        if self.file and batch_indices is not None:
            rows = [table_row(record, sure=self.sure, margin=self.margin) for record in prediction]
            self._rows.update(zip(batch_indices, rows, strict=True))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the rows of all processes, in the order of the pictures."""
        if self.file is None:
            return
        rows = gathered(self._rows)
        if trainer.is_global_zero:
            _write_table(self.file, [rows[index] for index in sorted(rows)])
        self._rows = {}


def is_uncertain(presences: Sequence[float], *, sure: float, margin: float) -> bool:
    """Whether a person should look: the largest presence is below ``sure``, or the second is less than ``margin`` below it.

    Args:
        presences: of one picture, largest first, 0..1; at least one.
        sure: 0..1.
        margin: 0..1.
    """
    return presences[0] < sure or (len(presences) > 1 and presences[0] - presences[1] < margin)


def table_row(record: Mapping[str, Any], *, sure: float, margin: float) -> list[str]:
    """The cells of COLUMNS for a record of ``Classifier.predict_step``."""
    path = str(Path(record["path"]).absolute())
    if "error" in record:
        cells = [path, "", "", UNCERTAIN, record["error"]]
    else:
        presences = [animal["probability"] for animal in record["animals"]]
        mark = UNCERTAIN if is_uncertain(presences, sure=sure, margin=margin) else ""
        others = "; ".join(f"{animal['kind']} {animal['probability']:.4f}" for animal in record["animals"][1:])
        cells = [path, record["label"], f"{record['presence']:.4f}", mark, others]
    return [safe_cell(cell) for cell in cells]


def _write_table(file: Path, rows: Sequence[Sequence[str]]) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with temporary.open("w", newline="", encoding="utf-8-sig") as stream:  # the mark by which spreadsheets know UTF-8
        csv.writer(stream).writerows([COLUMNS, *rows])
    temporary.replace(file)
