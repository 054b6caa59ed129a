"""References to tokens: photos of a face, a clip of a voice, a first frame."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InputError, ShapeError
from ..identity.face import FaceChoice, read_face
from ..identity.model import IdentityEncoder
from ..ops.speech import SAMPLE_RATE
from ..types import AudioClip
from ..vae.patch_vae import PatchVAE
from ..voice.encoder import VoiceEncoder, encode_clip


def read_faces(
    encoder: IdentityEncoder, photos: Sequence[Tensor], face: FaceChoice = "auto"
) -> tuple[Tensor, tuple[str, ...]]:
    """Find and cut out the face of a person in each photo.

    Args:
        encoder: the encoder that the faces are for.
        photos: pictures of one person, (H, W, 3) uint8 RGB, at least one.
        face: which face, see `wan_core.identity.face`.
    Returns:
        Faces (K, 3, S, S) in [-1, 1], one a photo, and notes for the user.
    Raises:
        InputError: no photo, or a photo without such a face.
    """
    if not photos:
        raise InputError("photos: expected at least one, got none. Give a photo of the face.")
    crops = [read_face(photo, face, encoder.config.face.image_size) for photo in photos]
    prefixes = [f"photo {number}: " if len(crops) > 1 else "" for number in range(1, len(crops) + 1)]
    notes = [prefix + note for prefix, crop in zip(prefixes, crops, strict=True) for note in crop.notes]
    return torch.stack([crop.pixels for crop in crops]), tuple(notes)


@torch.no_grad()
def encode_faces(encoder: IdentityEncoder, faces: Tensor) -> Tensor:
    """Encode the faces of one person.

    Several faces give the mean of their embeddings, brought back to the length that one has: the resampler was
    trained on one.

    Args:
        encoder: face encoder and resampler.   faces: (K, 3, S, S) in [-1, 1], as `read_faces` gives them.
    Returns:
        Identity tokens (1, N, D) on the encoder's device.
    """
    embeds = encoder.face_encoder(faces.to(next(encoder.parameters()).device))
    if len(faces) > 1:
        embeds = functional.layer_norm(embeds.mean(dim=0, keepdim=True), embeds.shape[-1:])
    return encoder.resampler(embeds[None])


def encode_identity(
    encoder: IdentityEncoder, photos: Sequence[Tensor], face: FaceChoice = "auto"
) -> tuple[Tensor, tuple[str, ...]]:
    """Find, cut out and encode the face of a person: `read_faces`, then `encode_faces`.

    Args:
        encoder: face encoder and resampler.
        photos: pictures of one person, (H, W, 3) uint8 RGB, at least one.
        face: which face, see `wan_core.identity.face`.
    Returns:
        Identity tokens (1, N, D) on the encoder's device, and notes for the user.
    Raises:
        InputError: no photo, or a photo without such a face.
    """
    faces, notes = read_faces(encoder, photos, face)
    return encode_faces(encoder, faces), notes


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
