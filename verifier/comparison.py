"""Runs side by side: the settings in which they differ, and what they scored."""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

CONFIG = "config.yaml"
SCORES = ("val", "test")  # what the names of scores begin with
ABSENT = "-"
WIDEST = 48  # characters of a cell on a screen; a CSV has them all
SCALARS_ALONE = {"scalars": 0, "images": 1, "audio": 1, "histograms": 1, "compressedHistograms": 1, "tensors": 1}  # 0 keeps all


class RunError(ValueError):
    """A folder that is no run; the message names it and says what would be right."""


@dataclass(frozen=True)
class Run:
    """A finished or running fit.

    Attributes:
        name: its folder, as given.
        settings: every value of its configuration as text, by its place, such as ``model.rate``.
        scores: what it scored at its best validation, by name; the last value of what that validation did not log.
    """

    name: str
    settings: Mapping[str, str]
    scores: Mapping[str, float]


def read_run(folder: Path) -> Run:
    """Read a run: the folder in which a fit left its config.yaml and its TensorBoard events.

    Raises:
        RunError: it is no such folder, or its configuration cannot be read.
    """
    config = folder / CONFIG
    if not config.is_file():
        inside = sorted(path.parent.name for path in folder.glob(f"*/{CONFIG}"))
        hint = f"there are {', '.join(inside[:5])} in it" if inside else "such as runs/animal_ner/version_0"
        raise RunError(f"{folder}: no run; a run is a folder that a fit left its {CONFIG} in ({hint})")
    try:
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RunError(f"{config}: cannot be read ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise RunError(f"{config}: not the configuration of a run")
    return Run(str(folder), flatten(content), _scores(folder, *_goal(content)))


def _never_began(folder: Path) -> bool:
    """Whether a folder holds the events of a fit that was refused, for its data or settings, before it left a configuration."""
    return any(folder.glob("events.out.tfevents.*")) and not (folder / CONFIG).exists()


def flatten(config: Mapping[str, Any]) -> dict[str, str]:
    """The values of a configuration as text, by their places.

    A class with its arguments is a place of its own (``trainer.callbacks.EarlyStopping.patience``); where there are several of one
    class, the second is called ``EarlyStopping_2``.
    """
    flat: dict[str, str] = {}
    for key, value in config.items():
        for place, leaf in _leaves(str(key), value):
            flat[place] = leaf if isinstance(leaf, str) else json.dumps(leaf)
    return flat


def _leaves(place: str, value: Any) -> list[tuple[str, Any]]:
    match value:
        case {"class_path": str(path), **rest} if set(rest) <= {"init_args", "dict_kwargs"}:
            inner = f"{place}.{path.rpartition('.')[2]}"
            return [(inner, "yes"), *(leaf for part in rest.values() if isinstance(part, dict) for leaf in _children(inner, part))]
        case dict() if value:
            return _children(place, value)
        case list() if value and all(isinstance(item, dict) and "class_path" in item for item in value):
            return _items(place, value)
        case _:
            return [(place, value)]


def _children(place: str, values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [leaf for key, value in values.items() for leaf in _leaves(f"{place}.{key}", value)]


def _items(place: str, items: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    seen: dict[str, int] = {}
    for item in items:
        path = str(item["class_path"])
        seen[path] = seen.get(path, 0) + 1
        number = f"_{seen[path]}" if seen[path] > 1 else ""
        leaves += _leaves(place, {**item, "class_path": path + number})
    return leaves


def _goal(config: Mapping[str, Any]) -> tuple[str | None, bool]:
    """What the first checkpoint callback watches, and whether more of it is better."""
    callbacks = (config.get("trainer") or {}).get("callbacks") or []
    arguments = [callback.get("init_args") or {} for callback in callbacks if isinstance(callback, dict)]
    watched = next((each for each in arguments if "filename" in each and each.get("monitor")), {})
    return watched.get("monitor"), watched.get("mode") == "max"


def _scores(folder: Path, monitor: str | None, larger: bool) -> dict[str, float]:
    events = EventAccumulator(str(folder), size_guidance=SCALARS_ALONE).Reload()
    names = events.Tags()["scalars"]
    best = None
    if monitor in names:
        seen = [event for event in events.Scalars(monitor) if not math.isnan(event.value)]
        best = max(seen, key=lambda event: event.value if larger else -event.value, default=None)
    scores = {}
    for name in names:
        if name == "epoch" or name.startswith(SCORES):
            values = {event.step: event.value for event in events.Scalars(name)}
            last = values[max(values)]
            scores[name] = values.get(best.step, last) if best else last
    return scores


def side_by_side(runs: Sequence[Run]) -> list[list[str]]:
    """A table of runs: a heading, a row for each setting that is not the same in all, and a row for each score that any has."""
    places = list(dict.fromkeys(place for run in runs for place in run.settings))
    names = sorted({name for run in runs for name in run.scores})
    settings = [[place, *(run.settings.get(place, ABSENT) for run in runs)] for place in places]
    scores = [[name, *(f"{run.scores[name]:.4g}" if name in run.scores else ABSENT for run in runs)] for name in names]
    return [["", *(run.name for run in runs)], *(row for row in settings if len(set(row[1:])) > 1), *scores]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines of text: the first column to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _short(cell: str) -> str:
    return cell if len(cell) <= WIDEST else f"{cell[: WIDEST - 3]}..."


def write_table(file: Path, rows: Sequence[Sequence[str]]) -> None:
    """Write rows of cells as CSV, atomically, with the folders it lies in."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_text(text.getvalue(), encoding="utf-8", newline="")
    temporary.replace(file)


def main(args: Sequence[str] | None = None) -> int:
    """Command line of scripts/compare.py.

    Returns:
        The exit code: 0, or 2 for bad input.
    """
    parser = argparse.ArgumentParser(
        prog="compare.py",
        allow_abbrev=False,
        description="Show runs side by side: the settings in which they differ, and their scores at the best validation of each.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a fit, such as runs/animal_ner/version_0")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="where to write the table, too")
    options = parser.parse_args(args)
    begun = [folder for folder in options.runs if not _never_began(folder)]
    for folder in options.runs:
        if folder not in begun:
            print(f"compare: {folder}: passed over; its fit stopped before it began", file=sys.stderr)
    try:
        rows = side_by_side([read_run(folder) for folder in begun or options.runs])
        if options.csv:
            write_table(options.csv, rows)
    except (RunError, OSError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    print(aligned([rows[0], *([_short(cell) for cell in row] for row in rows[1:])]))
    return 0
