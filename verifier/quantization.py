"""Smaller and faster ONNX models: int8 where answers stay what they are, float16 weights where they would not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from animal_cls.picture import Pixels

# The first convolutions stay float32: their few channels carry the whole picture. In EfficientNet-Lite2 three of 64 took a third of
# int8's error away and cost a fiftieth of the time; any further block cost more and gave less.
FLOAT_CONVOLUTIONS = 3
INT8 = ("Conv", "Add", "Clip", "Relu", "MaxPool", "Gemm")  # what is computed in int8, but for the first convolutions and the last layer
SMOOTHING = 0.8  # how much of the activations' spread the weights take over, 0..1: with 0.7 as with 0.85 more words are read otherwise
SMALL = 256  # tensors of fewer values stay float32: they are nothing in size

Feeds: TypeAlias = Mapping[str, NDArray[np.int64]]  # the inputs of a transformer by name


def quantize_transformer(full: Path, file: Path, examples: Iterable[Feeds]) -> None:
    """Store the weights of matrix products as int8, one scale for each column; activations are scaled as they come.

    Args:
        full: the float32 model.
        file: where to write the other one.
        examples: inputs, a few hundred, that show which activations are large (see ``smooth_products``).
    """
    smooth = file.with_suffix(".smooth.onnx")
    smooth_products(full, smooth, examples)
    quantize_dynamic(smooth, file, weight_type=QuantType.QInt8, per_channel=True)
    smooth.unlink()


def smooth_products(full: Path, file: Path, examples: Iterable[Feeds]) -> None:
    """Divide the columns that go into matrix products by factors, and multiply the rows of the weights by them.

    The products stay what they are, but a few columns of large values no longer set the scale at which all of them are rounded (Xiao et
    al., "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models", 2023).

    Args:
        full: a float32 model.
        file: where to write the other one.
        examples: inputs, a few hundred.
    """
    model = onnx.load(full)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    matrices = {name for name, tensor in weights.items() if len(tensor.dims) == 2}
    products = [node for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in matrices]
    uses = Counter([*(name for node in model.graph.node for name in node.input), *(output.name for output in model.graph.output)])
    products = [product for product in products if uses[product.input[1]] == 1]  # what something else uses too must stay as it is
    names = sorted({product.input[0] for product in products})
    for name, largest in zip(names, _largest(full, names, examples), strict=True):
        together = [product for product in products if product.input[0] == name]
        rows = [numpy_helper.to_array(weights[product.input[1]]) for product in together]
        factor = _smoothing(largest, np.max([np.abs(each).max(axis=1) for each in rows], axis=0))
        model.graph.initializer.append(numpy_helper.from_array(1 / factor, f"{name}.smoothing"))
        place = list(model.graph.node).index(together[0])
        model.graph.node.insert(place, helper.make_node("Mul", [name, f"{name}.smoothing"], [f"{name}.smooth"]))
        for product, each in zip(together, rows, strict=True):
            weights[product.input[1]].CopyFrom(numpy_helper.from_array(each * factor[:, None], product.input[1]))
            product.input[0] = f"{name}.smooth"
    onnx.save(model, file)


def quantize_convolutions(full: Path, file: Path, images: Pixels) -> None:
    """Compute convolutions, and linear layers but the last, in int8, within the ranges that activations have on some pictures.

    Weights have a scale for each output channel.

    Args:
        full: the float32 model, from ``images``, uint8 (N, 3, S, S), to logits.
        file: where to write the other one.
        images: uint8 (N, S, S, 3), a few hundred that the network was trained on.
    """
    folded = file.with_suffix(".folded.onnx")
    quant_pre_process(full, folded, skip_symbolic_shape=True)  # batch normalisation becomes part of the convolutions
    nodes = onnx.load(folded).graph.node
    convolutions, linear = ([node.name for node in nodes if node.op_type == sort] for sort in ("Conv", "Gemm"))
    quantize_static(
        folded,
        file,
        _Images(images),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(INT8),
        nodes_to_exclude=[*convolutions[:FLOAT_CONVOLUTIONS], *linear[-1:]],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm"]},  # they may be logits of which a softmax is taken
    )
    folded.unlink()


def halve_weights(full: Path, file: Path) -> None:
    """Store large float32 tensors as float16 and cast them back in the graph, which is done once, when the model is loaded.

    Args:
        full: the float32 model.
        file: where to write the other one.
    """
    model = onnx.load(full)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= SMALL:
            name, values = tensor.name, numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name))
            for node in model.graph.node:
                node.input[:] = [f"{name}.float32" if given == name else given for given in node.input]
            casts.append(helper.make_node("Cast", [name], [f"{name}.float32"], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    for node in model.graph.node:  # stack traces of the export: a third of a megabyte
        del node.metadata_props[:]
    onnx.checker.check_model(model)
    onnx.save(model, file)


def _smoothing(activations: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Factors (C,) of columns whose largest activations and weights are these; about 1 on the whole."""
    factor = np.maximum(activations, 1e-3) ** SMOOTHING / np.maximum(weights, 1e-4) ** (1 - SMOOTHING)
    return np.asarray(factor / np.exp(np.log(factor).mean()), dtype=np.float32)


def _largest(full: Path, names: Sequence[str], examples: Iterable[Feeds]) -> list[NDArray[np.float32]]:
    """The largest absolute value in each column (C,) of these activations."""
    if not names:
        return []
    model = onnx.load(full)
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = [[np.abs(values).reshape(-1, values.shape[-1]).max(axis=0) for values in session.run(names, feeds)] for feeds in examples]
    return [np.max(of_each, axis=0) for of_each in zip(*found, strict=True)]


class _Images(CalibrationDataReader):  # type: ignore[misc]  # an untyped base
    """Pictures one by one, as quantization takes them."""

    def __init__(self, images: Pixels) -> None:
        self._rest: Iterator[NDArray[np.uint8]] = iter(images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        image = next(self._rest, None)
        return None if image is None else {"images": np.ascontiguousarray(image.transpose(2, 0, 1)[None])}
