"""`wan-r2v encode-identity`: photos or a video of a person to a file, and the picture of what was seen."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..checkpoints.lynx_face import load_arcface
from ..checkpoints.nano import load_part
from ..errors import InputError
from ..identity.detectors import Detector, open_landmarks
from ..identity.face import FaceChoice
from ..identity.faces_picture import draw_row, to_png
from ..identity.model import IdentityEncoder
from ..media import plan_output, write_bytes
from ..pipelines.bundle import default_folder
from ..pipelines.identity_file import SUFFIX, EncodedIdentity, encoder_fingerprint, identity_to_bytes
from ..pipelines.photos import align_person
from ..pipelines.references import encode_faces, read_faces
from ..pipelines.request import MAX_PHOTOS
from ..provenance import check_consent
from .arguments import parse_face
from .console import Console
from .faces import Pictures, faces_path, read_detector, read_pictures, showing_faces


def run_encode_identity(options: argparse.Namespace, console: Console) -> None:
    """Encode the person that the options name; write file and picture, and say what was seen.

    Args:
        options: of `parser.build_parser`.   console: where to say it.
    Raises:
        InputError: no usable face.   OutputError: a file can't be written.
        CheckpointError: the encoder is missing or damaged.
    """
    check_consent(options.consent, has_references=True)
    detector, face = read_detector(options), parse_face(options.face or "auto")
    first: Path = options.photos[0]
    output = plan_output(
        options.output or Path(f"{first.stem}{SUFFIX}"),
        overwrite=options.overwrite,
        number=options.output is None,
    )
    picture = plan_output(faces_path(output), overwrite=options.overwrite)
    with showing_faces(output):
        given = read_pictures(options.photos, detector, face, options.frames)
        if len(given.photos) > MAX_PHOTOS:
            raise InputError(
                f"photos: expected at most {MAX_PHOTOS}, got {len(given.photos)}. Choose the best of them."
            )
        source = ", ".join(path.name for path in options.photos)
        if options.recogniser is None:
            identity, seen, more = _for_nano(given, face, detector, source, options.weights)
        else:
            identity, seen, more = _for_lynx(given, face, detector, source, options.recogniser)
    sheet = seen if given.seen is None else draw_row([given.seen, seen])
    written = write_bytes(output, identity_to_bytes(identity), overwrite=options.overwrite)
    shown = write_bytes(picture, to_png(sheet), overwrite=options.overwrite)
    notes = [*given.notes, *more]
    lines = [
        *(f"note: {note}" for note in notes),
        f"made {written} for {identity.kind}: use it as --reference character1={written}",
        f"what was seen: {shown}",
    ]
    content = {
        "output": str(written),
        "picture": str(shown),
        "kind": identity.kind,
        "photos": identity.photos,
        "notes": notes,
    }
    console.show(lines, content)


def _for_nano(
    given: Pictures, face: FaceChoice, detector: Detector, source: str, weights: Path | None
) -> tuple[EncodedIdentity, NDArray[np.uint8], tuple[str, ...]]:
    folder = default_folder() if weights is None else weights
    encoder: IdentityEncoder = load_part(folder / "identity.safetensors", "identity")
    read = read_faces(encoder, given.photos, face, detector)
    tokens, notes = encode_faces(encoder, read.faces)
    identity = EncodedIdentity(
        kind="nano",
        encoder=encoder_fingerprint(encoder),
        source=source,
        photos=len(given.photos),
        features=tokens,
    )
    return identity, read.seen, (*read.notes, *notes)


def _for_lynx(
    given: Pictures, face: FaceChoice, detector: Detector, source: str, weights: Path
) -> tuple[EncodedIdentity, NDArray[np.uint8], tuple[str, ...]]:
    recogniser = load_arcface(weights)
    person = align_person(recogniser, given.photos, face, open_landmarks(detector, is_lynx=True))
    identity = EncodedIdentity(
        kind="lynx",
        encoder=encoder_fingerprint(recogniser),
        source=source,
        photos=len(person.combined.used),
        features=person.combined.embedding,
        picture=person.picture,
    )
    return identity, draw_row([person.seen, person.picture.numpy()]), person.notes()
