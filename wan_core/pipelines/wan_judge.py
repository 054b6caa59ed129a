"""What compares the people of a clip of a published Wan model with their references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..checkpoints.lynx_face import load_arcface
from ..errors import FaceError, InputError
from ..identity.detectors import Detector, open_landmarks
from ..identity.video_faces import TimedFrame, choose_video_faces
from .identity_file import check_identity
from .likeness import PersonReference
from .recognisers import ArcFaceFaces, known_face
from .request import Character
from .wan_plan import WanPlan

#: Frames of a reference video that stand for the person.
_VIDEO_FRAMES = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WanJudge:
    """Compares faces.

    Attributes:
        faces: finds and compares them.   people: references with a face, by character; at least one.
        notes: sentences on references that nothing can compare.
    """

    faces: ArcFaceFaces
    people: Mapping[str, PersonReference]
    notes: tuple[str, ...] = ()


def check_judge(plan: WanPlan, recogniser: Path | None, wanted_by: str) -> Path:
    """File of the recogniser that judges a plan's clips: Lynx's own, or the one that is named.

    Args: recogniser: ArcFace's file, for models that bring none.   wanted_by: what needs it, for the error.
    Raises: InputError: no person to compare with, or no recogniser.
    """
    adapter, name = plan.model.adapter, plan.model.family.name
    if not any(own.photos or own.videos or own.identity for own in plan.request.characters):
        raise InputError(
            f"{wanted_by}: expected a photo of a person to compare with, got none for {name}. Give a --reference "
            "that is a photo, or leave it out."
        )
    if adapter is not None:
        return adapter.recogniser
    return named_recogniser(recogniser, name, wanted_by)


def named_recogniser(recogniser: Path | None, model: str, wanted_by: str) -> Path:
    """The file of a recogniser for a model that brings none.

    Raises: InputError: none was named.
    """
    if recogniser is None:
        raise InputError(
            f"{wanted_by}: expected a recogniser for {model}, which brings none, got none. Name facexlib's ArcFace "
            "with --recogniser FILE, or leave it out."
        )
    return recogniser


def open_judge(
    plan: WanPlan,
    recogniser: Path | None = None,
    detector: Detector | None = None,
    wanted_by: str = "likeness",
) -> WanJudge:
    """Load what compares, and look for a face in every reference.

    A reference without a face (a thing, a coat) is left out with a note; Lynx needs the face in every photo.

    Args:
        plan: of the clip.   recogniser: ArcFace's file, for models other than Lynx.
        detector: finds faces for models other than Lynx, None for the usual one with landmarks.
        wanted_by: what the errors call it.
    Raises:
        InputError: see `check_judge`, or no reference shows a face.   CheckpointError: weights missing or damaged.
    """
    path = check_judge(plan, recogniser, wanted_by)
    adapter, characters = plan.model.adapter, plan.request.characters
    if adapter is None:
        return judge_of(characters, path, detector or Detector(), wanted_by)
    return judge_of(characters, path, adapter.detector, wanted_by, needs_all=True)


def judge_of(
    characters: Sequence[Character],
    recogniser: Path,
    detector: Detector,
    wanted_by: str,
    *,
    needs_all: bool = False,
) -> WanJudge:
    """Load what compares, and look for a face in every reference.

    Args:
        characters: references.   recogniser: ArcFace's file.   detector: finds faces.   wanted_by: for the errors.
        needs_all: a reference without a face is an error, not left out with a note.
    Raises:
        InputError: no reference shows a face.   CheckpointError: weights missing or damaged.
    """
    faces = ArcFaceFaces(load_arcface(recogniser), open_landmarks(detector))
    people: dict[str, PersonReference] = {}
    notes: list[str] = []
    for own in characters:
        try:
            person = _person(own, detector, faces)
        except (FaceError, InputError) as error:
            if needs_all:
                raise
            notes.append(f"{own.name} is not compared: {error}")
        else:
            people[own.name] = person
    if not people:
        raise InputError(
            f"{wanted_by}: expected a reference that shows a face, got none in "
            f"{', '.join(own.name for own in characters) or 'no reference'}. Leave it out, or give a photo of a face."
        )
    return WanJudge(faces=faces, people=people, notes=tuple(notes))


def _person(own: Character, detector: Detector, faces: ArcFaceFaces) -> PersonReference:
    """The face of photos of a character, an encoded one, or that of frames of its first video; embedded once.

    Raises: InputError: no face in them, or a face that another recogniser has encoded.
    """
    if own.identity is not None and own.identity.picture is not None:
        check_identity(own.identity, "lynx", faces.model, own.name)
        return PersonReference(known=known_face(own.identity.features.flatten(), own.identity.picture))
    if own.photos or not own.videos:
        return PersonReference(known=faces.reference(own.photos, own.face))
    frames = (
        TimedFrame(index=number, time=float(number), pixels=frame.numpy())
        for number, frame in enumerate(own.videos[0])
    )
    number = own.face if isinstance(own.face, int) else None
    found = choose_video_faces(frames, detector, number, _VIDEO_FRAMES)
    used = [torch.from_numpy(frame) for frame in found.pictures]
    return PersonReference(known=faces.reference(used, own.face))
