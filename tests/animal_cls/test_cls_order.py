"""What a training meets, and in which order."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from animal_cls.order import TrainOrder, seed_of

numbers = st.integers(1, 20)


def order(items, size=4, position=(0, 0), **share):
    return TrainOrder([1.0] * items, position=lambda: position, batch_size=size, **share)


@given(items=numbers, size=numbers, epoch=st.integers(0, 5), batches=st.integers(0, 5))
def test_an_epoch_that_resumes_goes_on_where_it_was(items, size, epoch, batches):
    whole = list(order(items, size, (epoch, 0)))
    assert list(order(items, size, (epoch, batches))) == whole[batches * size :]


@given(items=numbers, processes=st.integers(1, 4), epoch=st.integers(0, 5))
def test_processes_share_the_draws_of_one_out_evenly(items, processes, epoch):
    alone = list(order(items, position=(epoch, 0)))
    shares = [order(items, position=(epoch, 0), processes=processes, rank=rank) for rank in range(processes)]
    assert {len(list(share)) for share in shares} == {len(share) for share in shares} == {items // processes}
    together = [draw for turn in zip(*shares, strict=True) for draw in turn]
    assert together == alone[: len(together)]


def test_epochs_and_runs_differ_and_a_seed_repeats_them(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    epochs = [list(order(50, position=(epoch, 0))) for epoch in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert list(order(50, position=(1, 0))) == epochs[1]
    monkeypatch.setenv("PL_GLOBAL_SEED", "2")
    assert list(order(50, position=(1, 0))) != epochs[1]


def test_pictures_are_drawn_as_often_as_they_weigh_and_augmented_each_time_anew():
    draws = list(TrainOrder([1.0, 3.0] * 500, position=lambda: (0, 0), batch_size=4))
    counts = Counter(draw.item % 2 for draw in draws)
    assert 2.4 < counts[1] / counts[0] < 3.8
    assert len({draw.seed for draw in draws}) == len(draws)


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4), st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4))
def test_numbers_have_a_seed_of_their_own(some, others):
    assert 0 <= seed_of(*some) < 2**64
    assert (seed_of(*some) == seed_of(*others)) == (some == others)
