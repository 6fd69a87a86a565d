"""Pictures composed of two show the kinds of both."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from animal_cls.composition import compose, couple


def batch_of(count: int, size: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures of one value each, 10 times the index of the kind that they show."""
    images = (torch.arange(count, dtype=torch.uint8) * 10).view(-1, 1, 1, 1).expand(-1, 3, size, size).contiguous()
    return images, torch.eye(count)


@settings(deadline=None, max_examples=60)
@given(count=st.integers(1, 12), share=st.floats(0, 1), seed=st.integers(0, 10_000))
def test_a_picture_is_labelled_with_exactly_the_kinds_whose_pixels_it_has(count, share, seed):
    torch.manual_seed(seed)
    images, presence = batch_of(count)
    composed, shown = compose(images, presence, share=share)
    assert composed.shape == images.shape
    assert composed.dtype == images.dtype
    for image, kinds in zip(composed, shown, strict=True):
        assert sorted((image.unique() // 10).tolist()) == kinds.nonzero().flatten().tolist()
    expected = round(share * count)
    assert int((shown.sum(dim=1) == 2).sum()) == (expected if expected >= 2 else 0)


@pytest.mark.parametrize(("count", "share"), [(8, 0.0), (1, 1.0), (4, 0.25)])
def test_a_batch_of_which_fewer_than_two_are_to_be_composed_stays_as_it_is(count, share):
    images, presence = batch_of(count)
    composed, shown = compose(images, presence, share=share)
    assert torch.equal(composed, images)
    assert torch.equal(shown, presence)


def test_the_inputs_are_left_as_they_are():
    images, presence = batch_of(6)
    compose(images, presence, share=1.0)
    assert torch.equal(images, batch_of(6)[0])
    assert torch.equal(presence, batch_of(6)[1])


def test_each_picture_keeps_at_least_a_third_of_the_composed_one():
    images, presence = batch_of(8)
    for seed in range(20):
        torch.manual_seed(seed)
        composed, shown = compose(images, presence, share=1.0)
        for image, kinds in zip(composed, shown, strict=True):
            for kind in kinds.nonzero().flatten():
                assert 0.33 < (image == kind * 10).float().mean() < 0.67


def test_a_picture_beside_one_that_shows_no_kind_keeps_its_own_kind_alone():
    images, _ = batch_of(2)
    _, shown = compose(images, torch.tensor([[1.0, 0.0], [0.0, 0.0]]), share=1.0)
    assert shown.tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_pictures_are_put_both_beside_and_above_each_other():
    images, presence = batch_of(2)
    ways = set()
    for seed in range(30):
        torch.manual_seed(seed)
        composed, _ = compose(images, presence, share=1.0)
        ways.add(bool((composed[0, 0, 0] == composed[0, 0, 0, 0]).all()))
    assert ways == {True, False}


def test_float_images_stay_float():
    images, presence = batch_of(4)
    assert compose(images.float(), presence, share=1.0)[0].dtype == torch.float32


def test_couples_are_neighbours_of_two_kinds_side_by_side():
    images, kinds = batch_of(4)
    presence = kinds[[0, 1, 1, 2]]
    presence[3] = 0  # without an animal
    couples = couple(images, presence)
    assert couples.left.tolist() == [1]  # the third met its own kind, the fourth and the first one without
    assert couples.right.tolist() == [0]
    assert couples.presence.tolist() == [[1, 1, 0, 0]]
    assert couples.images.shape == (1, 3, 32, 32)
    assert couples.images[0, 0, 0, [0, 31]].tolist() == [10, 0]


def test_a_batch_of_one_kind_gives_no_couple():
    images, kinds = batch_of(3)
    couples = couple(images, kinds[[0, 0, 0]])
    assert couples.images.shape == (0, 3, 32, 32)
    assert couples.presence.shape == (0, 3)
