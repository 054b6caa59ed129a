"""What of a Wan model goes where, decided before anything is loaded."""

from __future__ import annotations

import math

import torch

from ..checkpoints.source import open_source
from ..dit.config import WanConfig
from ..errors import CheckpointMismatchError
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
from .wan_adapter import FoundTransformer
from .wan_files import FoundModel
from .wan_reference_plan import NO_REFERENCES, ReferenceSizes


def plan_memory(
    model: FoundModel,
    size: tuple[int, int],
    frames: int,
    *,
    device: str,
    dtype: torch.dtype,
    limit: int | None = None,
    references: ReferenceSizes = NO_REFERENCES,
) -> MemoryPlan:
    """Plan from headers alone.

    The transformer stays whole if it fits, else some of its blocks wait in main memory and visit the device in turn;
    the codec works in tiles where a picture is too large; a text encoder that does not fit works on the processor.

    Args:
        size, frames: of the clip.   device, dtype: of the transformer.
        limit: bytes that may be used; None for what is free on a GPU, without limit on the processor.
        references: what they add.
    Raises:
        InputError: it can not fit; the text has the numbers.   CheckpointError: a file can not be read.
    """
    room = Room.on(device, limit, model.family.name)
    text, text_device = place_text(room, model.text_encoder, TEXT_ACTIVATIONS)
    codec, tiling = _plan_codec(room, model, size, references.picture)
    transformer, resident = _plan_transformer(room, model, size, frames, dtype, references)
    return MemoryPlan(
        device=device,
        limit=room.limit,
        phases=(text, *_plan_clip(room, model), transformer, *codec),
        resident=resident,
        tiling=tiling,
        text_device=text_device,
    )


def _plan_clip(room: Room, model: FoundModel) -> tuple[Phase, ...]:
    if model.clip_vision is None:
        return ()
    header = open_source(model.clip_vision, "image_encoder").header
    keys = [key for key in header.tensors if not key.startswith(("textual.", "text_model."))]
    weights = sum(2 * math.prod(header.shape(key)) for key in keys)
    phase = Phase("CLIP", weights, room.base + 100_000_000)
    room.check(phase, "Leave more memory free.")
    return (phase,)


def _plan_transformer(
    room: Room,
    model: FoundModel,
    size: tuple[int, int],
    frames: int,
    dtype: torch.dtype,
    references: ReferenceSizes,
) -> tuple[Phase, int | None]:
    stride = model.family.stride
    latents = ((frames - 1) // 4 + 1, size[1] // stride, size[0] // stride)
    sizes = [transformer_bytes(t.header, t.detected.names, dtype, t.loras) for t in model.transformers]
    work = room.base + max(_work_bytes(each, latents, dtype, references) for each in model.transformers)
    name = "transformer" if len(sizes) == 1 else "each expert"
    copies = max(copy_bytes(t.header, t.detected.names, room.device, dtype) for t in model.transformers)
    return place_blocks(room, name, "blocks", max(sizes, key=lambda each: each.total), copies, work)


def _work_bytes(
    found: FoundTransformer, latents: tuple[int, int, int], dtype: torch.dtype, references: ReferenceSizes
) -> int:
    config = found.detected.config
    if not isinstance(config, WanConfig):
        raise CheckpointMismatchError(
            f"model: expected a single video transformer, got two towers in {found.path}. Name a file of Wan."
        )
    tokens = sum(token_count(config, cells) for cells in (latents, *references.streams))
    states = 8 * 4 * math.prod(latents) * config.in_channels
    context = context_bytes(config, dtype)
    kept = references.key_values * dtype.itemsize + _stream_bytes(config, references)
    if references.key_values:
        # The queries from before RoPE, in float32, wait for the references.
        kept += 4 * tokens * config.dim
    return forward_bytes(config, tokens, dtype) + states + context + kept + unpack_bytes(found.header, dtype)


def _stream_bytes(config: WanConfig, references: ReferenceSizes) -> int:
    """Latents of the streams in float32, twice: as given, and in the working dtype at most."""
    return 8 * config.in_channels * sum(math.prod(cells) for cells in references.streams)


def _plan_codec(
    room: Room, model: FoundModel, size: tuple[int, int], picture: tuple[int, int] | None
) -> tuple[tuple[Phase, ...], Tiling | None]:
    weights = file_bytes(open_source(model.vae, "vae").header, torch.float32)
    family = model.family
    encoded = size if family.conditioning != "text" else picture

    def phases(tile: int | None, note: str) -> tuple[Phase, ...]:
        work = room.base + codec_bytes(family, size, tile, room.device, encodes=False)
        decode = Phase("VAE decode", weights, work, note)
        if encoded is None:
            return (decode,)
        work = room.base + codec_bytes(family, encoded, tile, room.device, encodes=True)
        return Phase("VAE encode", weights, work, note), decode

    return place_codec(room, phases)
