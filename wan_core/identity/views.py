"""Photographs and video frames of a person: which face is meant, how well it is seen, and which views to use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from .alignment import align_face

MAX_PHOTOS = 8
#: Least distance between the eyes of a usable face, pixels: an ArcFace crop then is enlarged four times.
LEAST_EYE_DISTANCE = 9.0
#: From this frontality on a face counts as seen from the front, below it as a profile.
LEAST_FRONTALITY = 0.35
#: Photographs of one person have cosine similarities far above this in ArcFace, different persons stay below.
SAME_PERSON = 0.3
#: Distance between the eyes over how far the tip of the nose stands out.
_EYES_TO_NOSE = 2.06


@dataclass(frozen=True, slots=True, eq=False)
class SeenFace:
    """A face that a detector found.

    Attributes:
        landmarks: (5, 2), eyes, tip of the nose and corners of the mouth (left and right as seen), pixels.
        left, top, width, height: its box, pixels.   score: of the detector, (0, 1].
    """

    landmarks: NDArray[np.float32]
    left: float
    top: float
    width: float
    height: float
    score: float = 1.0

    @property
    def eye_distance(self) -> float:
        """Distance between the eyes, pixels."""
        return float(np.linalg.norm(self.landmarks[1] - self.landmarks[0]))

    @property
    def frontality(self) -> float:
        """How far it looks at the camera: 1 from the front, 0 from the side."""
        return frontality(self.landmarks)


@dataclass(frozen=True, slots=True, eq=False)
class CombinedFace:
    """Several photographs of one person as one embedding.

    Attributes:
        embedding: (1, 1, D), of length 1, as `prepare_lynx` takes it.
        used: numbers of the photographs in it, from 1.
        outliers: number of each that is left out, and its mean similarity to those in it.
        similarities: of each photograph to the embedding.
        same_person: what was expected of one person.
    """

    embedding: Tensor
    used: tuple[int, ...]
    outliers: tuple[tuple[int, float], ...]
    similarities: tuple[float, ...]
    same_person: float = SAME_PERSON

    def notes(self) -> tuple[str, ...]:
        """Lines for the user about photographs that are left out."""
        return tuple(
            f"photo {number} is left out: it resembles the others by {similarity:.2f} only (at least "
            f"{self.same_person:.2f} is expected of one person)."
            for number, similarity in self.outliers
        )


class RatedFace(Protocol):
    """What `choose_frames` asks of a face; a `SeenFace` knows it."""

    @property
    def eye_distance(self) -> float:
        """Distance between the eyes, pixels."""
        ...

    @property
    def frontality(self) -> float:
        """How far it looks at the camera: 1 from the front, 0 from the side."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class FrameFace:
    """The face of the person in one frame of a video.

    Attributes:
        index: number of the frame, from 0.   time: seconds.   face: see `SeenFace`.   sharpness: of `face_sharpness`.
    """

    index: int
    time: float
    face: RatedFace
    sharpness: float


@dataclass(frozen=True, slots=True, eq=False)
class ChosenFrames:
    """The frames taken of a video, best first, and their scores in (0, 1]."""

    frames: tuple[FrameFace, ...]
    scores: tuple[float, ...]

    def note(self) -> str:
        """A line for the user that names them."""
        names = ", ".join(f"{own.index} ({own.time:.2f} s)" for own in self.frames)
        return f"frames used of the video: {names}."


def frontality(landmarks: NDArray[np.floating]) -> float:
    """How far a face looks at the camera, from its five landmarks; turning, nodding and leaning apart.

    Measured in the face's own axes: the tip of the nose lies between eyes and mouth of a face seen from the front, and
    moves out of the middle as the head turns; of a profile the eyes nearly coincide.

    Args:
        landmarks: (5, 2).
    Returns:
        1 from the front, 0 from the side.
    """
    points = landmarks.astype(np.float64)
    eyes, mouth = (points[0] + points[1]) / 2, (points[3] + points[4]) / 2
    height = float(np.linalg.norm(mouth - eyes))
    if height < 1e-6:
        return 0.0
    down = (mouth - eyes) / height
    across = np.array([down[1], -down[0]])
    width = float((points[1] - points[0]) @ across)
    if width <= 0.0:
        return 0.0
    aside = abs(float((points[2] - (eyes + mouth) / 2) @ across)) / width
    # of the ArcFace template: width / height is 0.87, of a face turned by 60 degrees about half of it
    narrow = min(1.0, width / height / 0.75)
    return float(np.clip(1.0 - 2.0 * aside, 0.0, 1.0) * narrow)


def yaw(landmarks: NDArray[np.floating]) -> float:
    """How far a face is turned aside, degrees: of the same offset of the nose as `frontality`, over a usual nose.

    Args:
        landmarks: (5, 2).
    Returns:
        0 from the front, more than 0 towards the right of the picture; rough, and 90 at most.
    """
    points = landmarks.astype(np.float64)
    eyes, mouth = (points[0] + points[1]) / 2, (points[3] + points[4]) / 2
    down = mouth - eyes
    height = float(np.linalg.norm(down))
    if height < 1e-6:
        return 0.0
    across = np.array([down[1], -down[0]]) / height
    aside = float((points[2] - (eyes + mouth) / 2) @ across)
    width = float((points[1] - points[0]) @ across)
    return float(np.degrees(np.arctan2(aside * _EYES_TO_NOSE, max(width, 1e-6))))


def face_sharpness(image: NDArray[np.uint8], face: SeenFace) -> float:
    """How sharp a face is: variance of the Laplacian of its aligned crop's luminance.

    Args:
        image: (H, W, 3) uint8 RGB.
    Returns:
        0 or more; comparable between frames of one video. Enlarging a small face makes it less sharp.
    """
    crop = align_face(image, face.landmarks).astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    inner = crop[1:-1, 1:-1]
    laplacian = crop[:-2, 1:-1] + crop[2:, 1:-1] + crop[1:-1, :-2] + crop[1:-1, 2:] - 4 * inner
    return float(laplacian.var())


def choose_view(faces: Sequence[SeenFace], number: int | None = None, *, where: str = "photo") -> SeenFace:
    """Take the face that is meant, or say why none can be used.

    Args:
        faces: of one picture.   number: which one, 1 is the largest; None where there is only one.
        where: what errors call the picture.
    Raises:
        InputError: no face, several without a choice, no such number, too small, or a profile.
    """
    ordered = sorted(faces, key=lambda face: face.width * face.height, reverse=True)
    if not ordered:
        raise InputError(
            f"{where}: expected a face, got none found. Use a photo in good light that shows the face from the front."
        )
    if number is None and len(ordered) > 1:
        places = "; ".join(
            f"{i} at ({face.left:.0f}, {face.top:.0f}), {face.width:.0f}x{face.height:.0f}"
            for i, face in enumerate(ordered, 1)
        )
        raise InputError(
            f"{where}: expected one face or a choice, got {len(ordered)} faces ({places}). Give the number of the face."
        )
    if number is not None and not 1 <= number <= len(ordered):
        raise InputError(
            f"{where}: expected a face from 1 to {len(ordered)} (1 is the largest), got {number}. Correct the number."
        )
    face = ordered[0 if number is None else number - 1]
    check_view(face, where=where)
    return face


def check_view(face: SeenFace, *, where: str = "photo") -> None:
    """Refuse a face that no encoder can use.

    Args:
        face: the one that is meant.   where: what errors call the picture.
    Raises:
        InputError: it is too small, or a profile.
    """
    if face.eye_distance < LEAST_EYE_DISTANCE and face.frontality >= LEAST_FRONTALITY:
        raise InputError(
            f"{where}: expected at least {LEAST_EYE_DISTANCE:.0f} pixels between the eyes, got "
            f"{face.eye_distance:.1f}. Use a larger picture or one that is closer to the face."
        )
    if face.frontality < LEAST_FRONTALITY:
        raise InputError(
            f"{where}: expected a face seen from the front (frontality {LEAST_FRONTALITY} or more), got a profile "
            f"({face.frontality:.2f}). Use a photo that looks towards the camera."
        )


def combine_embeddings(embeddings: Tensor, same_person: float = SAME_PERSON) -> CombinedFace:
    """Make one embedding of 1 to 8 photographs, leaving out those that show somebody else.

    The photograph that resembles the others most decides who is meant; those whose similarity to it is below
    `same_person` are outliers. The rest is averaged and brought to length 1.

    Args:
        embeddings: (N, D) of a recogniser, one a photograph.
        same_person: least cosine similarity of two photographs of one person; the default is ArcFace's.
    Raises:
        InputError: none or more than 8, numbers that are not finite, or no majority for one person.
    """
    count = embeddings.shape[0] if embeddings.ndim == 2 else 0
    if not 1 <= count <= MAX_PHOTOS:
        raise InputError(
            f"photos: expected 1 to {MAX_PHOTOS} of one person, got {count}. Choose the best of them."
        )
    if not bool(torch.isfinite(embeddings).all()) or bool((embeddings.norm(dim=1) < 1e-6).any()):
        raise InputError(
            "photos: expected embeddings of finite length, got others. Check the recogniser's weights."
        )
    units = torch.nn.functional.normalize(embeddings.double(), dim=1)
    alike = units @ units.T
    middle = int(alike.sum(dim=1).argmax())
    is_kept = alike[middle] >= same_person
    kept = [i for i in range(count) if bool(is_kept[i])]
    if 2 * len(kept) <= count and count > 1:
        pairs = ", ".join(f"{float(alike[middle, i]):.2f}" for i in range(count) if i != middle)
        raise InputError(
            f"photos: expected most of them to show one person, got similarities {pairs} to photo {middle + 1}. "
            "Remove the photos of others."
        )
    mean = torch.nn.functional.normalize(units[kept].mean(dim=0), dim=0)
    outliers = tuple((i + 1, float(alike[i, kept].mean())) for i in range(count) if i not in kept)
    return CombinedFace(
        embedding=mean.to(embeddings.dtype).view(1, 1, -1),
        used=tuple(i + 1 for i in kept),
        outliers=outliers,
        similarities=tuple(float(value) for value in units @ mean),
        same_person=same_person,
    )


def choose_frames(candidates: Sequence[FrameFace], count: int = 4, least_gap: float = 0.25) -> ChosenFrames:
    """Take the frames of a video that show the face best: from the front, sharp, large.

    A frame's score is frontality x sharpness x size, the latter two relative to the best frame of the video. Frames
    closer in time than `least_gap` show the same moment, so only the better one is taken.

    Args:
        candidates: frames in which the person's face was found.   count: how many at most, 1 to 8.
        least_gap: seconds between two of them.
    Raises:
        InputError: no frame with a face, or in all of them it is too small or in profile.
    """
    if not 1 <= count <= MAX_PHOTOS:
        raise InputError(f"frames: expected to choose 1 to {MAX_PHOTOS}, got {count}. Correct the number.")
    if not candidates:
        raise InputError("video: expected frames with a face, got none. Use a video that shows the face.")
    large = [own for own in candidates if own.face.eye_distance >= LEAST_EYE_DISTANCE]
    usable = [own for own in large if own.face.frontality >= LEAST_FRONTALITY]
    if not usable:
        why = (
            "a profile in all of them"
            if large or _all_turned(candidates)
            else "too small a face in all of them"
        )
        raise InputError(
            f"video: expected a frame that shows the face large and from the front, got {why} ({len(candidates)} "
            "frames with a face). Use a video in which the person looks towards the camera."
        )
    sharpest = max(own.sharpness for own in usable) or 1.0
    widest = max(own.face.eye_distance for own in usable)
    scored = sorted(
        (
            (own.face.frontality * own.sharpness / sharpest * own.face.eye_distance / widest, own)
            for own in usable
        ),
        key=lambda pair: (-pair[0], pair[1].index),
    )
    chosen: list[tuple[float, FrameFace]] = []
    for score, own in scored:
        if len(chosen) < count and all(abs(own.time - other.time) >= least_gap for _, other in chosen):
            chosen.append((score, own))
    return ChosenFrames(tuple(own for _, own in chosen), tuple(score for score, _ in chosen))


def _all_turned(candidates: Sequence[FrameFace]) -> bool:
    return all(own.face.frontality < LEAST_FRONTALITY for own in candidates)
