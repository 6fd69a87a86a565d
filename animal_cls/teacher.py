"""A larger classifier that says what training pictures show, for a smaller one to learn from."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn


class Teacher(Protocol):
    """A trained classifier."""

    def __call__(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, 3, S, S), RGB values 0..255."""
        ...


@torch.no_grad()
def teach(presence: Tensor, images: Tensor, teacher: Teacher, *, size: int, share: float) -> Tensor:
    """Mix labels with what a teacher sees in the same crops (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015).

    A label says one kind; a teacher also says what looks like it, what a crop has lost, and what else is there.

    Args:
        presence: (B, K) float, 0..1, of the labels.
        images: (B, 3, S, S), RGB values 0..255.
        teacher: knows the same K classes.
        size: side in pixels at which the teacher sees them.
        share: how much of the result is the teacher's, 0..1.

    Returns:
        (B, K), 0..1.
    """
    if images.shape[-1] != size:
        images = nn.functional.interpolate(images.float(), size=(size, size), mode="bilinear", antialias=True)
    return torch.lerp(presence, teacher(images).sigmoid().to(presence.dtype), share)
