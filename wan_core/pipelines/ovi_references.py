"""Faces and voices for DreamID-Omni: pictures and seconds of sound to latents, and where these stand."""

from __future__ import annotations

import torch
from torch import Tensor

from ..audio.mmaudio import MMAudioCodec
from ..errors import InputError
from ..identity.detectors import Detector
from ..identity.face import FaceChoice, read_face
from ..identity.streams import letterbox
from ..ops.voice_activity import best_voiced_second
from ..types import AudioClip, TokenStream
from .ovi_family import DREAMID, SAMPLE_RATE, OviFamily
from .ovi_request import VoiceSpan
from .wan_pictures import to_video

#: Latent frames of the video between the clip's beginning and the first reference, and between references.
REFERENCE_STEP = 150
#: Side of the square around a face, in widths of the face: hair, ears and chin are in it, as in the official examples.
_CROP = 1.6


def face_picture(
    photo: Tensor, choice: FaceChoice, size: tuple[int, int], detector: Detector | None = None
) -> tuple[Tensor, tuple[str, ...]]:
    """A photo as the model wants it: the face, in the middle of a white picture of the clip's size.

    Args: photo: (H, W, 3) uint8 RGB.   choice: which face; "whole" takes the photo as it is, as the official code.
        size: width and height of the clip.   detector: that finds the face, None for the usual one.
    Returns: (3, height, width) float32 in [-1, 1], and notes.
    Raises: InputError: no face is found (a FaceError, with a picture of what was seen).
    Source: Guoxu1233/DreamID-Omni@9a9f456 dreamid_omni/dreamid_omni_engine.py load_image_latent_ref_ip_video.
        Differs: the face is cut out, as its README asks the user to do.
    """
    notes: tuple[str, ...] = ()
    if choice != "whole":
        found = read_face(photo, choice, detector=detector)
        notes, box = found.notes, found.box
        side = _CROP * max(box.width, box.height)
        middle = (box.left + box.width / 2, box.top + box.height / 2)
        left, top = (max(0, round(place - side / 2)) for place in middle)
        photo = photo[top : round(middle[1] + side / 2), left : round(middle[0] + side / 2)].contiguous()
    boxed = letterbox(photo.cpu().numpy(), *size)
    return to_video(torch.from_numpy(boxed)), notes


def voice_second(clip: AudioClip, span: VoiceSpan) -> tuple[Tensor, float]:
    """The second of a recording that stands for the voice.

    Args: clip: mono, 16 kHz.   span: "best": see `best_voiced_second`; "official": from 1 to 2 s.
    Returns: (1, 16000) samples, fewer where the recording ends before, and where they begin, in seconds.
    Raises: InputError: shorter than the second, or nobody speaks in it.
    Source: Guoxu1233/DreamID-Omni@9a9f456 dreamid_omni/dreamid_omni_engine.py (the official span).
    """
    waveform = clip.waveform
    if clip.sample_rate != SAMPLE_RATE or waveform.ndim != 2 or waveform.shape[0] != 1:
        raise InputError(
            f"voice: expected (1, samples) at {SAMPLE_RATE} Hz, got {tuple(waveform.shape)} at {clip.sample_rate} Hz. "
            "Convert it with wan_core.media.sound.resample."
        )
    samples, start = waveform.shape[1], SAMPLE_RATE
    if samples < (SAMPLE_RATE if span == "best" else SAMPLE_RATE + SAMPLE_RATE // 2):
        raise InputError(
            f"voice: expected at least {1 if span == 'best' else 1.5:g} s, got {samples / SAMPLE_RATE:.2f} s. "
            "Record two or three sentences."
        )
    if span == "best":
        begin, _ = best_voiced_second(clip)
        start = min(round(begin * SAMPLE_RATE), samples - SAMPLE_RATE)
    return waveform[:, start : start + SAMPLE_RATE], start / SAMPLE_RATE


def face_stream(latents: Tensor, slot: int) -> TokenStream:
    """Where a face stands. Args: latents: (1, C, 1, h, w).   slot: of the person, from 1.

    Source: Guoxu1233/DreamID-Omni@9a9f456 dreamid_omni/modules/model.py rope_apply_3d.
    """
    return TokenStream(latents=latents, offset=(float(REFERENCE_STEP * slot), 0.0, 0.0), timestep=None)


def voice_stream(latents: Tensor, slot: int, family: OviFamily = DREAMID) -> TokenStream:
    """Where a voice stands: at its person's face, to less than a latent. Args: latents: (1, C, T).   slot: from 1.

    Source: Guoxu1233/DreamID-Omni@9a9f456 dreamid_omni/modules/model.py rope_apply_1d (whole latents of sound).
    """
    latents_away = int(REFERENCE_STEP / family.position_scale) * slot
    return TokenStream(
        latents=latents, offset=(latents_away * family.position_scale, 0.0, 0.0), timestep=None
    )


@torch.no_grad()
def encode_voice(codec: MMAudioCodec, second: Tensor, device: torch.device | str) -> Tensor:
    """Latents (1, C, 31) float32 of a second of sound (1, samples)."""
    return codec.encode(second.to(device)).float()
