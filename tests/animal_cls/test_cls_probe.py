"""The linear layer that a fine-tuning starts from."""

from __future__ import annotations

import pytest
import torch

from animal_cls.probe import fit_probe


@pytest.fixture
def classes():
    """Features of three classes that a line divides, far from zero and of unlike sizes, and their targets."""
    torch.manual_seed(0)
    centres = torch.tensor([[9.0, 0.0, 100.0], [0.0, 9.0, 100.0], [0.0, 0.0, 130.0]])
    labels = torch.arange(300) % 3
    return centres[labels] + torch.randn(300, 3), torch.eye(3)[labels]


def test_the_layer_tells_classes_apart_on_features_as_they_are(classes):
    features, targets = classes
    weight, bias = fit_probe(features, targets, weights=torch.ones(300), epochs=60, dropout=0.0)
    assert weight.shape == (3, 3)
    assert bias.shape == (3,)
    assert ((features @ weight.T + bias).argmax(1) == targets.argmax(1)).float().mean() > 0.98


def test_a_row_that_is_never_drawn_teaches_nothing(classes):
    features, targets = classes
    wrong = torch.cat([features, features]), torch.cat([targets, targets.roll(1, dims=1)])
    weights = torch.cat([torch.ones(300), torch.zeros(300)])
    weight, bias = fit_probe(*wrong, weights=weights, epochs=60, dropout=0.0)
    assert ((features @ weight.T + bias).argmax(1) == targets.argmax(1)).float().mean() > 0.98


def test_equal_features_give_equal_layers_whatever_the_global_seed_and_leave_it_alone(classes):
    results, states = [], []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.random.get_rng_state()
        results.append(fit_probe(*classes, weights=torch.ones(300), epochs=2))
        states.append(torch.equal(before, torch.random.get_rng_state()))
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
    assert all(states)


def test_a_feature_that_never_varies_does_no_harm(classes):
    features, targets = classes
    weight, bias = fit_probe(torch.cat([features, torch.ones(300, 1)], dim=1), targets, weights=torch.ones(300), epochs=5)
    assert torch.isfinite(weight).all()
    assert torch.isfinite(bias).all()


def test_what_never_varied_in_training_says_nothing_later(classes):
    features, targets = classes
    constant = torch.full((300, 2), -8.0)
    weight, _ = fit_probe(torch.cat([features, constant], dim=1), targets, weights=torch.ones(300), epochs=5, told=2)
    assert (weight[:, -2:] == 0).all()


def test_what_is_told_is_never_dropped_and_may_decide_alone(classes):
    _, targets = classes
    both = torch.cat([torch.randn(300, 20), 5 * targets], dim=1)
    weight, bias = fit_probe(both, targets, weights=torch.ones(300), epochs=20, dropout=0.95, told=3)
    assert (both @ weight.T + bias).argmax(1).tolist() == targets.argmax(1).tolist()
