"""insightface is asked only where it is installed, and what it finds becomes a crop of the usual framing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wan_core.identity import insight, read_face
from wan_core.identity.insight import detect, installed_detector


def _write_detector(path: Path) -> Path:
    """A graph with the inputs and outputs of SCRFD that sees one face wherever it looks.

    At stride 32, anchor 105 stands at (160, 160) of 640 x 640: 40 to its left and right, 60 above and below.
    """
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes, outputs, constants = [], [], []
    for part, width in (("score", 1), ("box", 4), ("points", 10)):
        for stride in (8, 16, 32):
            values = np.zeros(((640 // stride) ** 2 * 2, width), np.float32)
            if stride == 32:
                place = (5 * 20 + 5) * 2
                values[place] = {"score": [0.9], "box": [1.25, 1.875, 1.25, 1.875], "points": [0.0] * 10}[
                    part
                ]
            name = f"{part}{stride}"
            constants.append(onnx.numpy_helper.from_array(values, f"{name}_values"))
            # The sum with 0 * mean of the input makes the output depend on the picture, as a network's does.
            nodes.append(helper.make_node("Add", [f"{name}_values", "nothing"], [name]))
            outputs.append(helper.make_tensor_value_info(name, kinds.FLOAT, values.shape))
    nodes[:0] = [
        helper.make_node("ReduceMean", ["input"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    constants.append(onnx.numpy_helper.from_array(np.zeros((), np.float32), "zero"))
    picture = helper.make_tensor_value_info("input", kinds.FLOAT, [1, 3, 640, 640])
    graph = helper.make_graph(nodes, "scrfd", [picture], outputs, constants)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def test_nothing_is_used_where_nothing_is_installed(tmp_path: Path) -> None:
    assert installed_detector(tmp_path) is None


def test_model_without_the_package_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".insightface" / "models" / "buffalo_l").mkdir(parents=True)
    model = tmp_path / ".insightface" / "models" / "buffalo_l" / "det_10g.onnx"
    model.write_bytes(b"")
    monkeypatch.setattr(insight, "find_spec", lambda name: None if name == "insightface" else object())
    assert installed_detector(tmp_path) is None
    monkeypatch.setattr(insight, "find_spec", lambda _: object())
    assert installed_detector(tmp_path) == model


def test_installed_insightface_finds_the_face_that_the_cascade_misses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("insightface")
    model = _write_detector(tmp_path / ".insightface" / "models" / "buffalo_x" / "det_1g.onnx")
    image = np.full((320, 320, 3), 90, np.uint8)
    (face,) = detect(image, model)
    # The picture is scaled by 2 to 640, so the box is 40 x 60 around (80, 80); a square of 0.8 x 60, a little lower.
    assert face[:4] == pytest.approx((56, 59, 48, 48), abs=1)
    assert face[4] == pytest.approx(0.9, abs=1e-3)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    crop = read_face(image)
    assert crop.box.left == pytest.approx(56, abs=1)
    assert crop.notes == ("the face was found by insightface (buffalo_x), not by the cascade.",)
