"""A graph with the inputs and outputs of SCRFD, for the real insightface to run without its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


def write_landmark_detector(path: Path) -> Path:
    """Write a detector that sees one face wherever it looks, with landmarks that move with the first colour channel.

    At stride 32, anchor 105 stands at (160, 160) of 640 x 640: its box reaches 40 to the left and right and 60 up and
    down. Its landmarks lie at (-24, -16), (24, -16), (0, 8), (-20, 32), (20, 32) from there, and 32 pixels further
    right for each unit of the mean of the network's first channel (which is -1 for black and 1 for white).
    """
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    number = {"score": [0.9], "box": [1.25, 1.875, 1.25, 1.875]}
    number["points"] = (np.array([-24, -16, 24, -16, 0, 8, -20, 32, 20, 32]) / 32).tolist()
    across = onnx.numpy_helper.from_array(np.array([1, 0] * 5, np.float32), "across")
    first = onnx.numpy_helper.from_array(np.array([1, 0, 0], np.float32), "first")
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["means"], axes=[0, 2, 3], keepdims=0),
        helper.make_node("Mul", ["means", "first"], ["masked"]),
        helper.make_node("ReduceSum", ["masked"], ["channel"], keepdims=0),
        helper.make_node("Mul", ["across", "channel"], ["moved"]),
        helper.make_node("ReduceMean", ["moved"], ["any"], keepdims=0),
        helper.make_node("Sub", ["any", "any"], ["nothing"]),
    ]
    outputs, constants = [], [across, first]
    for part, width in (("score", 1), ("box", 4), ("points", 10)):
        for stride in (8, 16, 32):
            values = np.zeros(((640 // stride) ** 2 * 2, width), np.float32)
            if stride == 32:
                values[(5 * 20 + 5) * 2] = number[part]
            name = f"{part}{stride}"
            constants.append(onnx.numpy_helper.from_array(values, f"{name}_values"))
            extra = "moved" if part == "points" else "nothing"
            nodes.append(helper.make_node("Add", [f"{name}_values", extra], [name]))
            outputs.append(helper.make_tensor_value_info(name, kinds.FLOAT, values.shape))
    picture = helper.make_tensor_value_info("input", kinds.FLOAT, [1, 3, 640, 640])
    graph = helper.make_graph(nodes, "scrfd", [picture], outputs, constants)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path
