"""The frames of a video that show a face best, and a picture of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import FaceError, InputError
from .boxes import FaceBox
from .cascade import find_faces
from .detectors import Detector, open_landmarks
from .face import crop_face
from .faces_picture import draw_row
from .insight import installed_detector
from .landmarks import draw_views
from .views import ChosenFrames, FrameFace, SeenFace, choose_frames, face_sharpness, yaw

#: Distance between the eyes of a frontal face over the side of its box from brows to chin.
_EYES_TO_SIDE = 0.45
_CROP = 112


@dataclass(frozen=True, slots=True, eq=False)
class TimedFrame:
    """A frame of a video.

    Attributes:
        index: its number from 0.   time: seconds.   pixels: (H, W, 3) uint8 RGB.
    """

    index: int
    time: float
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class BoxedFace:
    """A face without landmarks: how frontal it is, is how much it resembles its mirror image.

    Attributes:
        box: of the cascade.   frontality: 0 to 1.
    """

    box: FaceBox
    frontality: float

    @property
    def eye_distance(self) -> float:
        """Distance between the eyes, as a frontal face of this size has it, pixels."""
        return _EYES_TO_SIDE * self.box.width


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VideoFaces:
    """What was taken of a video.

    Attributes:
        chosen: the frames, best first.   pictures: their pixels, in the same order.
        seen: (H, W, 3) uint8 RGB: each frame with its face, number, time, sharpness and turn.
        looked_at: how many frames were looked at, and in how many of them the face was found.
    """

    chosen: ChosenFrames
    pictures: tuple[NDArray[np.uint8], ...]
    seen: NDArray[np.uint8]
    looked_at: tuple[int, int]

    def note(self) -> str:
        """A line for the user."""
        looked, found = self.looked_at
        return f"{self.chosen.note()} Looked at {looked}, found a face in {found}."


def choose_video_faces(
    frames: Iterable[TimedFrame], detector: Detector, number: int | None = None, count: int = 4
) -> VideoFaces:
    """Take the frames of a video that show the face from the front, sharp and large.

    With landmarks the turn of the head is measured in degrees. The cascade sees frontal faces alone; the most
    symmetric are taken. `auto` is SCRFD where it is installed, else the cascade; the picture says which.

    Args:
        frames: of the video, some of them or all.   detector: what finds the face.
        number: which face of each frame, 1 is the largest; None for the largest.   count: frames to take, 1 to 8.
    Raises:
        FaceError: no frame with a usable face; it holds the first frame.
        InputError, MissingDependencyError: the detector can not be used.
    """
    find = None if is_by_cascade(detector) else open_landmarks(detector)
    place = 0 if number is None else number - 1
    candidates: list[FrameFace] = []
    pictures: dict[int, NDArray[np.uint8]] = {}
    first: NDArray[np.uint8] | None = None
    looked = 0
    for frame in frames:
        looked += 1
        first = frame.pixels if first is None else first
        faces = (
            [_boxed(frame.pixels, box) for box in find_faces(frame.pixels)]
            if find is None
            else find(frame.pixels)
        )
        if place < len(faces):
            own = faces[place]
            candidates.append(FrameFace(frame.index, frame.time, own, _sharpness(frame.pixels, own)))
            pictures[frame.index] = frame.pixels
    if first is None:
        raise InputError("video: expected frames, got none. Use another video.")
    try:
        chosen = choose_frames(candidates, count)
    except InputError as error:
        raise FaceError(str(error), first) from error
    own_pictures = tuple(pictures[own.index] for own in chosen.frames)
    drawn = [
        draw_views(pixels, [_mark(own)], _mark(own))
        for pixels, own in zip(own_pictures, chosen.frames, strict=True)
    ]
    return VideoFaces(
        chosen=chosen,
        pictures=own_pictures,
        seen=draw_row(drawn, [_label(own) for own in chosen.frames]),
        looked_at=(looked, len(candidates)),
    )


def is_by_cascade(detector: Detector) -> bool:
    """Whether a choice means the cascade for a video: by name, or `auto` where SCRFD is not installed."""
    return detector.name == "cascade" or (detector.name == "auto" and installed_detector() is None)


def _boxed(image: NDArray[np.uint8], box: FaceBox) -> BoxedFace:
    crop = crop_face(image, box, _CROP, 1.0).mean(dim=0).numpy()
    own = crop - crop.mean()
    spread = float((own * own).sum())
    alike = float((own * own[:, ::-1]).sum()) / spread if spread > 0 else 0.0
    return BoxedFace(box, float(np.clip(alike, 0.0, 1.0)))


def _sharpness(image: NDArray[np.uint8], face: SeenFace | BoxedFace) -> float:
    if isinstance(face, SeenFace):
        return face_sharpness(image, face)
    grey = (crop_face(image, face.box, _CROP, 1.0).mean(dim=0).numpy().astype(np.float64) + 1) * 127.5
    inner = grey[1:-1, 1:-1]
    return float((grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner).var())


def _mark(own: FrameFace) -> SeenFace | FaceBox:
    assert isinstance(own.face, SeenFace | BoxedFace)
    return own.face if isinstance(own.face, SeenFace) else own.face.box


def _label(own: FrameFace) -> str:
    turn = (
        f"yaw {yaw(own.face.landmarks):+.0f} degrees"
        if isinstance(own.face, SeenFace)
        else f"symmetry {own.face.frontality:.2f}"
    )
    return f"frame {own.index}, {own.time:.2f} s\nsharpness {own.sharpness:.0f}, {turn}"
