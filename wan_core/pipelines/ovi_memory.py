"""What of a joint model goes where, decided before anything is loaded."""

from __future__ import annotations

import math

import torch

from ..checkpoints.source import open_source
from ..checkpoints.text_umt5 import open_text_source
from ..errors import InputError
from ..vae.tiling import Tiling
from .memory import (
    OVERHEAD,
    TEXT_ACTIVATIONS,
    WeightBytes,
    codec_bytes,
    context_bytes,
    copy_bytes,
    file_bytes,
    forward_bytes,
    token_count,
    transformer_bytes,
    unpack_bytes,
)
from .memory_plan import GB, TILES, MemoryPlan, Phase
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
    is_cuda = torch.device(device).type == "cuda"
    if limit is None and is_cuda:
        limit = int(torch.cuda.mem_get_info(torch.device(device))[0])
    base = OVERHEAD if is_cuda else 0
    text, text_device = _text(found, device, limit, base)
    codec, tiling = _codec(found, settings, limit, base, encodes=encodes)
    transformer, resident = _transformer(found, settings, (device, dtype), limit, base)
    sound = Phase(
        "sound decode",
        sum(
            file_bytes(open_source(path, "audio").header, torch.float32)
            for path in (found.audio_vae, found.vocoder)
        ),
        base + _VOCODER_BYTES * LATENT_SAMPLES * settings.audio_length,
    )
    _check(sound, limit, found, "Ask for fewer frames.")
    return MemoryPlan(
        device=device,
        limit=limit,
        phases=(text, *codec[:-1], transformer, sound, codec[-1]),
        resident=resident,
        tiling=tiling,
        text_device=text_device,
    )


def _text(found: FoundOvi, device: str, limit: int | None, base: int) -> tuple[Phase, str]:
    header = open_text_source(found.text_encoder).header
    weights = file_bytes(header, torch.bfloat16)
    work = 3 * TEXT_ACTIVATIONS // 2 + unpack_bytes(header, torch.bfloat16) + base
    if limit is None or weights + work <= limit:
        return Phase("text encoder", weights, work), device
    note = f"{weights / GB:.2f} GB do not fit; it works in main memory, on the processor"
    return Phase("text encoder", 0, 0, note), "cpu"


def _codec(
    found: FoundOvi, settings: OviSettings, limit: int | None, base: int, *, encodes: bool
) -> tuple[tuple[Phase, ...], Tiling | None]:
    weights = file_bytes(open_source(found.vae, "vae").header, torch.float32)

    def phases(tile: int | None) -> tuple[Phase, ...]:
        note = "" if tile is None else f"in tiles of {tile} pixels"
        works = [base + codec_bytes(TI2V, settings.size, tile, encodes=way) for way in (True, False)]
        parts = (Phase("VAE encode", weights, works[0], note), Phase("VAE decode", weights, works[1], note))
        return parts if encodes else parts[1:]

    for tile in (None, *TILES):
        parts = phases(tile)
        if limit is None or all(part.total <= limit for part in parts):
            return parts, None if tile is None else Tiling(size=tile)
    parts = phases(TILES[-1])
    _check(max(parts, key=lambda part: part.total), limit, found, "Ask for a smaller size.")
    return parts, Tiling(size=TILES[-1])


def _transformer(
    found: FoundOvi, settings: OviSettings, place: tuple[str, torch.dtype], limit: int | None, base: int
) -> tuple[Phase, int | None]:
    device, dtype = place
    weights = transformer_bytes(found.header, found.detected.names, dtype)
    work = base + _work_bytes(found, settings, dtype)
    copies = copy_bytes(found.header, found.detected.names, device, dtype)
    note = f"{copies / GB:.2f} GB of them are copies for the processor" if copies else ""
    fastest = Phase("both towers", weights.total + copies, work, note)
    whole, count = Phase("both towers", weights.total, work), len(weights.blocks)
    if limit is None or fastest.total <= limit:
        return fastest, None
    if whole.total <= limit:
        return whole, count
    resident = _resident(weights, limit - work)
    phase = Phase(
        "both towers",
        weights.rest + sum(weights.blocks[:resident]) + 2 * max(weights.blocks),
        work,
        f"{resident} of {count} pairs of blocks stay, {count - resident} come from main memory in turn",
    )
    _check(phase, limit, found, "Ask for a smaller size or fewer frames.")
    return phase, resident


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


def _resident(weights: WeightBytes, room: int) -> int:
    """Pairs of blocks that can stay beside two that visit."""
    room -= weights.rest + 2 * max(weights.blocks)
    resident = 0
    for block in weights.blocks:
        if room < block:
            break
        room -= block
        resident += 1
    return resident


def _check(phase: Phase, limit: int | None, found: FoundOvi, remedy: str) -> None:
    if limit is not None and phase.total > limit:
        raise InputError(
            f"memory: expected at least {phase.total / GB:.2f} GB for the {phase.name} of {found.family.name} "
            f"({phase.weights / GB:.2f} GB of weights, {phase.work / GB:.2f} GB of work), got {limit / GB:.2f} GB. "
            f"{remedy}"
        )
