"""How the data of both packages are shared out among processes."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import pytest


@pytest.fixture(params=["animal_ner", "animal_cls"])
def resuming(request):
    return import_module(f"{request.param}.resuming")


def shared(resuming, items, processes):
    """The items of each process."""
    data = resuming.ResumableData()
    found = []
    for rank in range(processes):
        data.trainer = SimpleNamespace(world_size=processes, global_rank=rank)
        sampler = data.each_once(range(items), "pictures")
        found.append(list(range(items) if sampler is None else sampler))
    return found


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_have_each_item_once_and_each_its_own_in_order(resuming, processes):
    shares = shared(resuming, 7, processes)
    assert sorted(item for share in shares for item in share) == list(range(7))
    assert all(share == sorted(share) for share in shares)


def test_more_processes_than_items_are_refused(resuming):
    with pytest.raises(resuming.TooFewError, match=r"^2 pictures are too few for 3 processes; use fewer"):
        shared(resuming, 2, 3)
