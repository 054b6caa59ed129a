"""Of a video the frames that show the face best are taken, and shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data
from yunet_graph import write_yunet

from wan_core.errors import FaceError, InputError
from wan_core.identity import video_faces
from wan_core.identity.detectors import Detector
from wan_core.identity.video_faces import BoxedFace, TimedFrame, choose_video_faces, is_by_cascade
from wan_core.identity.views import SeenFace

CASCADE = Detector(name="cascade")


def blurred(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows = sum(np.roll(image.astype(np.float64), step, 0) for step in range(-3, 4)) / 7
    return (sum(np.roll(rows, step, 1) for step in range(-3, 4)) / 7).astype(np.uint8)


def test_sharp_frames_are_taken_by_the_cascade() -> None:
    face = data.astronaut()[20:220, 130:330]
    empty = np.full_like(face, 90)
    frames = [
        TimedFrame(number, number * 0.5, pixels) for number, pixels in enumerate((empty, blurred(face), face))
    ]
    found = choose_video_faces(frames, CASCADE, count=1)
    assert [own.index for own in found.chosen.frames] == [2]
    assert np.array_equal(found.pictures[0], face)
    assert found.looked_at == (3, 2)
    assert found.note() == "frames used of the video: 2 (1.00 s). Looked at 3, found a face in 2."
    own = found.chosen.frames[0].face
    assert isinstance(own, BoxedFace) and own.frontality > 0.4
    # the sheet holds the picture, its box in green, and two lines of text below
    assert found.seen.shape == (364, 320, 3)
    is_green = np.abs(found.seen.astype(int) - (0, 220, 90)).max(axis=-1) < 60
    assert is_green.sum() > 100 and found.seen[330:].max() > 200


def test_profile_frames_are_left_out_by_landmarks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    front = np.array([[30, 30], [70, 30], [50, 50], [34, 74], [66, 74]], np.float32)
    rng = np.random.default_rng(0)
    frames = [TimedFrame(n, n * 1.0, rng.integers(0, 255, (120, 120, 3)).astype(np.uint8)) for n in range(3)]
    side, turned = front.copy(), front.copy()
    side[:, 0] = 30 + (side[:, 0] - 30) * 0.1
    turned[2, 0] += 6
    by_frame = [SeenFace(points, 10.0, 5.0, 90.0, 100.0) for points in (side, turned, front)]
    seen = iter(by_frame)
    monkeypatch.setattr(video_faces, "open_landmarks", lambda _: lambda _image: [next(seen)])
    detector = Detector(name="yunet", model=write_yunet(tmp_path / "yunet.onnx"))
    found = choose_video_faces(frames, detector, count=2)
    assert {own.index for own in found.chosen.frames} == {1, 2}


def test_no_usable_frame_shows_the_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    image = np.full((80, 80, 3), 50, np.uint8)
    with pytest.raises(FaceError, match="video: expected frames with a face, got none") as caught:
        choose_video_faces([TimedFrame(0, 0.0, image)], CASCADE)
    assert np.array_equal(caught.value.picture, image)
    with pytest.raises(InputError, match="video: expected frames, got none"):
        choose_video_faces([], CASCADE)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert is_by_cascade(Detector()) and is_by_cascade(CASCADE) and not is_by_cascade(Detector(name="scrfd"))
