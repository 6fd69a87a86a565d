"""Augmentation of training pictures: the only file that knows albumentations."""

from __future__ import annotations

import os
import random

import numpy as np

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network for newer versions on import otherwise

import albumentations as alb
import cv2

from animal_cls.picture import Pixels


class TrainTransform:
    """Random crops, flips, colours and small damages of one picture.

    Args:
        size: side of the result in pixels.
        smallest_crop: smallest share of the picture's area that a crop keeps, 0..1.
        colour: strength of brightness, contrast and saturation changes, 0..1.
    """

    def __init__(self, size: int, *, smallest_crop: float, colour: float) -> None:
        cv2.setNumThreads(0)  # workers are the parallelism
        self._compose = alb.Compose(
            [
                # Wide aspect ratios, because whole pictures are squashed to a square when predicting.
                alb.RandomResizedCrop(size=(size, size), scale=(smallest_crop, 1.0), ratio=(0.6, 1.67), area_for_downscale="image"),
                alb.HorizontalFlip(p=0.5),
                alb.ColorJitter(
                    brightness=(1 - colour, 1 + colour),
                    contrast=(1 - colour, 1 + colour),
                    saturation=(1 - colour, 1 + colour),
                    hue=(-0.03, 0.03),
                    p=0.8,
                ),
                alb.ToGray(p=0.05),
                alb.Affine(rotate=(-12, 12), p=0.2, border_mode=cv2.BORDER_REFLECT_101),
                alb.OneOf(
                    [
                        alb.GaussianBlur(blur_limit=(3, 5)),
                        alb.ImageCompression(quality_range=(30, 80)),
                        alb.GaussNoise(std_range=(0.02, 0.08)),
                    ],
                    p=0.15,
                ),
                alb.CoarseDropout(num_holes_range=(1, 2), hole_height_range=(0.15, 0.35), hole_width_range=(0.15, 0.35), p=0.2),
            ]
        )

    def __call__(self, pixels: Pixels, *, seed: int) -> Pixels:
        """Augment one picture.

        Args:
            pixels: uint8 (H, W, 3), left as it is.
            seed: of all that is random; the same gives the same result.

        Returns:
            A uint8 array (size, size, 3).
        """
        # One stream for all steps: albumentations' own seeding gives each step the same one, so that rare steps would come together.
        self._compose.set_random_state(np.random.default_rng(seed), random.Random(seed))
        result: Pixels = np.ascontiguousarray(self._compose(image=pixels)["image"])
        return result
