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
    for seed in range(30):
        result = transform(pixels, seed=seed)
        assert result.shape == (32, 32, 3)
        assert result.dtype == np.uint8


def test_a_read_only_picture_is_left_as_it_is(photo):
    pixels = photo.copy()
    pixels.setflags(write=False)
    transform = TrainTransform(48, smallest_crop=0.3, colour=0.5)
    for seed in range(20):
        transform(pixels, seed=seed)
    np.testing.assert_array_equal(pixels, photo)


def test_a_seed_gives_the_same_picture_again_and_other_seeds_others(photo):
    transform, again = (TrainTransform(32, smallest_crop=0.3, colour=0.3) for _ in range(2))
    results = [transform(photo, seed=seed) for seed in range(10)]
    assert len({result.tobytes() for result in results}) == 10
    for seed in (7, 3):
        np.testing.assert_array_equal(again(photo, seed=seed), results[seed])


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_any_seed_of_32_bits_is_taken(photo, seed):
    TrainTransform(32, smallest_crop=0.3, colour=0.3)(photo, seed=seed)


def test_rare_steps_come_each_by_itself():
    """What each step does is drawn independently: of the pictures that become grey, about half are flipped, as of all."""
    sides = np.zeros((40, 40, 3), np.uint8)
    sides[:, :20], sides[:, 20:] = (90, 30, 30), (180, 240, 180)
    transform = TrainTransform(32, smallest_crop=1.0, colour=0.0)
    results = [transform(sides, seed=seed) for seed in range(1200)]
    flipped = [result[:, :16].mean() > result[:, 16:].mean() for result in results if np.ptp(result, axis=2).max() == 0]
    assert len(flipped) > 20
    assert 0.2 < np.mean(flipped) < 0.8


def test_augmentation_keeps_the_picture_recognisable(photo):
    transform = TrainTransform(32, smallest_crop=0.8, colour=0.1)
    mean = np.mean([transform(photo, seed=seed).mean(axis=(0, 1)) for seed in range(40)], axis=0)
    assert np.abs(mean - photo.mean(axis=(0, 1))).max() < 25
