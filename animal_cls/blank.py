"""Pictures of nothing: a wall, a sky, fog, a lens cap."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CELLS = (1, 2, 5)  # colours along a side: one alone, a gradient, clouds
NOISES = (0.0, 3.0, 12.0)  # standard deviation of the noise, of 255


def blank_pictures(count: int, size: int) -> Tensor:
    """Draw pictures that show nothing, from torch's own random numbers.

    People's photos without an animal show something else, and of those a network learns nothing of a picture that is empty: of a plain
    blue one it said "dolphin".

    Args:
        count: how many.
        size: side in pixels.

    Returns:
        uint8 (count, 3, size, size).
    """
    pictures = []
    for _ in range(count):
        cells, noise = CELLS[int(torch.randint(len(CELLS), ()))], NOISES[int(torch.randint(len(NOISES), ()))]
        brightness, saturation, spread = 1.4 * torch.rand(()) - 0.2, torch.rand(()) ** 2, torch.rand(())  # often white, black or grey
        colours = brightness + saturation * (torch.rand(1, 3, 1, 1) - 0.5) + spread * (torch.rand(1, 3, cells, cells) - 0.5)
        smooth = nn.functional.interpolate(colours, size=(size, size), mode="bilinear", align_corners=True)
        pictures.append(255 * smooth + noise * torch.randn(1, 1, size, size))
    return torch.cat([*pictures, torch.empty(0, 3, size, size)]).clamp(0, 255).round().to(torch.uint8)
