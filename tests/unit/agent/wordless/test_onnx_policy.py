"""ONNX files as people have them: layouts, states, fixed and free rows, and what is refused by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper  # noqa: E402

from agent.wordless.onnx_policy import OnnxPolicy  # noqa: E402
from agent.wordless.parts import OnnxPart  # noqa: E402

SHAPE = (4, 5, 3)
STATE: dict[str, Any] = {"state": ({"input": "h", "output": "h_next"},), "state_bytes": 8}


def write(path: Path, *, rows: Any = "rows", nan: bool = False) -> Path:
    """h (1, rows, 2) counts the mean of the pixels; the logits are h, and the value is the first of them.

    Channels first, float pixels.
    """
    axes = helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3])
    squeeze = helper.make_tensor("squeeze", TensorProto.INT64, [1], [0])
    one = helper.make_tensor("one", TensorProto.FLOAT, [1, 1, 2], [1.0, float("nan") if nan else 2.0])
    shape = helper.make_tensor("shape", TensorProto.INT64, [3], [1, -1, 1])
    zero = helper.make_tensor("zero", TensorProto.INT64, [1], [0])
    nodes = [
        helper.make_node("ReduceMean", ["obs", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "shape"], ["column"]),
        helper.make_node("Mul", ["column", "one"], ["both"]),
        helper.make_node("Add", ["h", "both"], ["h_next"]),
        helper.make_node("Squeeze", ["h_next", "squeeze"], ["logits"]),
        helper.make_node("Gather", ["logits", "zero"], ["value"], axis=1),
    ]
    inputs = [
        helper.make_tensor_value_info("obs", TensorProto.FLOAT, [rows, 3, 4, 5]),
        helper.make_tensor_value_info("h", TensorProto.FLOAT, [1, rows, 2]),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("logits", "value", "h_next")]
    graph = helper.make_graph(nodes, "policy", inputs, outputs, [axes, squeeze, one, shape, zero])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def part(**changes: Any) -> OnnxPart:
    fields: dict[str, Any] = {
        **{"kind": "onnx", "file": "p.onnx", "frame": "obs", "layout": "CHW", "scale": 255.0},
        **{"parameters": ("logits",), "value": "value", **STATE},
    }
    return OnnxPart.model_validate(fields | changes)


@pytest.mark.parametrize("rows", ["rows", 1])
def test_rows_do_not_touch_each_other_however_they_are_run(tmp_path: Path, rows: Any) -> None:
    policy = OnnxPolicy(write(tmp_path / "p.onnx", rows=rows), part(), shape=SHAPE, row=2)
    white, black = np.full(SHAPE, 255, np.uint8), np.zeros(SHAPE, np.uint8)
    states = [b"", b""]
    for step in range(3):
        decided = policy.decide([(white, states[0]), (black, states[1])])
        assert not any(isinstance(one, Exception) for one in decided)
        rows_of: Any = decided
        assert rows_of[0][0].tolist() == pytest.approx([step + 1, 2 * (step + 1)])
        assert rows_of[0][1] == pytest.approx(step + 1)
        assert rows_of[1][0].tolist() == [0, 0]
        states = [one[2] for one in rows_of]
        assert [len(state) for state in states] == [8, 8]


@pytest.mark.parametrize(
    ("changes", "row", "text"),
    [
        ({"frame": "image"}, 2, "expected the inputs 'h', 'image', the file has 'h', 'obs'"),
        ({"parameters": ("policy",)}, 2, "expected the output 'policy', the file has 'h_next', 'logits', 'value'"),
        ({"layout": "HWC"}, 2, r"expected uint8 or float of \('rows', 4, 5, 3\)"),
        ({"state_bytes": 12}, 2, "policy.state_bytes: expected 8, got 12"),
        ({}, 3, "expected 3 numbers for the actions, got 2"),
    ],
)
def test_what_does_not_fit_is_refused_with_both_sides(tmp_path: Path, changes: dict[str, Any], row: int, text: str) -> None:
    path = write(tmp_path / "p.onnx")
    with pytest.raises(ValueError, match=text):
        OnnxPolicy(path, part(**changes), shape=SHAPE, row=row)


def test_no_onnx_file_and_no_numbers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "junk.onnx").write_bytes(b"junk" * 100)
    with pytest.raises(ValueError, match="it is no ONNX file that can be run"):
        OnnxPolicy(tmp_path / "junk.onnx", part(), shape=SHAPE, row=2)
    with pytest.raises(ValueError, match="not finite"):
        OnnxPolicy(write(tmp_path / "nan.onnx", nan=True), part(), shape=SHAPE, row=2)
