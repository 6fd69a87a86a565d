"""The convolutional network: any torchvision classification model, its weights and its head, in plain torch."""

from __future__ import annotations

import importlib.util
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeAlias, cast

import onnx
import torch
from onnx import numpy_helper
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models

Padding: TypeAlias = Literal["torchvision", "tensorflow"]


class WeightsError(ValueError):
    """Weights that cannot be had or do not fit; the message names them and says what would be right."""


def build_network(backbone: str, *, outputs: int, padding: Padding = "torchvision") -> nn.Module:
    """Build a torchvision classification model with random weights and a last layer of its own size.

    Args:
        backbone: a name that ``torchvision.models.get_model`` knows, such as ``mobilenet_v2``.
        outputs: number of logits.
        padding: ``tensorflow`` makes the stride-2 3x3 convolutions pad (0, 1, 0, 1) (left, right, top, bottom), or 1 all round
            when a side is odd, as networks trained with TensorFlow's SAME padding expect; with torchvision's symmetric padding
            their accuracy drops.

    Returns:
        A module that maps float images (B, 3, H, W) to logits (B, outputs).

    Raises:
        WeightsError: torchvision has no such classification model.
    """
    if backbone not in models.list_models(module=models):
        raise WeightsError(f"backbone {backbone!r}: not a classification model of torchvision's; mobilenet_v2 is one")
    network = models.get_model(backbone, weights=None, num_classes=outputs)
    if padding == "tensorflow":
        for module in network.modules():
            if isinstance(module, nn.Conv2d) and module.stride == (2, 2) and module.kernel_size == (3, 3):
                module.padding = (0, 0)
                module.register_forward_pre_hook(_pad_same)
    return cast("nn.Module", network)


def head_of(network: nn.Module) -> nn.Linear:
    """The last linear layer, which makes the logits of every torchvision classification model."""
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise WeightsError(f"{type(network).__name__} ends in no linear layer; choose another backbone")
    return linear[-1]


def load_weights(network: nn.Module, weights: str, *, backbone: str) -> None:
    """Load weights into a network; a last layer of another size is left as it is.

    Args:
        network: the network to fill.
        weights: ``torchvision`` (its best weights; downloaded once into torch's cache), ``release`` (the classifier that
            travels in the verifier's release), or a local file: ``.safetensors``, ``.pth``/``.pt``, ``.ckpt`` (a Lightning
            checkpoint of this package) or ``.onnx`` (a release's classifier).
        backbone: the torchvision name of the network.

    Raises:
        WeightsError: the weights cannot be had or belong to another network.
    """
    state = _unfold_batch_norm(network, _read_weights(weights, backbone))
    own = network.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    head = {id(p) for p in head_of(network).parameters()}
    head_names = {name for name, p in network.named_parameters(remove_duplicate=False) if id(p) in head}
    missing = [name for name in own if name not in fitting and name not in head_names and not name.endswith("num_batches_tracked")]
    if missing:
        raise WeightsError(
            f"{weights}: not the weights of {backbone} ({len(missing)} of {len(own)} tensors are not there, first {missing[0]})"
        )
    network.load_state_dict(fitting, strict=False)


def _read_weights(weights: str, backbone: str) -> dict[str, Tensor]:
    if weights == "torchvision":
        try:
            return dict(models.get_model_weights(backbone).DEFAULT.get_state_dict(progress=True, check_hash=True))
        except (OSError, RuntimeError) as error:  # no network; a hash that is not the file's
            raise WeightsError(
                f"weights: torchvision's {backbone} could not be downloaded ({error}); give a local file or 'release'"
            ) from error
    path = release_classifier() if weights == "release" else Path(weights)
    if not path.is_file():
        raise WeightsError(f"weights {weights}: no such file ({path.resolve()}); give a file, 'torchvision' or 'release'")
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


def _read_onnx(path: Path) -> dict[str, Tensor]:
    """The initializers of an exported classifier under their torch names, as float32."""
    graph = onnx.load(path).graph
    tensors = {item.name: torch.from_numpy(numpy_helper.to_array(item).copy()) for item in graph.initializer}
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


def release_classifier() -> Path:
    """Where the classifier of the shipped release lies; the verifier is looked up, not imported."""
    spec = importlib.util.find_spec("verifier")
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError("weights 'release': the package verifier is not installed; give a file or 'torchvision'")
    return Path(spec.submodule_search_locations[0]) / "weights" / "classifier.onnx"


def _pad_same(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    height, width = inputs[0].shape[2:]
    return (nn.functional.pad(inputs[0], (width % 2, 1, height % 2, 1)),)
