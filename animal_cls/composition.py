"""Pictures that show several animals, composed of two single-label ones: for training, and for testing."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


def compose(images: Tensor, presence: Tensor, *, share: float) -> tuple[Tensor, Tensor]:
    """Put some pictures of a batch beside, or above, another one of it.

    A composed picture shows the kinds of both; each half is squashed, as the whole of a wide photo is when predicting.

    Args:
        images: (B, 3, S, S), any dtype.
        presence: (B, K) float, 1.0 where the picture shows the kind.
        share: share of the batch that is composed, 0..1.

    Returns:
        Images and presence of the same shapes and dtypes; inputs are left as they are.
    """
    count = round(share * len(images))
    if count < 2:
        return images, presence
    first = torch.randperm(len(images), device=images.device)[:count]
    second = first.roll(1)
    size = images.shape[-1]
    cut = int(size * (0.35 + 0.3 * torch.rand(()).item()))
    beside = bool(torch.rand(()) < 0.7)
    one = _resize(images[first], (size, cut) if beside else (cut, size))
    other = _resize(images[second], (size, size - cut) if beside else (size - cut, size))
    images, presence = images.clone(), presence.clone()
    images[first] = torch.cat([one, other], dim=3 if beside else 2).to(images.dtype)
    presence[first] = torch.maximum(presence[first], presence[second])
    return images, presence


class Couples(NamedTuple):
    """Pictures of two kinds, N of them.

    Attributes:
        images: (N, 3, S, S), float, each the ``left`` beside the ``right`` of its parts, both squashed to half their width.
        presence: (N, K) float, 1.0 for both kinds.
        left: (N,) indices in the batch.
        right: (N,) indices in the batch.
    """

    images: Tensor
    presence: Tensor
    left: Tensor
    right: Tensor


def couple(images: Tensor, presence: Tensor) -> Couples:
    """Put each picture of a batch beside the one before it (the first beside the last), where the two show one kind each, and not the same.

    Args:
        images: (B, 3, S, S), any dtype.
        presence: (B, K) float, 1.0 where the picture shows the kind; at most one for each.
    """
    before = torch.arange(len(presence), device=presence.device).roll(1)
    both = (presence + presence[before]).clamp(max=1)
    left = (both.sum(1) == 2).nonzero().flatten()  # neither one that met its own kind, nor one without
    right = before[left]
    size = images.shape[-1]
    beside = torch.cat([images[left], images[right]], dim=3)
    return Couples(_resize(beside, (size, size)) if len(left) else beside[..., :size].float(), both[left], left, right)


def _resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    return nn.functional.interpolate(images.float(), size=size, mode="bilinear", antialias=True).round()
