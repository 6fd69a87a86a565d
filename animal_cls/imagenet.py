"""A last layer that is told, too, what the pretrained one says of ImageNet's classes, group by group."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import torch
from torch import Tensor, nn

CLASSES = 1000  # of ImageNet's challenge of 2012, in the order of their WordNet ids, as torchvision's and timm's weights have them
ANIMALS = 398  # the first of them
LEAST = math.exp(-8)  # a group's smallest probability: what lies below says nothing


class ImageNetHead(nn.Module):
    """One linear layer over the features and over what a pretrained classifier makes of them.

    A hundred photos of dogs show few of the breeds that ImageNet's classes tell apart, and no linear layer over the features can say "any
    of these". The probabilities of these classes, added up by group, can.

    Args:
        features: how many it is given.
        outputs: number of logits.
        dropout: probability that training drops a feature, 0..1; no group is ever dropped.

    Attributes:
        pretrained: the last layer as it was pretrained, which never learns.
        linear: what learns.
    """

    members: Tensor

    def __init__(self, features: int, *, outputs: int, dropout: float) -> None:
        super().__init__()
        self.pretrained = nn.Linear(features, CLASSES).requires_grad_(False)
        self.register_buffer("members", _members(groups()), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features + self.members.shape[1], outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, outputs) of features (B, F)."""
        probability = self.pretrained(features).softmax(dim=-1)[:, :ANIMALS] @ self.members
        told = probability.clamp(min=LEAST).log()
        logits: Tensor = self.linear(torch.cat([self.dropout(features), told.to(features.dtype)], dim=-1))
        return logits


@cache
def groups() -> Mapping[str, tuple[int, ...]]:
    """The groups of ImageNet's animals, by name, each with the indices of its classes; ``animal`` has them all.

    The order of the rows is that of the weights in every checkpoint: a change of the table makes these unusable.
    """
    text = files("animal_cls").joinpath("imagenet.tsv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines(), delimiter="\t")
    return {row["group"]: tuple(i for part in row["classes"].split(",") for i in _indices(part)) for row in rows}


def _indices(part: str) -> range:
    first, _, last = part.partition("-")
    return range(int(first), int(last or first) + 1)


def _members(groups: Mapping[str, tuple[int, ...]]) -> Tensor:
    """Which animal belongs to which group: (ANIMALS, groups), 0 or 1."""
    members = torch.zeros(ANIMALS, len(groups))
    for column, classes in enumerate(groups.values()):
        members[list(classes), column] = 1.0
    return members
