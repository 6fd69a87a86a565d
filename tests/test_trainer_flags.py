"""Flags of Lightning's Trainer that change how a step is made, a few steps each, with the configurations that ship."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from animal_cls.cli import ClassifierCLI
from animal_cls.data import PictureDataModule
from animal_cls.module import Classifier
from animal_ner.cli import TaggerCLI
from animal_ner.data import SentenceDataModule
from animal_ner.module import Tagger

ROOT = Path(__file__).parents[1]
PARTS = {
    "animal_ner": (TaggerCLI, Tagger, SentenceDataModule, "minilm"),
    "animal_cls": (ClassifierCLI, Classifier, PictureDataModule, "efficientnet_lite2"),
}


@pytest.fixture(params=list(PARTS))
def fit(request, tiny_data, monkeypatch, tmp_path):
    """Fits four batches with some flags; ``watch`` sees the model first."""
    cli_class, model_class, data_class, config = PARTS[request.param]
    monkeypatch.setattr(sys, "argv", [request.param])
    monkeypatch.chdir(tmp_path)

    def run(*flags, watch=lambda model: None):
        arguments = [f"--config={ROOT / 'configs' / request.param / config}.yaml", *tiny_data[request.param], "--trainer.fast_dev_run=4"]
        cli = cli_class(model_class, data_class, run=False, args=[*arguments, *flags], save_config_callback=None)
        watch(cli.model)
        cli.trainer.fit(cli.model, cli.datamodule)
        return cli

    yield run
    torch.use_deterministic_algorithms(False)


def weights(cli):
    return torch.cat([parameter.detach().flatten() for parameter in cli.model.parameters()])


@pytest.mark.parametrize(("batches", "steps"), [(1, 4), (3, 2), (8, 1)])
def test_gradients_of_several_batches_make_one_step(fit, batches, steps):
    assert fit(f"--trainer.accumulate_grad_batches={batches}").trainer.global_step == steps


@pytest.mark.parametrize("most", [0.01, None])
def test_gradients_are_clipped(fit, most):
    norms = []

    def watch(model):
        configure = model.configure_optimizers

        def configure_and_watch():
            configured = configure()
            configured["optimizer"].register_step_post_hook(
                lambda *_: norms.append(float(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).norm()))
            )
            return configured

        model.configure_optimizers = configure_and_watch

    fit(f"--trainer.gradient_clip_val={most or 'null'}", watch=watch)
    assert len(norms) == 4
    assert max(norms) == pytest.approx(0.01, rel=1e-3) if most else min(norms) > 0.02


def test_a_cpu_computes_in_bfloat16_and_keeps_weights_in_full(fit):
    seen = set()

    def watch(model):
        linear = next(module for module in model.modules() if isinstance(module, nn.Linear))
        linear.register_forward_hook(lambda _, inputs, output: seen.add(output.dtype))

    cli = fit("--trainer.precision=bf16-mixed", watch=watch)
    assert torch.bfloat16 in seen
    assert {parameter.dtype for parameter in cli.model.parameters()} == {torch.float32}
    assert math.isfinite(float(cli.trainer.callback_metrics["train/loss"]))


def test_the_same_few_batches_can_be_trained_on_again_and_again(fit):
    assert fit("--trainer.fast_dev_run=false", "--trainer.overfit_batches=2", "--trainer.max_epochs=2").trainer.global_step == 4


def test_deterministic_fits_end_in_the_same_weights(fit):
    one, other = (fit("--trainer.deterministic=true") for _ in range(2))
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.equal(weights(one), weights(other))
