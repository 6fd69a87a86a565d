"""What a classifier learns from another one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from animal_cls.teacher import teach


class Shades:
    """Sees kind k as plainly as channel k is bright, and keeps the size of what it was shown."""

    def __call__(self, images):
        self.side = images.shape[-1]
        return images.float().mean((2, 3)) / 32 - 4


def test_a_share_of_what_is_learnt_is_what_the_teacher_sees():
    images = torch.tensor([[0, 128, 255], [255, 0, 0]], dtype=torch.uint8)[:, :, None, None].expand(-1, -1, 8, 8)
    labels = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    seen = torch.tensor([[0.018, 0.5, 0.981], [0.981, 0.018, 0.018]])
    teacher = Shades()
    learnt = teach(labels, images, teacher, size=8, share=0.25)
    torch.testing.assert_close(learnt, 0.75 * labels + 0.25 * seen, atol=1e-3, rtol=0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_teacher_sees_pictures_at_its_own_size(dtype):
    teacher = Shades()
    teach(torch.zeros(1, 3), torch.zeros(1, 3, 24, 24, dtype=dtype), teacher, size=32, share=0.5)
    assert teacher.side == 32


@settings(deadline=None, max_examples=30)
@given(share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_what_is_learnt_stays_between_the_label_and_what_the_teacher_sees(share, seed):
    torch.manual_seed(seed)
    labels, images = torch.randint(0, 2, (4, 3)).float(), torch.randint(0, 256, (4, 3, 6, 6), dtype=torch.uint8)
    seen, learnt = (teach(labels, images, Shades(), size=6, share=s) for s in (1.0, share))
    assert ((learnt - labels).abs() + (learnt - seen).abs() - (labels - seen).abs()).abs().max() < 1e-6
