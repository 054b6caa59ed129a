"""A detector is the one that was asked for; the same face gives the same framing by all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scrfd_graph import write_landmark_detector
from yunet_graph import write_yunet

from wan_core.errors import FaceError, InputError, MissingDependencyError
from wan_core.identity import detectors, read_face
from wan_core.identity.detectors import Detector, box_of, detectors_here, find_boxes, open_landmarks
from wan_core.identity.views import SeenFace

IMAGE = np.zeros((320, 320, 3), np.uint8)


def test_choices_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected one of auto, scrfd, yunet, cascade, got 'mtcnn'"):
        Detector(name="mtcnn")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="yunet: expected the file of its model, got none"):
        Detector(name="yunet")
    with pytest.raises(InputError, match="cascade: expected no model, got"):
        Detector(name="cascade", model=tmp_path)
    with pytest.raises(InputError, match="expected one that gives landmarks"):
        open_landmarks(Detector(name="cascade"))


def test_what_was_chosen_is_used(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    pytest.importorskip("insightface")
    yunet = Detector(name="yunet", model=write_yunet(tmp_path / "yunet.onnx"))
    scrfd = Detector(name="scrfd", model=write_landmark_detector(tmp_path / "det_1g.onnx"))
    assert find_boxes(IMAGE, Detector(name="cascade")).boxes == []
    (by_yunet,), notes = find_boxes(IMAGE, yunet)
    assert notes == () and by_yunet.landmarks is not None
    assert (by_yunet.left, by_yunet.width) == pytest.approx((128, 96), abs=0.5)
    (by_scrfd,), notes = find_boxes(IMAGE, scrfd)
    assert notes == () and (by_scrfd.left, by_scrfd.width) == pytest.approx((56, 48), abs=0.5)
    assert read_face(IMAGE, detector=yunet).box == by_yunet


def test_missing_detector_is_an_error_and_not_another_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    with pytest.raises(MissingDependencyError, match="pip install insightface onnxruntime"):
        find_boxes(IMAGE, Detector(name="scrfd"))


def test_profiles_and_small_faces_are_refused_with_a_picture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("cv2")
    front = np.array([[30, 30], [70, 30], [50, 50], [34, 74], [66, 74]], np.float32)
    side = front.copy()
    side[:, 0] = 30 + (side[:, 0] - 30) * 0.2
    detector = Detector(name="yunet", model=tmp_path / "any.onnx")
    for points, message in ((side, "got a profile"), (front / 8, "pixels between the eyes")):
        face = SeenFace(points, 30.0, 30.0, 80.0, 90.0)
        monkeypatch.setattr(detectors, "open_yunet", lambda _, own=face: lambda _image: [own])
        with pytest.raises(FaceError, match=message) as caught:
            read_face(IMAGE, detector=detector)
        assert caught.value.picture.any()


def test_framing_is_from_the_brows_to_the_chin() -> None:
    box = box_of(SeenFace(np.zeros((5, 2), np.float32), 100.0, 100.0, 60.0, 100.0, 0.7))
    assert (box.left, box.top, box.width, box.height, box.score) == (90.0, 115.0, 80.0, 80.0, 0.7)


def test_what_is_here_and_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    states = {state.name: state for state in detectors_here(tmp_path)}
    assert states["cascade"].is_ready and not states["scrfd"].is_ready
    assert "missing" in states["scrfd"].detail and "--detector-model" in states["yunet"].detail
    monkeypatch.setattr(detectors, "missing_packages", lambda: ("insightface",))
    monkeypatch.setattr(detectors, "has_opencv", lambda: False)
    states = {state.name: state for state in detectors_here(tmp_path)}
    assert "pip install insightface" in states["scrfd"].detail
    assert "pip install opencv-python-headless" in states["yunet"].detail
