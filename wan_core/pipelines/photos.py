"""Photos of a person for a recogniser that reads aligned faces: found, chosen, aligned, embedded, combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import FaceError, InputError
from ..identity.alignment import align_face
from ..identity.arcface import ArcFace, face_input
from ..identity.face import FaceChoice
from ..identity.faces_picture import draw_row
from ..identity.insight import FaceFinder
from ..identity.landmarks import draw_views
from ..identity.lynx_prepare import REFERENCE_SIZE
from ..identity.views import CombinedFace, SeenFace, choose_view, combine_embeddings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AlignedPerson:
    """A person as Lynx reads it.

    Attributes:
        combined: one embedding of all photos.
        picture: the aligned face of the first photo that is used, (256, 256, 3) uint8 RGB.
        seen: (H, W, 3) uint8 RGB, the photos with all faces marked, the chosen ones in green.
    """

    combined: CombinedFace
    picture: Tensor
    seen: NDArray[np.uint8]

    def notes(self) -> tuple[str, ...]:
        """Lines for the user: how much each of several photos resembles the whole, and what is left out."""
        values = self.combined.similarities
        if len(values) < 2:
            return ()
        alike = ", ".join(f"{value:.2f}" for value in values)
        return (f"similarity of the photos to the person that is used: {alike}.", *self.combined.notes())


@torch.no_grad()
def align_person(
    recogniser: ArcFace, photos: Sequence[Tensor], face: FaceChoice, find: FaceFinder, name: str = "person"
) -> AlignedPerson:
    """Find the face of a person in each photo, align and embed it, and combine the photos.

    Args:
        recogniser: the one that Lynx was trained with.   photos: 1 to 8, (H, W, 3) uint8 RGB each.
        face: "auto" for the largest face of each photo, or its number.   find: of `detectors.open_landmarks`.
        name: what errors call the person.
    Raises:
        FaceError: no usable face in a photo; with what was seen.
        InputError: "whole", since a face is aligned by its landmarks; too many photos; or photos of several people.
    Source: bytedance/lynx@3a6a91a modules/common/face_encoder.py, modules/full/lynx_infer.py.
    """
    if face == "whole":
        raise InputError(
            f"{name}: expected a face to be found for Lynx, got 'whole'. Use auto, or the number of the face."
        )
    embeds: list[Tensor] = []
    landmarks: list[NDArray[np.float32]] = []
    drawn: list[NDArray[np.uint8]] = []
    arrays = [photo.cpu().numpy() for photo in photos]
    for number, image in enumerate(arrays, 1):
        own, marked = _choose(image, find(image), face, f"{name}, photo {number}")
        embeds.append(recogniser(face_input(align_face(image, own.landmarks))))
        landmarks.append(own.landmarks)
        drawn.append(marked)
    combined = combine_embeddings(torch.cat(embeds) if embeds else torch.zeros(0, 1))
    first = combined.used[0] - 1
    crop = align_face(arrays[first], landmarks[first], REFERENCE_SIZE, is_extended=True)
    return AlignedPerson(combined=combined, picture=torch.from_numpy(crop), seen=draw_row(drawn))


def _choose(
    image: NDArray[np.uint8], views: list[SeenFace], face: int | str, where: str
) -> tuple[SeenFace, NDArray[np.uint8]]:
    number = face if isinstance(face, int) else 1 if views else None
    try:
        own = choose_view(views, number, where=where)
    except InputError as error:
        raise FaceError(str(error), draw_views(image, views)) from error
    return own, draw_views(image, views, own)
