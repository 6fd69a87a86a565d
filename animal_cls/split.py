"""Dividing labelled pictures into train, val and test so that near-duplicates and groups stay on one side."""

from __future__ import annotations

import csv
import os
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animal_cls.cells import plain_cell, safe_cell
from animal_cls.picture import fit_picture, open_picture

HASH_SIDE = 8  # a fingerprint has 2 * 8 * 8 bits
MAX_DISTANCE = 9  # bits of 128; on 8,001 animal photos every pair up to here has one label, at 16 half the pairs have two


class Side(StrEnum):
    """The part of a split that a picture belongs to."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


@dataclass(frozen=True)
class Example:
    """A labelled picture: its path, its label ("" when it shows none of the classes) and what it must stay together with."""

    path: Path
    label: str
    group: str = ""


class SplitError(ValueError):
    """A split that does not fit the pictures; the message names the file and the row."""


def fingerprint(path: Path) -> NDArray[np.uint8]:
    """Perceptual difference hash of a picture: which neighbours are brighter, across and down.

    Small changes of size, compression or colour change few bits. (N. Krawetz, "Kind of Like That", 2013.)

    Returns:
        A uint8 array of shape (16,), 128 bits.
    """
    side = HASH_SIDE + 1
    grey = fit_picture(open_picture(path, at_least=2 * side), side).mean(axis=2)
    across = grey[:-1, 1:] > grey[:-1, :-1]
    down = grey[1:, :-1] > grey[:-1, :-1]
    return np.packbits(np.concatenate([across.ravel(), down.ravel()]))


def near_duplicates(fingerprints: NDArray[np.uint8], *, max_distance: int = MAX_DISTANCE) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of fingerprints (N, 16) that differ in at most ``max_distance`` bits."""
    words = np.ascontiguousarray(fingerprints).view(np.uint64)
    pairs = []
    for i in range(len(words) - 1):
        distance = np.bitwise_count(words[i + 1 :] ^ words[i]).sum(axis=1)
        pairs += [(i, i + 1 + int(j)) for j in np.flatnonzero(distance <= max_distance)]
    return pairs


def clusters(count: int, pairs: Sequence[tuple[int, int]], groups: Sequence[str]) -> list[int]:
    """Number each of ``count`` items by the cluster that pairs and equal non-empty group names put it in."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first_of: dict[str, int] = {}
    same_group = [(first_of.setdefault(group, i), i) for i, group in enumerate(groups) if group]
    for i, j in [*pairs, *same_group]:
        parent[root(j)] = root(i)
    return [root(i) for i in range(count)]


def assign_sides(labels: Sequence[str], cluster_of: Sequence[int], *, shares: Mapping[Side, float], seed: int) -> list[Side]:
    """Give each item a side, whole clusters at a time, each label spread as the shares say as nearly as clusters allow.

    Larger clusters are placed first; each goes to the side that lacks most of its labels. Every label gets into train.

    Args:
        labels: label of each item.
        cluster_of: cluster number of each item.
        shares: share of the items that each side should get; they sum to 1.
        seed: of the order among clusters of one size.

    Returns:
        The side of each item.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for item, cluster in enumerate(cluster_of):
        members[cluster].append(item)
    order = list(members.values())
    random.Random(seed).shuffle(order)
    order.sort(key=len, reverse=True)
    totals = Counter(labels)
    placed: dict[Side, Counter[str]] = {side: Counter() for side in shares}

    def lack(side: Side, items: Sequence[int]) -> float:
        """How much of its due the side still lacks, for the labels of these items."""
        names = {labels[i] for i in items}
        if side == Side.TRAIN and any(placed[side][name] == 0 for name in names):
            return float("inf")
        return sum(shares[side] - placed[side][name] / totals[name] for name in names) / max(len(names), 1)

    sides = [Side.TRAIN] * len(labels)
    for items in order:
        side = max(shares, key=lambda s: lack(s, items))
        placed[side].update(labels[i] for i in items)
        for i in items:
            sides[i] = side
    return sides


def make_split(
    examples: Sequence[Example],
    *,
    val: float,
    test: float,
    seed: int,
    test_only: Sequence[str] = (),
    fingerprints: NDArray[np.uint8] | None = None,
) -> list[Side]:
    """Split labelled pictures by ``assign_sides``, near-duplicates (by fingerprint) and groups kept on one side.

    Args:
        examples: the pictures.
        val: share of the pictures for validation, 0..1.
        test: share of the pictures for testing, 0..1.
        seed: of the order among clusters of one size.
        test_only: patterns of paths (as in ``*/web_*.jpg``) that are for testing alone, with all that must stay together with
            them; the shares count among the others.
        fingerprints: (N, 16), of the pictures; taken when none are given.

    Returns:
        The side of each picture.

    Raises:
        PictureError: a picture cannot be read.
    """
    if fingerprints is None:
        fingerprints = np.stack([fingerprint(example.path) for example in examples])
    pairs = near_duplicates(fingerprints)
    cluster_of = clusters(len(examples), pairs, [example.group for example in examples])
    shares = {side: share for side, share in ((Side.TRAIN, 1.0 - val - test), (Side.VAL, val), (Side.TEST, test)) if share}
    held = {
        cluster
        for cluster, example in zip(cluster_of, examples, strict=True)
        if any(fnmatch(example.path.as_posix(), pattern) for pattern in test_only)
    }
    others = [i for i, cluster in enumerate(cluster_of) if cluster not in held]
    sides = [Side.TEST] * len(examples)
    assigned = assign_sides([examples[i].label for i in others], [cluster_of[i] for i in others], shares=shares, seed=seed)
    for i, side in zip(others, assigned, strict=True):
        sides[i] = side
    return sides


def write_split(file: Path, examples: Sequence[Example], sides: Sequence[Side]) -> None:
    """Store a split as a CSV (path, label, split), atomically; no spreadsheet runs a cell of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label", "split"])
        for example, side in zip(examples, sides, strict=True):
            writer.writerow([safe_cell(example.path.as_posix()), safe_cell(example.label), side.value])
    temporary.replace(file)


def read_split(file: Path, examples: Sequence[Example]) -> list[Side]:
    """Read the side of each example from a stored split.

    Raises:
        SplitError: the file and the examples do not tell of the same pictures and labels, or it is no split.
    """
    with file.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        if not {"path", "label", "split"} <= set(reader.fieldnames or ()):
            raise SplitError(f"{file}: columns are {reader.fieldnames}; a split has path, label and split")
        try:
            rows = {plain_cell(row["path"]): row for row in reader}
        except csv.Error as error:
            raise SplitError(f"{file}, line {reader.line_num}: not a CSV ({error})") from error
    remedy = f"delete {file} to split anew, or name another split file"
    sides = []
    for example in examples:
        row = rows.pop(example.path.as_posix(), None)
        if row is None:
            raise SplitError(f"{file}: says nothing of {example.path}; {remedy}")
        if (label := plain_cell(row["label"])) != example.label:
            raise SplitError(f"{file}: {example.path} is {label!r} there and {example.label!r} in the data; {remedy}")
        if row["split"] not in set(Side):
            raise SplitError(f"{file}: {example.path} is on the side {row['split']!r}; sides are {', '.join(Side)}")
        sides.append(Side(row["split"]))
    if rows:
        raise SplitError(f"{file}: {len(rows)} pictures of it are not in the data, first {next(iter(rows))}; {remedy}")
    return sides
