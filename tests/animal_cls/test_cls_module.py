"""The classifier: what it learns when, what its checkpoints hold, and that it learns."""

from __future__ import annotations

import logging
import pickle
from functools import partial
from itertools import islice, pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import nn

from animal_cls.data import NO_CLASS
from animal_cls.module import CheckpointError, Classifier, load_checkpoint, share_of_rate
from animal_cls.network import WeightsError, build_network, head_of
from animal_cls.probe import fit_probe
from animal_cls.split import Side

BACKBONE = "shufflenet_v2_x0_5"


class Begun(Callback):
    """Keeps the weights as they are before the first step."""

    def on_train_start(self, trainer, model):
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}


class Recorder(Callback):
    """Keeps the weights as they are after each step."""

    def __init__(self):
        self.steps = []

    def on_train_batch_end(self, trainer, model, *args):
        self.steps.append({name: value.detach().clone() for name, value in model.state_dict().items()})


@pytest.fixture
def data(small_pictures):
    return small_pictures()


def fit(model, data, epochs, *callbacks, ckpt_path=None):
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        limit_train_batches=2,
        callbacks=list(callbacks),
    )
    trainer.fit(model, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    return trainer


@given(end=st.integers(0, 400), warmup=st.floats(0, 1))
def test_the_rate_s_share_is_never_negative_nor_above_one_and_ends_at_zero(end, warmup):
    shares = [share_of_rate(step, end=end, warmup=warmup) for step in range(end + 3)]
    assert all(0 <= share <= 1 for share in shares)
    assert shares[end:] == [0.0] * 3


@given(end=st.integers(50, 400), warmup=st.floats(0.05, 0.5))
def test_the_rate_changes_in_small_steps_and_reaches_its_peak(end, warmup):
    shares = [share_of_rate(step, end=end, warmup=warmup) for step in range(end + 1)]
    assert max(abs(b - a) for a, b in pairwise(shares)) <= max(1 / (warmup * end), 2 / ((1 - warmup) * end)) + 1e-9
    assert max(shares) == pytest.approx(1.0, rel=0.1)


def test_the_head_starts_as_what_fits_the_features_of_whole_pictures(data, tmp_path):
    torch.manual_seed(0)
    pretrained = build_network(BACKBONE, outputs=3)
    torch.save(pretrained.state_dict(), tmp_path / "weights.pth")
    model = Classifier(["cat", "dog", "owl"], BACKBONE, weights=str(tmp_path / "weights.pth"), size=32, probe_epochs=3, composed=0)
    begun = Begun()
    fit(model, data, 1, begun)
    for name, value in pretrained.state_dict().items():
        if not name.startswith("fc."):
            assert torch.equal(begun.state[f"network.{name}"], value), name
    features, targets, weights = [], [], []
    head_of(pretrained).register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    for batch in islice(data.whole_train_dataloader(), 2):  # as many as this fit trains on
        mean, std = model.pixel_mean, model.pixel_std
        with torch.no_grad():
            pretrained.eval()((batch["image"] - mean) / std)
        targets.append(0.95 * (batch["label"][:, None] == torch.arange(3)).float())
        weights.append(batch["weight"])
    weight, bias = fit_probe(torch.cat(features), torch.cat(targets), weights=torch.cat(weights), epochs=3, dropout=0.2)
    torch.testing.assert_close(begun.state["network.fc.weight"], weight, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(begun.state["network.fc.bias"], bias, rtol=1e-3, atol=1e-3)


def test_a_fit_that_goes_by_imagenet_too_can_be_loaded_again_without_its_weights(data, tmp_path):
    file = tmp_path / "weights.pth"
    pretrained = build_network(BACKBONE, outputs=1000)
    torch.save(pretrained.state_dict(), file)
    model = Classifier(["cat", "dog", "owl"], BACKBONE, weights=str(file), imagenet=True, size=32, probe_epochs=2)
    fit(model, data, 1).save_checkpoint(tmp_path / "fitted.ckpt")
    file.unlink()
    assert torch.equal(model.network.fc.pretrained.weight, head_of(pretrained).weight)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(load_checkpoint(tmp_path / "fitted.ckpt")(images), model.eval()(images))


def test_a_checkpoint_of_before_imagenet_counted_is_read_by_a_configuration_that_has_it(data, tmp_path):
    model = Classifier(["cat", "dog", "owl"], BACKBONE, weights="none", size=32, probe_epochs=0)
    fit(model, data, 1).save_checkpoint(tmp_path / "old.ckpt")
    old = torch.load(tmp_path / "old.ckpt", weights_only=True)
    del old["hyper_parameters"]["imagenet"]
    new = Classifier(["cat", "dog", "owl"], BACKBONE, weights="none", imagenet=True, size=32)
    new.on_load_checkpoint(old)
    new.load_state_dict(old["state_dict"])
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(new.eval()(images), model.eval()(images))


def test_a_fit_learns_from_a_teacher_and_its_checkpoint_holds_nothing_of_it(data, tmp_path):
    kinds = ["cat", "dog", "owl"]
    wrong = Classifier(kinds, BACKBONE, weights="none", size=48, probe_epochs=0)
    fit(wrong, data, 1)
    with torch.no_grad():
        head_of(wrong.network).weight.zero_()
        head_of(wrong.network).bias.copy_(torch.tensor([9.0, -9.0, -9.0]))  # cats, whatever it is shown
    wrong.trainer.save_checkpoint(tmp_path / "teacher.ckpt")
    model = Classifier(
        kinds, BACKBONE, weights="none", size=32, teacher=str(tmp_path / "teacher.ckpt"), taught=1.0, probe_epochs=60, blank=0
    )
    fit(model, data, 1).save_checkpoint(tmp_path / "taught.ckpt")
    (tmp_path / "teacher.ckpt").unlink()
    taught = load_checkpoint(tmp_path / "taught.ckpt")
    with torch.inference_mode():
        assert (taught(torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)).argmax(1) == 0).all()
    assert set(taught.state_dict()) == set(wrong.state_dict())


def test_a_teacher_of_other_kinds_is_refused_and_named(data, tmp_path):
    other = Classifier(["cat", "dog"], BACKBONE, weights="none", size=32, probe_epochs=0)
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False)
    trainer.strategy.connect(other)
    trainer.save_checkpoint(tmp_path / "teacher.ckpt")
    model = Classifier(["cat", "dog", "owl"], BACKBONE, weights="none", size=32, teacher=str(tmp_path / "teacher.ckpt"))
    with pytest.raises(CheckpointError, match=r"model\.teacher: .*teacher\.ckpt knows 2 classes .*; both must know the same"):
        fit(model, data, 1)


def test_random_weights_that_are_to_know_imagenet_are_refused(data):
    with pytest.raises(WeightsError, match=r"model\.imagenet: weights of none know no classes of ImageNet"):
        fit(Classifier(["cat", "dog", "owl"], BACKBONE, weights="none", imagenet=True, size=32), data, 1)


def test_without_a_probe_the_head_starts_at_random_and_all_learns(data):
    model = Classifier(["cat", "dog", "owl"], BACKBONE, weights="none", size=32, probe_epochs=0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    begun = Begun()
    fit(model, data, 1, begun)
    assert all(torch.equal(value, before[name]) for name, value in begun.state.items())
    assert not any(torch.equal(value, before[f"network.{name}"]) for name, value in model.network.named_parameters())


def test_the_frozen_share_of_the_backbone_stays_as_it_was_and_the_rest_learns(data):
    model = Classifier(["cat", "dog", "owl"], BACKBONE, weights="none", size=32, probe_epochs=0, frozen=0.5, rate=1e-2)
    before = {name: value.clone() for name, value in model.named_parameters()}
    fit(model, data, 1)
    changed = [not torch.equal(before[name], value) for name, value in model.named_parameters()]
    sizes = [value.numel() for name, value in model.named_parameters() if not name.startswith("network.fc")]
    first = changed.index(True)
    assert all(changed[first:])
    assert sum(sizes[:first]) <= 0.5 * sum(sizes) < sum(sizes[: first + 1])


@pytest.mark.parametrize("frozen", [True, False])
def test_batch_norm_statistics_stay_as_they_were_exactly_when_frozen(data, frozen):
    model = Classifier(["cat", "dog", "owl"], BACKBONE, weights="none", size=32, probe_epochs=0, freeze_batch_norm=frozen)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit(model, data, 1)
    statistics = [name for name in before if "running_" in name]
    assert statistics
    assert all(torch.equal(before[name], model.state_dict()[name]) == frozen for name in statistics)


def test_a_fit_starts_from_the_weights_given_and_a_fit_that_goes_on_never_reads_them(data, tmp_path):
    torch.manual_seed(0)
    file = tmp_path / "weights.pth"
    torch.save(build_network(BACKBONE, outputs=1000).state_dict(), file)
    model = Classifier(["cat", "dog", "owl"], BACKBONE, weights=str(file), size=32, frozen=1.0)
    trainer = fit(model, data, 1)
    trainer.save_checkpoint(tmp_path / "first.ckpt")
    start = torch.load(file, weights_only=True)["conv1.0.weight"]
    assert torch.equal(model.network.conv1[0].weight, start)
    file.unlink()
    again = Classifier(["cat", "dog", "owl"], BACKBONE, weights=str(file), size=32, frozen=1.0)
    recorder = Recorder()
    fit(again, data, 2, recorder, ckpt_path=tmp_path / "first.ckpt")
    assert len(recorder.steps) == 2
    assert torch.equal(again.network.conv1[0].weight, start)


def test_everything_but_frozen_batch_norm_is_in_training_mode_while_training():
    model = Classifier(["cat", "dog"], "mobilenet_v2", weights="none", dropout=0.4).eval().train()
    modes = {type(m): m.training for m in model.network.modules()}
    assert modes[nn.Dropout]
    assert not modes[nn.BatchNorm2d]
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == {0.4}
    assert not any(m.training for m in model.eval().modules())


def test_a_checkpoint_holds_the_average_of_the_weights_and_beside_it_the_current_ones(data, tmp_path):
    recorder = Recorder()
    model = Classifier(["cat", "dog", "owl"], BACKBONE, weights="none", size=32, probe_epochs=0, rate=1e-2)

    class Keep(Callback):
        def on_train_end(self, trainer, pl_module):
            trainer.save_checkpoint(tmp_path / "kept.ckpt")

    fit(model, data, 2, recorder, Keep(), EMAWeightAveraging(decay=0.5))
    content = torch.load(tmp_path / "kept.ckpt", weights_only=True)
    name = "network.fc.weight"
    average = recorder.steps[0][name]
    for step in recorder.steps[1:]:
        average = 0.5 * average + 0.5 * step[name]
    torch.testing.assert_close(content["state_dict"][name], average)
    torch.testing.assert_close(content["current_model_state"][name], recorder.steps[-1][name])
    assert not torch.allclose(average, recorder.steps[-1][name])
    torch.testing.assert_close(load_checkpoint(tmp_path / "kept.ckpt").state_dict()[name], average)


def test_a_training_leaves_its_best_and_its_last_checkpoint(trained):
    assert {file.name for file in trained.iterdir()} == {"best.ckpt", "last.ckpt", "start.ckpt"}
    assert (trained.parent / "config.yaml").is_file()


def test_a_checkpoint_loads_as_plain_values_and_describes_itself(trained):
    content = torch.load(trained / "best.ckpt", weights_only=True)
    hparams = content["hyper_parameters"]
    assert content["task"] == "animal_cls"
    assert hparams["classes"] == ["cat", "dog", "owl"]
    assert (list(hparams["mean"]), list(hparams["std"])) == ([0.5] * 3, [0.5] * 3)
    assert (hparams["size"], hparams["backbone"], hparams["padding"]) == (32, BACKBONE, "torchvision")


def test_a_checkpoint_loads_without_the_pictures_and_the_weights_it_was_made_from(trained):
    model = load_checkpoint(str(trained / "last.ckpt"))
    assert not model.training
    assert model.classes == ["cat", "dog", "owl"]
    with torch.inference_mode():
        logits = model(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    assert logits.shape == (2, 3)
    assert logits.dtype == torch.float32


def other_checkpoint(trained, file, **changes):
    """A copy of a checkpoint with some of its entries changed; None leaves one out."""
    content = torch.load(trained / "last.ckpt", weights_only=True) | changes
    torch.save({name: value for name, value in content.items() if value is not None}, file)
    return file


@pytest.mark.parametrize(("task", "message"), [("animal_ner", "is of animal_ner"), (None, "was not made by this framework")])
def test_a_checkpoint_of_something_else_is_refused_and_named(trained, tmp_path, task, message):
    file = other_checkpoint(trained, tmp_path / "other.ckpt", task=task)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(file)
    assert str(caught.value).startswith(str(file))


def test_a_file_that_is_no_checkpoint_is_named(tmp_path):
    (tmp_path / "text.ckpt").write_text("text")
    (tmp_path / "code.ckpt").write_bytes(pickle.dumps(print))
    torch.save([1, 2], tmp_path / "list.ckpt")
    for name in ("text", "code", "list", "absent"):
        with pytest.raises(CheckpointError, match=rf"{name}\.ckpt"):
            load_checkpoint(tmp_path / f"{name}.ckpt")


def test_pixels_of_any_type_and_layout_give_the_same_scores(trained):
    model = load_checkpoint(trained / "last.ckpt")
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        expected = model(images)
        torch.testing.assert_close(model(images.float()), expected)
        torch.testing.assert_close(model(images.contiguous(memory_format=torch.channels_last)), expected)


def test_a_fresh_classifier_says_of_every_class_that_few_pictures_show_it():
    model = Classifier([f"kind {i}" for i in range(20)], BACKBONE, weights="none").eval()
    with torch.inference_mode():
        presence = model(torch.zeros(1, 3, 32, 32)).sigmoid()
    assert presence.mean() == pytest.approx(1 / 20, abs=0.01)


def test_a_prediction_names_the_five_likeliest_kinds_or_the_error():
    model = Classifier([f"kind {i}" for i in range(7)], BACKBONE, weights="none", size=32).eval()
    images = torch.zeros(3, 3, 32, 32, dtype=torch.uint8)
    images[1] = 200
    batch = {"image": images, "views": [2, 1], "path": ["a.jpg", "b.jpg"], "error": ["", "b.jpg: no such file"]}
    with torch.inference_mode():
        good, bad = model.predict_step(batch, 0)
        presence = model(images[:2]).sigmoid().amax(0)
    assert bad == {"path": "b.jpg", "error": "b.jpg: no such file"}
    assert (good["path"], good["label"]) == ("a.jpg", f"kind {int(presence.argmax())}")
    assert [a["probability"] for a in good["animals"]] == [round(float(p), 4) for p in presence.sort(descending=True).values[:5]]


def test_a_picture_of_no_class_lowers_the_loss_by_saying_no():
    model = Classifier(["cat", "dog"], BACKBONE, weights="none")
    presence = model._presence(torch.tensor([1, NO_CLASS]))
    assert presence.tolist() == [[0.0, 1.0], [0.0, 0.0]]
    yes, no = torch.tensor([[-9.0, 3.0], [3.0, 3.0]]), torch.tensor([[-9.0, 3.0], [-9.0, -9.0]])
    assert model._loss(no, presence) < model._loss(yes, presence)


def test_three_colours_are_learnt(data):
    torch.manual_seed(0)
    data.prepare_data()
    data.setup("fit")
    pictures = data.pictures(Side.TRAIN)
    pictures.transform = None
    images = torch.stack([pictures[i]["image"] for i in range(len(pictures))])
    labels = torch.tensor([pictures.label(i) for i in range(len(pictures))])
    model = Classifier(data.classes, BACKBONE, weights="none", size=32, freeze_batch_norm=False, dropout=0.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 60)
    shown = labels != NO_CLASS
    for _ in range(60):
        loss = model._loss(model(images), model._presence(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.inference_mode():
        presence = model(images).sigmoid()
    assert (presence[shown].argmax(dim=1) == labels[shown]).all()
    assert presence[shown].amax(dim=1).min() > presence[~shown].amax()


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Painted(nn.Module):
    """Sees the kinds of pictures that are painted evenly, kind k in the grey 40 k: all of a picture, or its upper left corner alone."""

    def __init__(self, all_of_it):
        super().__init__()
        self.side = None if all_of_it else 1

    def forward(self, images):
        pixels = images[:, 0, : self.side, : self.side].flatten(1)
        distance = (pixels[:, :, None] - 40 * torch.arange(6)).abs().amin(1)
        return -distance


@pytest.mark.parametrize("all_of_it", [True, False])
def test_a_picture_of_two_kinds_counts_when_both_are_among_the_three_likeliest(all_of_it):
    model = Classifier(list("abcdef"), BACKBONE, weights="none", size=32, mean=(0, 0, 0), std=(1 / 255,) * 3, channels_last=False)
    model.network = Painted(all_of_it)
    labels = torch.tensor([0, 5, NO_CLASS, 1, 4])
    images = (40 * labels.clamp(min=0)).to(torch.uint8)[:, None, None, None].expand(-1, 3, 32, 32)
    model._test_couples({"image": images, "label": labels}, model(images))
    assert (model.both_whole.compute() == 1.0) == all_of_it
    assert model.both.compute() == 1.0  # the parts of a long picture show one kind each


def test_compiled_training_steps_learn_what_others_do(data, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))  # traced as ever, without a C++ compiler
    weights = []
    for compiled in (False, True):
        torch.manual_seed(0)
        model = Classifier(["cat", "dog", "owl"], BACKBONE, weights="none", size=32, probe_epochs=0, composed=0, compile=compiled)
        model.network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
        fit(model, data, 1)
        assert set(model.network.state_dict()) == {"0.weight", "0.bias", "3.weight", "3.bias"}
        weights.append(model.network[3].weight.detach())
    torch.testing.assert_close(*weights)
