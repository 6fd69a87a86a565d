"""A picture is shown whole, and a long one part by part as well."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from animal_cls.picture import fit_picture, load_picture
from animal_cls.views import LONG, MOST_PARTS, load_views, strongest, views

SIDES = st.integers(1, 300)


@given(SIDES, SIDES)
def test_any_picture_is_shown_whole_first_and_in_parts_only_when_long(width: int, height: int) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))
    seen = views(image, 16)
    assert seen.dtype == np.uint8
    assert seen.shape[1:] == (16, 16, 3)
    np.testing.assert_array_equal(seen[0], fit_picture(image, 16))
    long = max(width, height) >= LONG * min(width, height)
    assert 3 <= len(seen) <= 1 + MOST_PARTS if long else len(seen) == 1


@pytest.mark.parametrize("turned", [False, True])
def test_the_parts_are_the_halves_of_two_photos_side_by_side(turned: bool) -> None:
    red, blue = np.full((30, 40, 3), (200, 0, 0), np.uint8), np.full((30, 40, 3), (0, 0, 200), np.uint8)
    both = np.concatenate([red, blue], axis=1)
    _, first, second = views(Image.fromarray(both.transpose(1, 0, 2) if turned else both), 8)
    assert (first == (200, 0, 0)).all()
    assert (second == (0, 0, 200)).all()


def test_the_parts_of_a_strip_show_all_of_it() -> None:
    strip = np.repeat(np.arange(6, dtype=np.uint8) * 40, 20)[None, :, None].repeat(20, 0).repeat(3, 2)
    parts = views(Image.fromarray(strip), 12)[1:]
    assert len(parts) == MOST_PARTS
    assert {int(value) for value in np.unique(parts[:, :, [0, -1]])} == {0, 40, 80, 120, 160, 200}


def test_a_file_of_ordinary_shape_has_the_view_that_training_sees(tmp_path) -> None:
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(tmp_path / "a.jpg")
    np.testing.assert_array_equal(load_views(tmp_path / "a.jpg", 32), load_picture(tmp_path / "a.jpg", 32)[None])


def test_a_kind_is_as_strong_as_in_the_view_that_shows_it_most() -> None:
    logits = np.array([[0, -1], [3, -2], [-5, 4], [1, 1]], np.float32)
    np.testing.assert_array_equal(strongest(logits, [3, 1]), [[3, 4], [1, 1]])


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_pictures_do_not_influence_each_other(counts: list[int]) -> None:
    logits = np.random.default_rng(len(counts)).normal(size=(sum(counts), 5)).astype(np.float32)
    alone = np.split(logits, np.cumsum(counts)[:-1])
    np.testing.assert_array_equal(strongest(logits, counts), [each.max(axis=0) for each in alone])
