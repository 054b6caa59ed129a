"""What of a Wan model goes where, decided before anything is loaded."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..checkpoints.source import open_source
from ..checkpoints.text_umt5 import open_text_source
from ..dit.config import WanConfig
from ..errors import CheckpointMismatchError, InputError
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
from .wan_adapter import FoundTransformer
from .wan_family import WanFamily
from .wan_files import FoundModel
from .wan_reference_plan import NO_REFERENCES, ReferenceSizes

GB = 10**9
#: Sides of tiles that are tried where a whole picture does not fit, in pixels.
TILES = (512, 256, 128)


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the work: bytes of weights and of everything else on the device while it runs, and what is special."""

    name: str
    weights: int
    work: int
    note: str = ""

    @property
    def total(self) -> int:
        """Bytes on the device."""
        return self.weights + self.work


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """Where the parts are while they work. No two phases are in memory at the same time.

    Attributes:
        device, limit: where, and the bytes that may be used there (None: any).
        phases: in order.   resident: blocks of the transformer that stay on the device; None for all, in the fastest
            form; where that does not fit, all as they are loaded, else fewer.
        tiling: of the codec, None for whole pictures.   text_device: where the text encoder works.
    """

    device: str
    limit: int | None
    phases: tuple[Phase, ...]
    resident: int | None
    tiling: Tiling | None
    text_device: str

    @property
    def peak(self) -> int:
        """Most bytes on the device."""
        return max(phase.total for phase in self.phases)

    def lines(self) -> list[str]:
        """The plan as text, one line a phase."""
        limit = "no limit" if self.limit is None else f"limit {self.limit / GB:.1f} GB"
        width = max(len(phase.name) for phase in self.phases)
        return [
            f"memory on {self.device}, {limit}, peak {self.peak / GB:.2f} GB:",
            *(
                f"  {phase.name:{width}}  weights {phase.weights / GB:6.2f} GB, work {phase.work / GB:5.2f} GB"
                + (f": {phase.note}" if phase.note else "")
                for phase in self.phases
            ),
        ]


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
    is_cuda = torch.device(device).type == "cuda"
    if limit is None and is_cuda:
        limit = int(torch.cuda.mem_get_info(torch.device(device))[0])
    base = OVERHEAD if is_cuda else 0
    text, text_device = _plan_text(model, device, limit, base)
    codec, tiling = _plan_codec(model, size, limit, base, references.picture)
    transformer, resident = _plan_transformer(model, size, frames, (device, dtype), limit, base, references)
    return MemoryPlan(
        device=device,
        limit=limit,
        phases=(text, *_plan_clip(model, limit, base), transformer, *codec),
        resident=resident,
        tiling=tiling,
        text_device=text_device,
    )


def _plan_text(model: FoundModel, device: str, limit: int | None, base: int) -> tuple[Phase, str]:
    header = open_text_source(model.text_encoder).header
    weights = file_bytes(header, torch.bfloat16)
    work = TEXT_ACTIVATIONS + unpack_bytes(header, torch.bfloat16) + base
    if limit is None or weights + work <= limit:
        return Phase("text encoder", weights, work), device
    note = f"{weights / GB:.2f} GB do not fit; it works in main memory, on the processor"
    return Phase("text encoder", 0, 0, note), "cpu"


def _plan_clip(model: FoundModel, limit: int | None, base: int) -> tuple[Phase, ...]:
    if model.clip_vision is None:
        return ()
    header = open_source(model.clip_vision, "image_encoder").header
    keys = [key for key in header.tensors if not key.startswith(("textual.", "text_model."))]
    weights = sum(2 * math.prod(header.shape(key)) for key in keys)
    phase = Phase("CLIP", weights, base + 100_000_000)
    _check(phase, limit, model.family, "Leave more memory free.")
    return (phase,)


def _plan_transformer(
    model: FoundModel,
    size: tuple[int, int],
    frames: int,
    place: tuple[str, torch.dtype],
    limit: int | None,
    base: int,
    references: ReferenceSizes,
) -> tuple[Phase, int | None]:
    family, (device, dtype) = model.family, place
    latents = ((frames - 1) // 4 + 1, size[1] // family.stride, size[0] // family.stride)
    sizes = [transformer_bytes(t.header, t.detected.names, dtype, t.loras) for t in model.transformers]
    weights = max(sizes, key=lambda each: each.total)
    work = base + max(_work_bytes(each, latents, dtype, references) for each in model.transformers)
    name = "transformer" if len(sizes) == 1 else "each expert"
    copies = max(copy_bytes(t.header, t.detected.names, device, dtype) for t in model.transformers)
    note = f"{copies / GB:.2f} GB of them are copies for the processor" if copies else ""
    fastest, whole = Phase(name, weights.total + copies, work, note), Phase(name, weights.total, work)
    if limit is None or fastest.total <= limit:
        return fastest, None
    if whole.total <= limit:
        return whole, len(weights.blocks)
    resident = _resident_blocks(weights, limit - work)
    streamed = len(weights.blocks) - max(resident, 0)
    kept = weights.rest + sum(weights.blocks[: max(resident, 0)]) + 2 * max(weights.blocks)
    phase = Phase(
        name,
        kept,
        work,
        f"{max(resident, 0)} of {len(weights.blocks)} blocks stay, {streamed} come from main memory in turn",
    )
    _check(phase, limit, family, "Ask for a smaller size or fewer frames.")
    return phase, max(resident, 0)


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
    return forward_bytes(config, tokens, dtype) + states + context + kept + unpack_bytes(found.header, dtype)


def _stream_bytes(config: WanConfig, references: ReferenceSizes) -> int:
    """Latents of the streams in float32, twice: as given, and in the working dtype at most."""
    return 8 * config.in_channels * sum(math.prod(cells) for cells in references.streams)


def _resident_blocks(weights: WeightBytes, room: int) -> int:
    """Blocks that can stay beside two that visit; negative where not even those fit."""
    room -= weights.rest + 2 * max(weights.blocks)
    resident = 0
    for block in weights.blocks:
        if room < block:
            break
        room -= block
        resident += 1
    return resident if room >= 0 else -1


def _plan_codec(
    model: FoundModel,
    size: tuple[int, int],
    limit: int | None,
    base: int,
    picture: tuple[int, int] | None,
) -> tuple[tuple[Phase, ...], Tiling | None]:
    weights = file_bytes(open_source(model.vae, "vae").header, torch.float32)
    family = model.family

    def phases(tile: int | None) -> tuple[Phase, ...]:
        note = "" if tile is None else f"in tiles of {tile} pixels"
        parts = [Phase("VAE decode", weights, base + codec_bytes(family, size, tile, encodes=False), note)]
        encoded = size if family.conditioning != "text" else picture
        if encoded is not None:
            work = base + codec_bytes(family, encoded, tile, encodes=True)
            parts.insert(0, Phase("VAE encode", weights, work, note))
        return tuple(parts)

    for tile in (None, *TILES):
        parts = phases(tile)
        if limit is None or all(part.total <= limit for part in parts):
            return parts, None if tile is None else Tiling(size=tile)
    _check(max(phases(TILES[-1]), key=lambda part: part.total), limit, family, "Ask for a smaller size.")
    return phases(TILES[-1]), Tiling(size=TILES[-1])


def _check(phase: Phase, limit: int | None, family: WanFamily, remedy: str) -> None:
    if limit is not None and phase.total > limit:
        raise InputError(
            f"memory: expected at least {phase.total / GB:.2f} GB for the {phase.name} of {family.name} "
            f"({phase.weights / GB:.2f} GB of weights, {phase.work / GB:.2f} GB of work), got {limit / GB:.2f} GB. "
            f"{remedy}"
        )
