"""What of a joint model goes where, decided before anything is loaded."""

from __future__ import annotations

import math

import torch

from ..checkpoints.source import open_source
from ..vae.tiling import Tiling
from .memory import (
    TEXT_ACTIVATIONS,
    codec_bytes,
    context_bytes,
    copy_bytes,
    file_bytes,
    forward_bytes,
    token_count,
    transformer_bytes,
    unpack_bytes,
)
from .memory_phases import MemoryPlan, Phase, Room, place_blocks, place_codec, place_text
from .ovi_family import LATENT_SAMPLES, SAMPLE_RATE, STRIDE
from .ovi_files import FoundOvi
from .ovi_request import OviSettings
from .wan_family import TI2V

#: Bytes a sample of sound while the vocoder works in float32: its widest stages hold 96 channels at full rate.
_VOCODER_BYTES = 6_000
#: Tokens of a second of voice.
_VOICE_TOKENS = math.ceil(SAMPLE_RATE / LATENT_SAMPLES)


def plan_ovi_memory(
    found: FoundOvi,
    settings: OviSettings,
    *,
    device: str,
    dtype: torch.dtype,
    encodes: bool,
    limit: int | None = None,
) -> MemoryPlan:
    """Plan from headers alone.

    Both towers stay whole if they fit, else pairs of blocks wait in main memory and visit the device in turn; the video
    codec works in tiles where a picture is too large; a text encoder that does not fit works on the processor.

    Args:
        device, dtype: of the transformer.   encodes: whether pictures are encoded, too.
        limit: bytes that may be used; None for what is free on a GPU, without limit on the processor.
    Raises: InputError: it can not fit; the text has the numbers.   CheckpointError: a file can not be read.
    """
    room = Room.on(device, limit, found.family.name)
    text, text_device = place_text(room, found.text_encoder, 3 * TEXT_ACTIVATIONS // 2)
    codec, tiling = _plan_codec(room, found, settings, encodes=encodes)
    work = room.base + _work_bytes(found, settings, dtype)
    copies = copy_bytes(found.header, found.detected.names, device, dtype)
    weights = transformer_bytes(found.header, found.detected.names, dtype, found.loras)
    towers, resident = place_blocks(room, "both towers", "pairs of blocks", weights, copies, work)
    sound = Phase(
        "sound decode",
        sum(
            file_bytes(open_source(path, "audio").header, torch.float32)
            for path in (found.audio_vae, found.vocoder)
        ),
        room.base + _VOCODER_BYTES * LATENT_SAMPLES * settings.audio_length,
    )
    room.check(sound, "Ask for fewer frames.")
    return MemoryPlan(
        device=device,
        limit=room.limit,
        phases=(text, *codec[:-1], towers, sound, codec[-1]),
        resident=resident,
        tiling=tiling,
        text_device=text_device,
    )


def _plan_codec(
    room: Room, found: FoundOvi, settings: OviSettings, *, encodes: bool
) -> tuple[tuple[Phase, ...], Tiling | None]:
    weights = file_bytes(open_source(found.vae, "vae").header, torch.float32)

    def phases(tile: int | None, note: str) -> tuple[Phase, ...]:
        works = [
            room.base + codec_bytes(TI2V, settings.size, tile, room.device, encodes=way)
            for way in (True, False)
        ]
        parts = (Phase("VAE encode", weights, works[0], note), Phase("VAE decode", weights, works[1], note))
        return parts if encodes else parts[1:]

    return place_codec(room, phases)


def _work_bytes(found: FoundOvi, settings: OviSettings, dtype: torch.dtype) -> int:
    """Activations of a pair of blocks, latents of both modalities and the prompts of both towers."""
    video, audio = found.config.video, found.config.audio
    people = len(settings.slots) if settings.family.takes_references else 0
    width, height = settings.size
    cells = (settings.latent_frames + people, height // STRIDE, width // STRIDE)
    sounds = settings.audio_length + people * _VOICE_TOKENS
    tokens = token_count(video, cells)
    # The other tower waits in float32 while one works.
    pair = forward_bytes(video, tokens, dtype) + forward_bytes(audio, sounds, dtype)
    pair += 4 * (tokens * video.dim + sounds * audio.dim)
    states = 8 * 4 * (math.prod(cells) * video.in_channels + sounds * audio.in_channels)
    contexts = context_bytes(video, dtype) + context_bytes(audio, dtype)
    return pair + states + contexts + unpack_bytes(found.header, dtype)
