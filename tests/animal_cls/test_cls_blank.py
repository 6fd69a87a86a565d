"""Pictures of nothing, and that a network learns from them."""

from __future__ import annotations

import pytest
import torch

from animal_cls.blank import blank_pictures
from animal_cls.data import NO_CLASS
from animal_cls.module import Classifier


def test_pictures_of_nothing_are_of_one_colour_smooth_or_noisy_and_often_grey():
    torch.manual_seed(0)
    pictures = blank_pictures(300, 32)
    assert (pictures.shape, pictures.dtype) == ((300, 3, 32, 32), torch.uint8)
    values = pictures.float()
    flat = values.std(dim=(2, 3)).amax(dim=1) < 1
    assert 0.05 < flat.float().mean() < 0.5
    grey = (values.mean(dim=(2, 3)).amax(1) - values.mean(dim=(2, 3)).amin(1)) < 15
    assert 0.1 < grey.float().mean() < 0.9
    assert (values.mean(dim=(1, 2, 3)) > 240).any()
    assert (values.mean(dim=(1, 2, 3)) < 15).any()


def test_equal_seeds_draw_equal_pictures():
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append(blank_pictures(4, 16))
    assert torch.equal(*drawn)


def test_no_pictures_can_be_drawn():
    assert blank_pictures(0, 16).shape == (0, 3, 16, 16)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_share_of_a_training_batch_shows_nothing_and_the_rest_stays(dtype):
    model = Classifier(["cat", "dog"], "shufflenet_v2_x0_5", weights="none", blank=0.25)
    images, presence = torch.full((8, 3, 32, 32), 7, dtype=dtype), torch.ones(8, 2)
    seen, there = model._with_blanks(images, presence)
    assert seen.dtype == dtype
    assert there.sum(dim=1).tolist() == [0, 0] + [2] * 6
    assert torch.equal(seen[2:], images[2:])
    assert not torch.equal(seen[:2], images[:2])


def test_the_head_is_fitted_beside_pictures_of_nothing_of_mean_weight():
    model = Classifier(["cat", "dog"], "shufflenet_v2_x0_5", weights="none", blank=0.5)
    batch = {"image": torch.zeros(4, 3, 32, 32, dtype=torch.uint8), "label": torch.tensor([0, 1, 0, NO_CLASS]), "weight": torch.arange(4.0)}
    given = list(model._beside_blanks([batch, batch]))
    assert [each["label"].tolist() for each in given] == [[0, 1, 0, NO_CLASS], [NO_CLASS] * 2] * 2
    assert given[1]["weight"].tolist() == [1.5, 1.5]
    assert not torch.equal(given[1]["image"], given[3]["image"])


def test_without_a_share_batches_are_as_they_were():
    model = Classifier(["cat", "dog"], "shufflenet_v2_x0_5", weights="none")
    images, presence = torch.zeros(8, 3, 32, 32), torch.ones(8, 2)
    assert model._with_blanks(images, presence) == (images, presence)
    assert len(list(model._beside_blanks([{"image": images, "label": torch.zeros(8), "weight": torch.ones(8)}]))) == 1
