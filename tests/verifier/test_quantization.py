from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from verifier.quantization import FLOAT_CONVOLUTIONS, halve_weights, quantize_convolutions, quantize_transformer, smooth_products

SIDE = 16
CHANNELS = 32
PIECES = 50


class Network(nn.Module):
    """From uint8 images to four logits, by depthwise and pointwise convolutions."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, CHANNELS, 3, stride=2), nn.BatchNorm2d(CHANNELS), nn.ReLU6()]
        for _ in range(3):
            layers += [nn.Conv2d(CHANNELS, CHANNELS, 3, groups=CHANNELS), nn.ReLU6(), nn.Conv2d(CHANNELS, CHANNELS, 1), nn.ReLU6()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(CHANNELS, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.layers(images.float() / 127.5 - 1).mean((2, 3)))
        return logits


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (24, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("network") / "full.onnx"
    example = torch.zeros(2, 3, SIDE, SIDE, dtype=torch.uint8)
    shapes = ({0: torch.export.Dim("batch", min=1)},)
    torch.onnx.export(
        Network().eval(), (example,), file, input_names=["images"], output_names=["logits"], dynamic_shapes=shapes,
        dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip
    return file


def logits(file: Path, images: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"images": np.ascontiguousarray(images.transpose(0, 3, 1, 2))})[0]


def weights(file: Path) -> dict[int, int]:
    """Number of values of each type among the stored tensors."""
    counts: dict[int, int] = {}
    for tensor in onnx.load(file).graph.initializer:
        counts[tensor.data_type] = counts.get(tensor.data_type, 0) + int(np.prod(tensor.dims))
    return counts


def test_convolutions_but_the_first_ones_compute_in_int8_and_give_nearly_the_same(full, images, tmp_path):
    file = tmp_path / "small.onnx"
    quantize_convolutions(full, file, images)
    assert [path.name for path in tmp_path.iterdir()] == ["small.onnx"]
    convolutions = [node for node in onnx.load(file).graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 7
    in_int8 = [node.input[1].endswith("_DequantizeLinear_Output") for node in convolutions]
    assert in_int8 == [False] * FLOAT_CONVOLUTIONS + [True] * (7 - FLOAT_CONVOLUTIONS)
    expected = logits(full, images)
    assert logits(file, images) == pytest.approx(expected, abs=0.01 + 0.1 * float(expected.std()))
    assert weights(file)[onnx.TensorProto.INT8] >= 2 * CHANNELS * (CHANNELS + 9)


def test_a_picture_is_seen_the_same_in_any_company(full, images, tmp_path):
    quantize_convolutions(full, tmp_path / "small.onnx", images)
    together = logits(tmp_path / "small.onnx", images)
    alone = np.concatenate([logits(tmp_path / "small.onnx", image[None]) for image in images])
    assert together == pytest.approx(alone, abs=1e-5)


def test_large_tensors_are_stored_as_float16_and_computed_as_float32(full, images, tmp_path):
    file = tmp_path / "halved.onnx"
    halve_weights(full, file)
    stored = weights(file)
    assert stored[onnx.TensorProto.FLOAT16] >= 3 * CHANNELS * (CHANNELS + 9)
    assert file.stat().st_size < full.stat().st_size
    assert logits(file, images) == pytest.approx(logits(full, images), abs=5e-3)


class Products(nn.Module):
    """From ids to four logits, by matrix products into which one column goes that is far larger than the others."""

    def __init__(self, *, shared: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(PIECES, CHANNELS)
        self.register_buffer("size", torch.ones(CHANNELS).index_fill(0, torch.tensor(3), 60.0))
        self.first = nn.Linear(CHANNELS, CHANNELS, bias=False)
        self.second = self.first if shared else nn.Linear(CHANNELS, CHANNELS, bias=False)
        self.head = nn.Linear(CHANNELS, 4, bias=False)
        with torch.no_grad():
            self.first.weight[:, 3] = 0.01

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        pieces = self.embedding(ids) * self.size
        logits: torch.Tensor = self.head(self.second(self.first(pieces).tanh()).tanh() + self.first(pieces).tanh())
        return logits


def products(file: Path, *, shared: bool = False) -> Path:
    torch.manual_seed(0)
    shapes = ({0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("length", min=2, max=64)},)
    torch.onnx.export(
        Products(shared=shared).eval(), (torch.ones(2, 8, dtype=torch.long),), file, input_names=["ids"], output_names=["logits"],
        dynamic_shapes=shapes, dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip
    return file


@pytest.fixture
def texts():
    return [{"ids": np.random.default_rng(seed).integers(0, PIECES, (1, 6))} for seed in range(20)]


def answers(file: Path, texts) -> np.ndarray:
    session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["logits"], text)[0].ravel() for text in texts])


@pytest.mark.parametrize("shared", [False, True])
def test_smoothed_products_are_what_they_were(texts, tmp_path, shared):
    full = products(tmp_path / "full.onnx", shared=shared)
    smooth_products(full, tmp_path / "smooth.onnx", texts)
    onnx.checker.check_model(onnx.load(tmp_path / "smooth.onnx"), full_check=True)
    assert answers(tmp_path / "smooth.onnx", texts) == pytest.approx(answers(full, texts), abs=1e-4)
    assert (tmp_path / "smooth.onnx").read_bytes() != full.read_bytes()


def test_weights_that_are_looked_up_too_stay_what_they_are(tmp_path):
    table = np.random.default_rng(0).normal(size=(PIECES, PIECES)).astype(np.float32) * np.linspace(0.01, 100, PIECES, dtype=np.float32)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Gather", ["table", "ids"], ["pieces"]), onnx.helper.make_node("MatMul", ["pieces", "table"], ["logits"])],
        "tied",
        [onnx.helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, [1, None])],
        [onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [1, None, PIECES])],
        [onnx.numpy_helper.from_array(table, "table")],
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8), tmp_path / "full.onnx")
    texts = [{"ids": np.arange(PIECES)[None]}]
    smooth_products(tmp_path / "full.onnx", tmp_path / "smooth.onnx", texts)
    assert np.array_equal(answers(tmp_path / "smooth.onnx", texts), answers(tmp_path / "full.onnx", texts))


def test_a_column_of_large_values_costs_the_others_little_of_their_precision(texts, tmp_path):
    full = products(tmp_path / "full.onnx")
    quantize_transformer(full, tmp_path / "smoothed.onnx", texts)
    quantize_dynamic(full, tmp_path / "plain.onnx", weight_type=QuantType.QInt8, per_channel=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full.onnx", "plain.onnx", "smoothed.onnx"]
    assert weights(tmp_path / "smoothed.onnx")[onnx.TensorProto.INT8] == weights(tmp_path / "plain.onnx")[onnx.TensorProto.INT8]
    smoothed, plain = (np.abs(answers(tmp_path / f"{name}.onnx", texts) - answers(full, texts)).mean() for name in ("smoothed", "plain"))
    assert smoothed < plain / 3
