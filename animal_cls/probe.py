"""The head's start: a linear layer fitted on features of whole pictures, before anything is fine-tuned."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

BATCH = 256  # features that make one step
WEIGHT_OF_TOLD = 4.0  # how much larger than features what is told is given; between 3 and 6 makes no difference


def fit_probe(
    features: Tensor,
    targets: Tensor,
    *,
    weights: Tensor,
    epochs: int,
    rate: float = 2e-3,
    weight_decay: float = 1e-2,
    dropout: float = 0.3,
    told: int = 0,
) -> tuple[Tensor, Tensor]:
    """Fit one linear layer with a sigmoid for each class, by AdamW along a cosine.

    Fine-tuning that starts from a fitted head distorts the features less (Kumar et al., "Fine-Tuning can Distort Pretrained Features
    and Underperform Out-of-Distribution", 2022). Features are standardised while it is fitted; the result takes them as they are.

    Args:
        features: (N, F) float32.
        targets: (N, K), what each class should score, 0..1.
        weights: (N,), how often each row is drawn, relative to the others.
        epochs: how many times N rows are drawn.
        rate: peak learning rate.
        weight_decay: AdamW's.
        dropout: probability that a feature is dropped, 0..1.
        told: how many features, the last ones, are no mere features but what another classifier says. None of these is dropped, and weight
            decay holds them back less.

    Returns:
        Weight (K, F) and bias (K,) of the layer.
    """
    generator = torch.Generator().manual_seed(0)  # the same head on each device
    mean, deviation = features.mean(0), features.std(0, correction=0) + 1e-3
    seen = features.shape[1] - told
    deviation[seen:] /= WEIGHT_OF_TOLD
    standardised = (features - mean) / deviation
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = nn.Linear(features.shape[1], targets.shape[1])
        nn.init.normal_(layer.weight, std=0.002)
        nn.init.zeros_(layer.weight[:, seen:])  # what never varies in training would keep what it begins with
        nn.init.constant_(layer.bias, -math.log(max(targets.shape[1] - 1, 1)))
        optimizer = torch.optim.AdamW(layer.parameters(), lr=rate, weight_decay=weight_decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(epochs, 1))
        for _ in range(epochs):
            order = torch.multinomial(weights, len(features), replacement=True, generator=generator)
            for rows in (order[at : at + BATCH] for at in range(0, len(order), BATCH)):
                dropped = nn.functional.dropout(standardised[rows, :seen], dropout)
                logits = layer(torch.cat([dropped, standardised[rows, seen:]], dim=1))
                loss = nn.functional.binary_cross_entropy_with_logits(logits, targets[rows], reduction="sum") / len(rows)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            schedule.step()
    weight = layer.weight.detach() / deviation
    return weight, layer.bias.detach() - weight @ mean
