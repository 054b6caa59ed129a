from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scrfd_graph import write_landmark_detector

from wan_core.errors import InputError, MissingDependencyError
from wan_core.identity.insight import installed_detector
from wan_core.identity.landmarks import draw_views, find_views
from wan_core.identity.views import SeenFace


def face(left: float, side: float) -> SeenFace:
    points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], dtype=np.float32)
    return SeenFace(points * np.float32(side) + np.float32([left, 10]), left, 10.0, side, side)


def test_picture_shows_boxes_landmarks_and_the_choice() -> None:
    image = np.zeros((80, 160, 3), dtype=np.uint8)
    faces = [face(100, 30), face(10, 60)]
    found = draw_views(image, faces, faces[1])
    assert not image.any()
    assert found[10, 40].tolist() == [0, 220, 90]
    assert found[10, 125].tolist() == [255, 196, 0]
    for own in faces:
        assert all(
            found[round(float(y)), round(float(x))].tolist() == [255, 40, 40] for x, y in own.landmarks
        )


def test_without_a_detector_the_error_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    with pytest.raises(MissingDependencyError, match="Run: pip install insightface onnxruntime"):
        find_views(np.zeros((8, 8, 3), dtype=np.uint8))
    with pytest.raises(InputError, match=r"photo: expected \(H, W, 3\) uint8"):
        find_views(np.zeros((8, 8), dtype=np.uint8))


def test_landmarks_and_the_order_of_colours(tmp_path: Path) -> None:
    pytest.importorskip("insightface")
    model = write_landmark_detector(tmp_path / "det_10g.onnx")
    image = np.zeros((320, 320, 3), dtype=np.uint8)
    image[..., 0] = 255  # red
    moved: list[float] = []
    for is_lynx in (False, True):
        (found,) = find_views(image, model, is_lynx=is_lynx)
        # the picture is scaled by 2 to 640: the box is 40 x 60 around (80, 80)
        assert (found.left, found.top, found.width, found.height) == pytest.approx((60, 50, 40, 60), abs=0.5)
        assert np.ptp(found.landmarks[:2, 0]) == pytest.approx(24, abs=0.1)
        assert found.landmarks[:, 1].tolist() == pytest.approx([72, 72, 84, 96, 96], abs=0.1)
        moved.append(float(found.landmarks[2, 0]) - 80)
    # the network's first channel is red as it is made, and blue as Lynx calls it
    assert moved == pytest.approx([16, -16], abs=0.3)


@pytest.mark.weights
def test_astronaut_is_found_with_an_installed_model() -> None:
    from skimage.data import astronaut

    if installed_detector() is None:
        pytest.skip("no detection model of insightface is installed")
    for is_lynx in (False, True):
        found = find_views(astronaut(), is_lynx=is_lynx)
        assert len(found) == 1
        assert 150 < found[0].landmarks[:, 0].mean() < 300 and found[0].frontality > 0.5
