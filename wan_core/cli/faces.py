"""Faces on the command line: photos and videos read, and what was seen written beside the result."""

from __future__ import annotations

import argparse
import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import FaceError, InputError
from ..identity.detectors import Detector
from ..identity.face import FaceChoice
from ..identity.faces_picture import draw_row, to_png
from ..identity.regions import Region
from ..identity.video_faces import choose_video_faces
from ..media import read_photo, write_bytes
from ..media.video_frames import VIDEO_SUFFIXES, sample_frames
from ..pipelines.identity_file import EncodedIdentity, read_identity

#: Frames that are taken of a video.
VIDEO_FRAMES = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """Photos of one person.

    Attributes:
        photos: (H, W, 3) uint8 RGB each.   notes: for the user.
        seen: which frames were chosen of videos, (H, W, 3) uint8 RGB, or None without a video.
    """

    photos: tuple[Tensor, ...]
    notes: tuple[str, ...]
    seen: NDArray[np.uint8] | None


def read_detector(options: argparse.Namespace) -> Detector:
    """The detector that --detector and --detector-model name.

    Raises: InputError: an unknown one, or a model for one that reads none.
    """
    return Detector(name=options.detector or "auto", model=options.detector_model)


def read_pictures(
    paths: Sequence[Path], detector: Detector, face: FaceChoice, count: int = VIDEO_FRAMES
) -> Pictures:
    """Read photos of a person; of a video the frames that show the face best are taken.

    Args:
        paths: photos and videos.   detector: finds the face in videos.   face: which face of the frames.
        count: frames to take of a video.
    Raises:
        InputError: a file that can not be read.   FaceError: a video without a usable face.
    """
    photos: list[Tensor] = []
    notes: list[str] = []
    sheets: list[NDArray[np.uint8]] = []
    for path in paths:
        if path.suffix.lower() not in VIDEO_SUFFIXES:
            photo = read_photo(path)
            photos.append(photo.pixels)
            notes += photo.notes
            continue
        number = face if isinstance(face, int) else None
        found = choose_video_faces(sample_frames(path), detector, number, count)
        photos += [torch.from_numpy(own) for own in found.pictures]
        notes.append(f"{path.name}: {found.note()}")
        sheets.append(found.seen)
    return Pictures(photos=tuple(photos), notes=tuple(notes), seen=draw_row(sheets) if sheets else None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Person:
    """A face as it was given: photos, or an encoded one; notes for the user."""

    photos: tuple[Tensor, ...] = ()
    identity: EncodedIdentity | None = None
    notes: tuple[str, ...] = ()


def read_person(paths: Sequence[Path], detector: Detector, face: FaceChoice) -> Person:
    """Read what --reference names for one person: photos and videos, or a file of `encode-identity`.

    Raises:
        InputError: a file that can not be read, or an encoded face beside others.
        FaceError: a video without a usable face.
    """
    encoded = [path for path in paths if path.suffix == ".safetensors"]
    if encoded and len(paths) > 1:
        raise InputError(
            f"--reference: expected one encoded face or photos, got {len(paths)} files with {encoded[0].name} among "
            "them. Encode all photos together."
        )
    if encoded:
        identity = read_identity(encoded[0])
        return Person(identity=identity, notes=(f"face of {identity.source}, encoded before.",))
    pictures = read_pictures(paths, detector, face)
    return Person(photos=pictures.photos, notes=pictures.notes)


@contextmanager
def showing_faces(output: Path) -> Generator[None]:
    """Write what was seen beside the output where no face can be used, and say where.

    Args:
        output: what was to be made; the picture is clip.faces.png, or the next free number.
    Raises:
        InputError: in place of the FaceError, with the place of the picture.
    """
    try:
        yield
    except FaceError as error:
        path = write_bytes(faces_path(output), to_png(error.picture))
        raise InputError(f"{error} What was seen: {path}") from error


def faces_path(output: Path) -> Path:
    """Where the picture of what was seen goes: clip.faces.png."""
    stem = output.name.removesuffix(".safetensors").removesuffix(".identity").removesuffix(output.suffix)
    return output.with_name(f"{stem}.faces.png")


def check_regions(regions: Mapping[str, object], names: Sequence[str]) -> None:
    """Check that regions are of the references.

    Raises: InputError: one is of nobody.
    """
    strange = [name for name in regions if name not in names]
    if strange:
        raise InputError(
            f"--region: expected names of --reference ({', '.join(names) or 'none'}), got {', '.join(strange)}. "
            "Correct the name."
        )


def read_regions(texts: Sequence[str]) -> dict[str, tuple[Region, ...]]:
    """Read arguments such as character1=0,0,0.5,1 or character1=0,0,0.5,1@0.5-2.

    Args:
        texts: left, top, right and bottom as shares of the picture, then a time in seconds.
    Returns:
        Regions by name.
    Raises:
        InputError: an argument of another form, or an empty box or time.
    """
    found: dict[str, list[Region]] = {}
    for text in texts:
        name, _, rest = text.partition("=")
        box, at, when = rest.partition("@")
        try:
            left, top, right, bottom = (float(part) for part in box.split(","))
            start, end = (float(part) for part in when.split("-")) if at else (0.0, math.inf)
        except ValueError as error:
            raise InputError(
                f"--region: expected NAME=x0,y0,x1,y1 or NAME=x0,y0,x1,y1@t0-t1, got {text!r}. Give shares of the "
                "picture and seconds, such as character1=0,0,0.5,1@0-1."
            ) from error
        region = Region(left=left, top=top, right=right, bottom=bottom, start=start, end=end)
        found.setdefault(name, []).append(region)
    return {name: tuple(regions) for name, regions in found.items()}
