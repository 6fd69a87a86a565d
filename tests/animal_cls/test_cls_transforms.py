"""Augmentation: its results fit the network, repeat with a seed, and leave the picture as it was."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animal_cls.transforms import TrainTransform

PHOTOS = Path(next(iter(importlib.util.find_spec("skimage").submodule_search_locations))) / "data"


@pytest.fixture(scope="module")
def photo():
    return np.asarray(Image.open(PHOTOS / "chelsea.png").convert("RGB"))


@pytest.mark.parametrize("shape", [(300, 451), (1, 1), (1, 90), (90, 1), (3, 2), (32, 32), (600, 40)])
def test_a_picture_of_any_size_becomes_one_of_the_network_s(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    transform = TrainTransform(32, smallest_crop=0.3, colour=0.3)
    transform.seed(0)
    for _ in range(30):
        result = transform(pixels)
        assert result.shape == (32, 32, 3)
        assert result.dtype == np.uint8


def test_a_read_only_picture_is_left_as_it_is(photo):
    pixels = photo.copy()
    pixels.setflags(write=False)
    transform = TrainTransform(48, smallest_crop=0.3, colour=0.5)
    for _ in range(20):
        transform(pixels)
    np.testing.assert_array_equal(pixels, photo)


def test_a_seed_gives_the_same_pictures_again_and_another_seed_others(photo):
    def series(seed):
        transform = TrainTransform(32, smallest_crop=0.3, colour=0.3)
        transform.seed(seed)
        return np.stack([transform(photo) for _ in range(4)])

    np.testing.assert_array_equal(series(5), series(5))
    assert (series(5) != series(6)).mean() > 0.5


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**63 - 1])
def test_any_seed_that_torch_gives_is_taken(photo, seed):
    TrainTransform(32, smallest_crop=0.3, colour=0.3).seed(seed)


def test_one_picture_is_augmented_in_ever_new_ways(photo):
    transform = TrainTransform(32, smallest_crop=0.3, colour=0.3)
    transform.seed(0)
    results = [transform(photo) for _ in range(10)]
    assert len({result.tobytes() for result in results}) == 10


def test_augmentation_keeps_the_picture_recognisable(photo):
    transform = TrainTransform(32, smallest_crop=0.8, colour=0.1)
    transform.seed(0)
    mean = np.mean([transform(photo).mean(axis=(0, 1)) for _ in range(40)], axis=0)
    assert np.abs(mean - photo.mean(axis=(0, 1))).max() < 25
