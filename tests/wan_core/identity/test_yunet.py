"""YuNet through OpenCV's real decoder, with a graph in place of its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from yunet_graph import POINTS, write_yunet

from wan_core.errors import InputError, MissingDependencyError
from wan_core.identity import yunet
from wan_core.identity.yunet import open_yunet


def test_box_landmarks_and_order_of_colours(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    find = open_yunet(write_yunet(tmp_path / "face_detection_yunet.onnx"))
    image = np.zeros((320, 320, 3), dtype=np.uint8)
    (face,) = find(image)
    assert (face.left, face.top, face.width, face.height) == pytest.approx((136, 116, 80, 120), abs=0.5)
    assert face.score == pytest.approx(0.9, abs=0.01)
    assert face.landmarks == pytest.approx(np.array(POINTS) + 176.0, abs=0.5)
    image[..., 2] = 255  # blue, which comes first for OpenCV
    (blue,) = find(image)
    assert blue.landmarks[0, 0] - face.landmarks[0, 0] == pytest.approx(32, abs=0.5)


def test_large_pictures_are_scaled_and_the_places_scaled_back(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    find = open_yunet(write_yunet(tmp_path / "face_detection_yunet.onnx", 640))
    (face,) = find(np.zeros((1280, 1280, 3), dtype=np.uint8))
    assert (face.left, face.top, face.width, face.height) == pytest.approx((272, 232, 160, 240), abs=1)


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    with pytest.raises(InputError, match="expected its model face_detection_yunet_2023mar.onnx, got no file"):
        open_yunet(tmp_path / "none.onnx")
    (tmp_path / "other.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match="got a model that OpenCV can not use"):
        open_yunet(tmp_path / "other.onnx")
    monkeypatch.setattr(yunet, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match="Run: pip install opencv-python-headless"):
        open_yunet(tmp_path / "none.onnx")
