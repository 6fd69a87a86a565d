"""Processes that work together, as on several devices, and those that are gone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch.distributed as dist

K = TypeVar("K")
V = TypeVar("V")


def gathered(mine: Mapping[K, V]) -> dict[K, V]:
    """What all processes have, in one dictionary for each; all of them must call it. Values are small: they travel pickled."""
    if not (dist.is_available() and dist.is_initialized()):
        return dict(mine)
    shards: list[Mapping[K, V]] = [{} for _ in range(dist.get_world_size())]
    dist.all_gather_object(shards, mine)
    return {key: value for shard in shards for key, value in shard.items()}


def is_running(process: int) -> bool:
    """Whether there is a process of this number on this machine."""
    try:
        os.kill(process, 0)  # asks, and sends nothing
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        pass
    return True


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Remove what was left half written: files that match a pattern and end in the number of a process that is gone."""
    for file in folder.glob(pattern):
        process = file.suffix[1:]
        if process.isdecimal() and not is_running(int(process)):
            file.unlink(missing_ok=True)
