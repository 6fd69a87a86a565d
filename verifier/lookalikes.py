"""Kinds that are taken for each other in photos: the table lookalikes.tsv."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from importlib import resources
from itertools import permutations
from types import MappingProxyType


@cache
def read_look_alikes() -> Mapping[str, frozenset[str]]:
    """For each kind of ``lookalikes.tsv`` those that it is taken for."""
    alike: dict[str, set[str]] = defaultdict(set)
    for line in resources.files("verifier").joinpath("lookalikes.tsv").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            for kind, other in permutations(line.split("\t")[1].split(), 2):
                alike[kind].add(other)
    return MappingProxyType({kind: frozenset(others) for kind, others in alike.items()})
