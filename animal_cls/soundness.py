"""Whether a split can be trusted: what cannot be read, what its sides share, and which classes they lack."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

from animal_cls.fingerprints import Fingerprint, as_array
from animal_cls.picture import PictureError
from animal_cls.split import Example, Side, SplitError, near_duplicates

logger = logging.getLogger(__name__)

Placed: TypeAlias = tuple[Example, Side]

NAMED = 3  # pictures or classes that a message names
USED = {"fit": (Side.TRAIN, Side.VAL), "validate": (Side.VAL,), "test": (Side.TEST,)}  # sides that a stage cannot do without


def check_readable(examples: Sequence[Example], fingerprints: Mapping[Path, Fingerprint], *, most: float) -> str:
    """See how many pictures cannot be read.

    Args:
        examples: the pictures that are to be used.
        fingerprints: of them.
        most: share of the pictures, 0..1, that may be unreadable.

    Returns:
        How many there are, the first few with the reasons; "" when there is none.

    Raises:
        PictureError: more than that cannot be read.
    """
    errors = [fingerprints[example.path].error for example in examples if fingerprints[example.path].error]
    if not errors:
        return ""
    what = f"{len(errors):,} of {len(examples):,} pictures cannot be read: {'; '.join(errors[:NAMED])}"
    if len(errors) > NAMED:
        what += f"; and {len(errors) - NAMED:,} more"
    if len(errors) > most * len(examples):
        raise PictureError(f"{what}. data.max_unreadable lets {most:g} of them be left out: repair or remove these files, or raise it")
    return what


def check_apart(file: Path, placed: Sequence[Placed], fingerprints: Mapping[Path, Fingerprint]) -> None:
    """See that the sides of a split share nothing: no near-duplicates, no group.

    A network that has learnt a picture by heart knows its near-duplicates too, and scores of them say nothing of other pictures.

    Args:
        file: of the split.
        placed: pictures that can be read, with their sides.
        fingerprints: of them.

    Raises:
        SplitError: pictures that must stay together are on two sides.
    """
    remedy = f"give both the same side, or delete {file} to split anew"
    for (one, side), (other, other_side) in pairwise(sorted(placed, key=lambda item: (item[0].group, item[0].path))):
        if one.group and one.group == other.group and side != other_side:
            raise SplitError(f"{file}: {one.path} ({side}) and {other.path} ({other_side}) are of one group, {one.group!r}; {remedy}")
    pairs = near_duplicates(as_array(fingerprints[example.path] for example, _ in placed))
    across = [(placed[i], placed[j]) for i, j in pairs if placed[i][1] != placed[j][1]]
    if across:
        (one, side), (other, other_side) = across[0]
        more = f", as are {len(across) - 1:,} more pairs of two sides" if len(across) > 1 else ""
        raise SplitError(f"{file}: {one.path} ({side}) and {other.path} ({other_side}) are nearly the same{more}; {remedy}")


def check_classes(file: Path, placed: Sequence[Placed], classes: Sequence[str], *, stage: str) -> None:
    """See that there is something to learn each class from, and something to evaluate on; warn of classes that are not evaluated.

    Args:
        file: of the split.
        placed: the pictures with their sides.
        classes: the class names.
        stage: fit, validate or test.

    Raises:
        SplitError: a fit has no training picture of a class, or a side that the stage uses has no picture of any.
    """
    remedy = f"move some there in {file}, or delete it to split anew"
    for side in Side:
        absent = sorted(set(classes) - {example.label for example, s in placed if s == side})
        if side in USED.get(stage, ()) and len(absent) == len(classes):
            raise SplitError(f"{file}: no picture of any class on the {side} side; {remedy} (data.{_share(side)} says how many it gets)")
        if absent and side == Side.TRAIN and stage == "fit":
            raise SplitError(f"{file}: no picture of {_named(absent)} on the train side, where a class is learnt; {remedy}")
        if absent:
            logger.warning("%s: no picture of %s on the %s side", file, _named(absent), side)


def _named(classes: Sequence[str]) -> str:
    return ", ".join(classes[:NAMED]) + (f" and {len(classes) - NAMED} more classes" if len(classes) > NAMED else "")


def _share(side: Side) -> str:
    return "test" if side == Side.TEST else "val"
