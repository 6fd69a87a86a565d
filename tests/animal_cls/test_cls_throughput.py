"""How fast a training is, as TensorBoard shows it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from animal_cls import throughput
from animal_cls.throughput import Throughput


def test_pictures_of_all_processes_are_counted_over_the_latest_steps_and_validation_is_left_out(monkeypatch):
    clock, logged = [0.0], []
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: clock[0])
    callback, trainer = Throughput(steps=2), SimpleNamespace(world_size=3)
    model = SimpleNamespace(log=lambda name, value, **_: logged.append((name, value)))

    def step(seconds, pictures):
        clock[0] += seconds
        callback.on_train_batch_end(trainer, model, None, {"image": torch.zeros(pictures, 3, 2, 2)}, 0)

    step(100.0, 8)  # loading the first batch does not count
    assert logged == []
    for _ in range(3):
        step(2.0, 8)
    step(6.0, 4)
    assert [value for _, value in logged] == pytest.approx([12.0, 12.0, 12.0, 3 * (8 + 4) / 8])
    assert {name for name, _ in logged} == {"train/pictures_per_second"}
    clock[0] += 100.0
    callback.on_validation_start(trainer, model)
    step(5.0, 8)
    step(1.0, 8)
    assert logged[4:] == [("train/pictures_per_second", pytest.approx(24.0))]
