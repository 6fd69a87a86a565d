"""Training pictures that show several animals, composed of two single-label ones."""

from __future__ import annotations

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


def _resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    return nn.functional.interpolate(images.float(), size=size, mode="bilinear", antialias=True).round()
