"""A graph with the inputs and outputs of YuNet, for OpenCV's real decoder to run without its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

#: Places of the points from the middle of the face: right eye, left eye, nose, right and left corner of the mouth.
POINTS = ((-24, -16), (24, -16), (0, 8), (-20, 32), (20, 32))


def write_yunet(path: Path, side: int = 320) -> Path:
    """Write a detector for square pictures that sees one face, 80 x 120 around (176, 176), wherever it looks.

    Its eyes lie further right by 32 pixels for each unit of the mean of the network's first channel over 255.
    """
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    place = (side // 32) * 5 + 5
    rows = {
        "cls": [0.9],
        "obj": [0.9],
        "bbox": [0.5, 0.5, np.log(80 / 32), np.log(120 / 32)],
        "kps": (np.array(POINTS).flatten() / 32 + 0.5).tolist(),
    }
    first = onnx.numpy_helper.from_array(np.array([[[[1 / 255]], [[0]], [[0]]]], np.float32), "first")
    constants = [first]
    nodes = [
        helper.make_node("Conv", ["input", "first"], ["red"], kernel_shape=[1, 1]),
        helper.make_node("GlobalAveragePool", ["red"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["channel"], axis=1),
    ]
    outputs = []
    for part, own in rows.items():
        for stride in (8, 16, 32):
            count = (side // stride) ** 2
            values, moved = np.zeros((1, count, len(own)), np.float32), np.zeros((1, len(own)), np.float32)
            if stride == 32:
                values[0, place] = own
            if part == "kps":
                moved[0, [0, 2]] = 1.0
            name = f"{part}_{stride}"
            constants.append(onnx.numpy_helper.from_array(values, f"{name}_values"))
            constants.append(onnx.numpy_helper.from_array(moved, f"{name}_moved"))
            nodes.append(helper.make_node("Mul", [f"{name}_moved", "channel"], [f"{name}_shift"]))
            nodes.append(helper.make_node("Add", [f"{name}_values", f"{name}_shift"], [name]))
            outputs.append(helper.make_tensor_value_info(name, kinds.FLOAT, values.shape))
    picture = helper.make_tensor_value_info("input", kinds.FLOAT, [1, 3, side, side])
    graph = helper.make_graph(nodes, "yunet", [picture], outputs, constants)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path
