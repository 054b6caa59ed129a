"""Who is in a frame: ways to find faces and to compare them, each chosen by name and named in the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..errors import InputError
from ..identity.alignment import align_face, face_template
from ..identity.arcface import CROP_SIZE, ArcFace, face_input
from ..identity.boxes import FaceBox
from ..identity.cascade import find_faces
from ..identity.detectors import Detector, box_of, open_landmarks
from ..identity.encoder import FaceEncoder
from ..identity.face import FaceChoice, choose_face, crop_face, read_face, whole_face
from ..identity.views import SeenFace
from ..report import HeadPose, SimilarityScale, head_pose
from ..report.colours import CLIP_FRAMING, REFERENCE_FRAMING

NANO_SCALE = SimilarityScale(
    encoder="nano's own face encoder, the one that made the tokens: a hint, no independent judge",
    same=0.97,
    strangers=0.74,
    basis="measured on 48 people of nano's world, a portrait against a frame of a true clip",
)
ARCFACE_SCALE = SimilarityScale(
    encoder="ArcFace (facexlib IR-SE-50, the recogniser that Lynx was trained with: no independent judge of Lynx)",
    same=0.6,
    strangers=0.05,
    basis="usual figures of photographs, not measured here",
)
_BATCH = 32
#: Brows to chin and cheek to cheek, in widths of the face around its middle: half the height and half the width.
_INNER = (0.5, 0.43)
#: The same in an ArcFace crop of 112 pixels.
_INNER_ALIGNED = (slice(36, 104), slice(28, 84))

WITHOUT_LANDMARKS = ("auto", "cascade")
"""Detectors for nano's encoder that give boxes alone."""
FindViews = Callable[[NDArray[np.uint8]], Sequence[SeenFace]]
FindBoxes = Callable[[NDArray[np.uint8]], Sequence[FaceBox]]


@dataclass(frozen=True, slots=True, eq=False)
class FoundFace:
    """A face in a frame.

    Attributes:
        embedding: (D,).   picture: (3, S, S) in [-1, 1], of the scale of the reference's inner face.
        width: share of the frame's shorter side, or None.   pose: or None.
        aligned: (3, 112, 112), aligned by landmarks, or None without any.
    """

    embedding: Tensor
    picture: Tensor
    width: float | None = None
    pose: HeadPose | None = None
    aligned: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceFace:
    """The face of a character.

    Attributes:
        embedding: (D,), the mean over the photos.   crop: of the first photo, (3, S, S) in [-1, 1].
        inner: brows to chin of it, (3, h, w), in the scale of `FoundFace.picture`.   pose: in the first photo, or None.
        notes: sentences for the user.
    """

    embedding: Tensor
    crop: Tensor
    inner: Tensor
    pose: HeadPose | None
    notes: tuple[str, ...]


class Recogniser(Protocol):
    """Finds and compares faces."""

    @property
    def scale(self) -> SimilarityScale:
        """What compares the faces, and how to read its cosines."""
        ...

    @property
    def not_measured(self) -> tuple[str, ...]:
        """What this way can not measure, and why, a sentence each."""
        ...

    @property
    def counts_faces(self) -> bool:
        """Whether an empty frame has no face, rather than one that was not looked for."""
        ...

    def reference(self, photos: Sequence[Tensor], choice: FaceChoice) -> ReferenceFace:
        """Read the photos of a character, (H, W, 3) uint8.

        Raises: InputError: no photo, or no such face in it.
        """
        ...

    def look(self, frames: Iterable[Tensor]) -> list[list[FoundFace]]:
        """Find the faces of frames, (H, W, 3) uint8; a list for each frame."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class DrawnFaces:
    """Clips of nano: every frame shows one face where nano draws it.

    encoder: nano's face encoder.   detector: finds the face in the references, as for the clip itself.
    """

    encoder: FaceEncoder
    detector: Detector = Detector()

    @property
    def scale(self) -> SimilarityScale:
        """See `Recogniser`."""
        return NANO_SCALE

    @property
    def not_measured(self) -> tuple[str, ...]:
        """See `Recogniser`."""
        return (
            "number and size of faces, and the angles of the head: detectors made for photographs miss most of nano's "
            "drawn faces, so every frame is taken as one face where nano draws it.",
        )

    @property
    def counts_faces(self) -> bool:
        """See `Recogniser`."""
        return False

    def reference(self, photos: Sequence[Tensor], choice: FaceChoice) -> ReferenceFace:
        """See `Recogniser`."""
        _check_photos(photos)
        side = self.encoder.config.image_size
        faces = [read_face(photo, choice, side, self.detector) for photo in photos]
        scale = CLIP_FRAMING.width / REFERENCE_FRAMING.width
        notes = [note for face in faces for note in face.notes]
        return _nano_reference(self.encoder, [face.pixels for face in faces], scale, None, notes)

    def look(self, frames: Iterable[Tensor]) -> list[list[FoundFace]]:
        """See `Recogniser`."""
        side = self.encoder.config.image_size
        pictures = [
            functional.interpolate(
                to_pixels(frame)[None], size=(side, side), mode="bilinear", antialias=True
            )[0]
            for frame in frames
        ]
        embeds = _encode(self.encoder, pictures)
        return [[FoundFace(own, picture)] for own, picture in zip(embeds, pictures, strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class FoundFaces:
    """Photographic clips with nano's encoder: faces are found by a detector.

    encoder: nano's face encoder.   find: of `box_finder`, largest face first.   name: of the detector.
    """

    encoder: FaceEncoder
    find: FindBoxes
    name: str

    @property
    def scale(self) -> SimilarityScale:
        """See `Recogniser`."""
        return NANO_SCALE._replace(basis="measured on nano's drawings; photographs were not measured")

    @property
    def not_measured(self) -> tuple[str, ...]:
        """See `Recogniser`."""
        if self.name in WITHOUT_LANDMARKS:
            return (f"angles of the head, and lips: {self.name} gives no landmarks.",)
        return ()

    @property
    def counts_faces(self) -> bool:
        """See `Recogniser`."""
        return True

    def reference(self, photos: Sequence[Tensor], choice: FaceChoice) -> ReferenceFace:
        """See `Recogniser`."""
        _check_photos(photos)
        boxes: list[FaceBox] = []
        notes: list[str] = []
        for photo in photos:
            is_whole = choice == "whole"
            found = [whole_face(photo)] if is_whole else list(self.find(photo.numpy()))
            box, note = choose_face(found, None if choice in ("auto", "whole") else choice)
            boxes.append(box)
            notes += [note] if note else []
        side = self.encoder.config.image_size
        crops = [crop_face(photo, box, side) for photo, box in zip(photos, boxes, strict=True)]
        marks = boxes[0].landmarks
        pose = None if marks is None else head_pose(marks)
        return _nano_reference(self.encoder, crops, 1.0, pose, notes)

    def look(self, frames: Iterable[Tensor]) -> list[list[FoundFace]]:
        """See `Recogniser`."""
        side = self.encoder.config.image_size
        found: list[list[FoundFace]] = []
        for frame in frames:
            image = frame.numpy()
            boxes = list(self.find(image))
            crops = [crop_face(frame, box, side) for box in boxes]
            shorter = min(image.shape[:2])
            faces: list[FoundFace] = []
            for own, crop, box in zip(_encode(self.encoder, crops), crops, boxes, strict=True):
                marks = box.landmarks
                aligned = None if marks is None else _align(image, marks)
                pose = None if marks is None else head_pose(marks)
                faces.append(FoundFace(own, crop, box.width / shorter, pose, aligned))
            found.append(faces)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class ArcFaceFaces:
    """Photographic clips with ArcFace: faces are found with five landmarks and aligned by them.

    model: with its weights.   find: the detector, largest face first.
    """

    model: ArcFace
    find: FindViews

    @property
    def scale(self) -> SimilarityScale:
        """See `Recogniser`."""
        return ARCFACE_SCALE

    @property
    def not_measured(self) -> tuple[str, ...]:
        """See `Recogniser`."""
        return ()

    @property
    def counts_faces(self) -> bool:
        """See `Recogniser`."""
        return True

    def reference(self, photos: Sequence[Tensor], choice: FaceChoice) -> ReferenceFace:
        """See `Recogniser`."""
        if choice == "whole":
            raise InputError(
                "face: expected auto or a number for ArcFace, which needs landmarks, got whole. Use auto."
            )
        _check_photos(photos)
        crops: list[Tensor] = []
        views: list[SeenFace] = []
        for photo in photos:
            image = photo.numpy()
            faces = list(self.find(image))
            number = 1 if choice == "auto" else choice
            if len(faces) < number:
                raise InputError(
                    f"photo: expected face {number}, got {len(faces)} found. Use a photo that shows the face clearly."
                )
            views.append(faces[number - 1])
            crops.append(torch.from_numpy(align_face(image, views[-1].landmarks, CROP_SIZE)))
        embeds = _encode_aligned(self.model, crops)
        crop = to_pixels(crops[0])
        rows, columns = _INNER_ALIGNED
        return ReferenceFace(
            embedding=functional.normalize(embeds.mean(dim=0), dim=0),
            crop=crop,
            inner=crop[:, rows, columns],
            pose=head_pose(views[0].landmarks),
            notes=(),
        )

    def look(self, frames: Iterable[Tensor]) -> list[list[FoundFace]]:
        """See `Recogniser`."""
        found: list[list[FoundFace]] = []
        for frame in frames:
            image = frame.numpy()
            views = list(self.find(image))
            crops = [torch.from_numpy(align_face(image, view.landmarks, CROP_SIZE)) for view in views]
            embeds = _encode_aligned(self.model, crops)
            shorter = min(image.shape[:2])
            found.append(
                [
                    FoundFace(own, picture, view.width / shorter, head_pose(view.landmarks), picture)
                    for own, picture, view in zip(embeds, map(to_pixels, crops), views, strict=True)
                ]
            )
        return found


def known_face(embedding: Tensor, picture: Tensor) -> ReferenceFace:
    """The face of a character that ArcFace has embedded before; how the head stands in it is not known.

    Args:
        embedding: (512,), of length 1.   picture: of Lynx, (256, 256, 3) uint8, its landmarks where the template is.
    """
    marks = face_template(picture.shape[0], is_extended=True)
    crop = to_pixels(torch.from_numpy(align_face(picture.numpy(), marks, CROP_SIZE)))
    rows, columns = _INNER_ALIGNED
    return ReferenceFace(
        embedding=embedding.float().cpu(), crop=crop, inner=crop[:, rows, columns], pose=None, notes=()
    )


def box_finder(detector: Detector) -> FindBoxes:
    """A detector for nano's encoder, loaded once: faces as squares from brows to chin, largest first.

    Args:
        detector: the choice; `auto` is the cascade.
    Raises:
        InputError, MissingDependencyError: it can not be used here.
    """
    if detector.name in WITHOUT_LANDMARKS:
        return find_faces
    find = open_landmarks(detector)
    return lambda image: sorted(map(box_of, find(image)), key=lambda box: box.area, reverse=True)


def to_pixels(frame: Tensor) -> Tensor:
    """(H, W, 3) uint8 -> (3, H, W) float32 in [-1, 1]."""
    return frame.permute(2, 0, 1).float() / 127.5 - 1.0


def _check_photos(photos: Sequence[Tensor]) -> None:
    if not photos:
        raise InputError("photos: expected at least one, got none. Give a photo of the face.")


def _nano_reference(
    encoder: FaceEncoder, crops: Sequence[Tensor], scale: float, pose: HeadPose | None, notes: Sequence[str]
) -> ReferenceFace:
    """Embed crops of `crop_face`, one a photo. scale: of the clip's faces against those of the crops."""
    side = round(crops[0].shape[-1] * scale)
    own = crops[0][None]
    if side != crops[0].shape[-1]:
        own = functional.interpolate(own, size=(side, side), mode="bilinear", antialias=True)
    width, middle = side * REFERENCE_FRAMING.width, side / 2
    top, left = (round(middle - half * width) for half in _INNER)
    bottom, right = (round(middle + half * width) for half in _INNER)
    return ReferenceFace(
        embedding=torch.stack(_encode(encoder, crops)).mean(dim=0),
        crop=crops[0],
        inner=own[0, :, top:bottom, left:right],
        pose=pose,
        notes=tuple(notes),
    )


def _align(image: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> Tensor:
    """ArcFace crop (3, 112, 112) in [-1, 1]."""
    return to_pixels(torch.from_numpy(align_face(image, landmarks, CROP_SIZE)))


@torch.no_grad()
def _encode(encoder: FaceEncoder, pictures: Sequence[Tensor]) -> list[Tensor]:
    """Embeddings (D,) of faces, on the CPU."""
    device = next(encoder.parameters()).device
    embeds: list[Tensor] = []
    for start in range(0, len(pictures), _BATCH):
        batch = torch.stack(list(pictures[start : start + _BATCH]))
        embeds += list(encoder(batch.to(device)).cpu())
    return embeds


@torch.no_grad()
def _encode_aligned(model: ArcFace, crops: Sequence[Tensor]) -> Tensor:
    """Embeddings (K, 512) of aligned crops, (112, 112, 3) uint8 each, on the CPU."""
    if not crops:
        return torch.zeros(0, 0)
    device = next(model.parameters()).device
    return model(torch.cat([face_input(crop.numpy()) for crop in crops]).to(device)).cpu()
