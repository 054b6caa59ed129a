"""References to tokens: photos of a face, a clip of a voice, a first frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..errors import FaceError, InputError, ShapeError
from ..identity.detectors import Detector
from ..identity.face import FaceChoice, FaceCrop, read_face
from ..identity.faces_picture import draw_row
from ..identity.model import IdentityEncoder
from ..identity.views import combine_embeddings
from ..ops.speech import SAMPLE_RATE
from ..types import AudioClip
from ..vae.patch_vae import PatchVAE
from ..voice.encoder import VoiceEncoder, encode_clip

#: Photographs of one drawn person have cosine similarities above this in nano's encoder (0.86 at least, 0.98 in the
#: middle, of 64 people); nine pairs of strangers in ten stay below. It was trained on drawn people: real strangers are
#: often above it too.
NANO_SAME_PERSON = 0.85


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FacesRead:
    """The faces of one person.

    Attributes:
        faces: (K, 3, S, S) in [-1, 1], one a photo.   notes: for the user.
        seen: (H, W, 3) uint8 RGB, the photos beside each other with all faces marked, the chosen ones in green.
    """

    faces: Tensor
    notes: tuple[str, ...]
    seen: NDArray[np.uint8]


def read_faces(
    encoder: IdentityEncoder,
    photos: Sequence[Tensor],
    face: FaceChoice = "auto",
    detector: Detector | None = None,
) -> FacesRead:
    """Find and cut out the face of a person in each photo.

    Args:
        encoder: the encoder that the faces are for.
        photos: pictures of one person, (H, W, 3) uint8 RGB, at least one.
        face: which face, see `wan_core.identity.face`.   detector: what finds it, None for nano's usual one.
    Raises:
        InputError: no photo.   FaceError: a photo without such a face; it holds what was seen.
    """
    if not photos:
        raise InputError("photos: expected at least one, got none. Give a photo of the face.")
    crops = [_read_one(photo, face, encoder, detector, i, len(photos)) for i, photo in enumerate(photos, 1)]
    prefixes = [f"photo {number}: " if len(crops) > 1 else "" for number in range(1, len(crops) + 1)]
    notes = [prefix + note for prefix, crop in zip(prefixes, crops, strict=True) for note in crop.notes]
    seen = draw_row([crop.seen for crop in crops])
    return FacesRead(faces=torch.stack([crop.pixels for crop in crops]), notes=tuple(notes), seen=seen)


def _read_one(
    photo: Tensor,
    face: FaceChoice,
    encoder: IdentityEncoder,
    detector: Detector | None,
    number: int,
    count: int,
) -> FaceCrop:
    try:
        return read_face(photo, face, encoder.config.face.image_size, detector)
    except FaceError as error:
        where = f"photo {number} of {count}: " if count > 1 else ""
        raise FaceError(where + str(error), error.picture) from error


@torch.no_grad()
def encode_faces(encoder: IdentityEncoder, faces: Tensor) -> tuple[Tensor, tuple[str, ...]]:
    """Encode the faces of one person.

    Several faces give the mean of their embeddings, brought back to the length that one has: the resampler was
    trained on one. Faces that do not resemble the others are left out.

    Args:
        encoder: face encoder and resampler.   faces: (K, 3, S, S) in [-1, 1], as `read_faces` gives them.
    Returns:
        Identity tokens (1, N, D) on the encoder's device, and notes: how much each photo resembles the whole.
    Raises:
        InputError: more than 8 faces, or no majority for one person.
    """
    embeds = encoder.face_encoder(faces.to(next(encoder.parameters()).device))
    notes: tuple[str, ...] = ()
    if len(faces) > 1:
        combined = combine_embeddings(embeds, NANO_SAME_PERSON)
        used = embeds[[number - 1 for number in combined.used]]
        embeds = functional.layer_norm(used.mean(dim=0, keepdim=True), embeds.shape[-1:])
        alike = ", ".join(f"{value:.2f}" for value in combined.similarities)
        notes = (f"similarity of the photos to the person that is used: {alike}.", *combined.notes())
    return encoder.resampler(embeds[None]), notes


def encode_identity(
    encoder: IdentityEncoder,
    photos: Sequence[Tensor],
    face: FaceChoice = "auto",
    detector: Detector | None = None,
) -> tuple[Tensor, tuple[str, ...]]:
    """Find, cut out and encode the face of a person: `read_faces`, then `encode_faces`.

    Args:
        encoder: face encoder and resampler.
        photos: pictures of one person, (H, W, 3) uint8 RGB, at least one.
        face: which face, see `wan_core.identity.face`.   detector: as `read_faces`.
    Returns:
        Identity tokens (1, N, D) on the encoder's device, and notes for the user.
    Raises:
        InputError: no photo, a photo without such a face (`FaceError`), or photos of several people.
    """
    read = read_faces(encoder, photos, face, detector)
    tokens, notes = encode_faces(encoder, read.faces)
    return tokens, (*read.notes, *notes)


@torch.no_grad()
def encode_voice(encoder: VoiceEncoder, clip: AudioClip) -> Tensor:
    """Encode a voice.

    Args:
        encoder: voice encoder.   clip: the person speaking, (channels, samples) at 16 kHz; channels are averaged.
    Returns:
        Voice tokens (1, N, D) on the encoder's device.
    Raises:
        InputError: another sample rate, values that are not finite, or no speech in it.
    """
    waveform = clip.waveform
    if waveform.ndim != 2 or 0 in waveform.shape or clip.sample_rate != SAMPLE_RATE:
        raise InputError(
            f"voice: expected (channels, samples) at {SAMPLE_RATE} Hz, got {tuple(waveform.shape)} at "
            f"{clip.sample_rate} Hz. Convert it with wan_core.media.sound.resample."
        )
    if not bool(torch.isfinite(waveform).all()):
        raise InputError("voice: expected finite samples, got NaN or infinity. Export the recording again.")
    device = next(encoder.parameters()).device
    return encode_clip(encoder, waveform.float().mean(dim=0, keepdim=True).to(device)).tokens


@torch.no_grad()
def encode_first_frame(codec: PatchVAE, picture: Tensor, size: int) -> Tensor:
    """Encode the picture that a clip begins with.

    The largest centred part of the right shape is taken and scaled.

    Args:
        codec: video codec.   picture: (H, W, 3) uint8 RGB.   size: side of the video in pixels.
    Returns:
        Latents (1, C, 1, size / patch, size / patch) on the codec's device.
    Raises:
        ShapeError: not (H, W, 3) uint8.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != torch.uint8 or 0 in picture.shape:
        raise ShapeError(
            f"first frame: expected (H, W, 3) uint8 RGB, got {tuple(picture.shape)} {picture.dtype}. "
            "Read it with wan_core.media."
        )
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    pixels = picture[top : top + side, left : left + side].permute(2, 0, 1)[None].float() / 127.5 - 1.0
    scaled = functional.interpolate(pixels, size=(size, size), mode="bicubic", antialias=True).clamp(
        -1.0, 1.0
    )
    return codec.encode(scaled[:, :, None].to(codec.image_basis.device))
