"""A release that is made in a moment and answers in a moment, for tests of what lies around the models."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from animal_cls.calibration import Calibration
from animal_ner.tags import TAGS
from verifier.asked import Asked
from verifier.release import FILES, MANIFEST, Manifest, digest

KINDS = ("cat", "dog", "owl")  # seen where a picture is red, green and blue
CLAIMS = {"cat": "B-PRESENT", "dog": "B-ABSENT", "owl": "B-EITHER"}  # wherever these words stand


def _save(nodes, inputs, outputs, constants, file):
    weights = [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)


def _save_tagger(tokenizer, file):
    """A table: each piece has its tag, whatever stands around it."""
    table = np.zeros((tokenizer.get_vocab_size(), len(TAGS)), dtype=np.float32)
    table[:, 0] = 5.0
    for word, tag in CLAIMS.items():
        table[tokenizer.token_to_id(word), TAGS.index(tag)] = 9.0
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in ("ids", "mask")]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "length", len(TAGS)])]
    _save([helper.make_node("Gather", ["table", "ids"], ["logits"])], inputs, outputs, {"table": table}, file)


def _save_classifier(file):
    """How much of each colour there is, against the others."""
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["colour"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["colour", "against"], ["logits"]),
    ]
    against = ((np.eye(3) - 0.5 * (1 - np.eye(3))) / 10).astype(np.float32)
    inputs = [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 3, 16, 16])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(KINDS)])]
    _save(nodes, inputs, outputs, {"against": against}, file)


@pytest.fixture(scope="session")
def tiny_release(tmp_path_factory, tokenizer):
    """Folder of a release that knows cats, dogs and owls by their colours."""
    folder = tmp_path_factory.mktemp("tiny") / "release"
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    _save_tagger(tokenizer, folder / "tagger.onnx")
    _save_classifier(folder / "classifier.onnx")
    manifest = Manifest(
        tags=TAGS,
        kinds=KINDS,
        size=16,
        window=64,
        calibration=Calibration(),
        reading=Calibration(),
        asked=Asked(),
        threshold=0.5,
        seen_from=0.5,
        sha256={name: digest((folder / name).read_bytes()) for name in FILES},
        training={},
    )
    (folder / MANIFEST).write_text(manifest.to_json())
    return folder
