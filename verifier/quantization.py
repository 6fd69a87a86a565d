"""Smaller and faster ONNX models: int8 where answers stay what they are, float16 weights where they would not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from animal_cls.picture import Pixels

# The first convolutions stay float32: their few channels carry the whole picture. In EfficientNet-Lite2 three of 64 took a third of
# int8's error away and cost a fiftieth of the time; any further block cost more and gave less.
FLOAT_CONVOLUTIONS = 3
INT8 = ("Conv", "Add", "Clip", "Relu", "MaxPool", "Gemm")  # what is computed in int8, but for the first convolutions and the last layer
SMALL = 256  # tensors of fewer values stay float32: they are nothing in size


def quantize_transformer(full: Path, file: Path) -> None:
    """Store the weights of matrix products as int8, one scale for each column; activations are scaled as they come.

    Args:
        full: the float32 model.
        file: where to write the other one.
    """
    quantize_dynamic(full, file, weight_type=QuantType.QInt8, per_channel=True)


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


class _Images(CalibrationDataReader):  # type: ignore[misc]  # an untyped base
    """Pictures one by one, as quantization takes them."""

    def __init__(self, images: Pixels) -> None:
        self._rest: Iterator[NDArray[np.uint8]] = iter(images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        image = next(self._rest, None)
        return None if image is None else {"images": np.ascontiguousarray(image.transpose(2, 0, 1)[None])}
