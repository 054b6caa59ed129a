"""A plan of memory, and how every kind of part finds its place in it: whole, in pieces, or on the processor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ..checkpoints.text_umt5 import open_text_source
from ..errors import InputError
from ..vae.tiling import Tiling
from .memory import OVERHEAD, WeightBytes, file_bytes, unpack_bytes

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What there is to plan with.

    Attributes:
        device: where the parts work.   limit: bytes that may be used there, None for any.
        base: bytes that every phase needs beside its own.   model: name, for errors.
    """

    device: str
    limit: int | None
    base: int
    model: str

    @classmethod
    def on(cls, device: str, limit: int | None, model: str) -> Room:
        """Room on a device; without a limit what is free on a GPU, any on the processor."""
        is_cuda = torch.device(device).type == "cuda"
        if limit is None and is_cuda:
            limit = int(torch.cuda.mem_get_info(torch.device(device))[0])
        return cls(device=device, limit=limit, base=OVERHEAD if is_cuda else 0, model=model)

    def holds(self, *phases: Phase) -> bool:
        """Whether each of the phases fits."""
        return self.limit is None or all(phase.total <= self.limit for phase in phases)

    def check(self, phase: Phase, remedy: str) -> None:
        """Raise InputError with the numbers and the remedy where a phase does not fit."""
        if self.limit is not None and phase.total > self.limit:
            raise InputError(
                f"memory: expected at least {phase.total / GB:.2f} GB for the {phase.name} of {self.model} "
                f"({phase.weights / GB:.2f} GB of weights, {phase.work / GB:.2f} GB of work), got "
                f"{self.limit / GB:.2f} GB. {remedy}"
            )


def place_text(room: Room, path: Path, activations: int) -> tuple[Phase, str]:
    """Plan the text encoder: on the device, or on the processor where it does not fit.

    Args: path: of umT5.   activations: bytes of its activations.
    Returns: the phase, and the device.
    """
    header = open_text_source(path).header
    phase = Phase(
        "text encoder",
        file_bytes(header, torch.bfloat16),
        activations + unpack_bytes(header, torch.bfloat16) + room.base,
    )
    if room.holds(phase):
        return phase, room.device
    note = f"{phase.weights / GB:.2f} GB do not fit; it works in main memory, on the processor"
    return Phase(phase.name, 0, 0, note), "cpu"


def place_codec(
    room: Room, phases: Callable[[int | None, str], tuple[Phase, ...]]
) -> tuple[tuple[Phase, ...], Tiling | None]:
    """Plan the video codec: whole pictures, else the largest tiles that fit.

    Args: phases: of the codec, from the side of its tiles (None for whole pictures) and a note on them.
    Raises: InputError: the smallest tiles do not fit either.
    """
    parts: tuple[Phase, ...] = ()
    for tile in (None, *TILES):
        parts = phases(tile, "" if tile is None else f"in tiles of {tile} pixels")
        if room.holds(*parts):
            return parts, None if tile is None else Tiling(size=tile)
    room.check(max(parts, key=lambda part: part.total), "Ask for a smaller size.")
    return parts, Tiling(size=TILES[-1])


def place_blocks(
    room: Room, name: str, unit: str, weights: WeightBytes, copies: int, work: int
) -> tuple[Phase, int | None]:
    """Plan a transformer: in the fastest form, as it is loaded, else with blocks that visit the device in turn.

    Args:
        name: of the phase.   unit: what visits ("blocks").   copies: bytes of the fastest form's second copies.
        work: bytes beside the weights.
    Returns: the phase, and the blocks that stay; None for all, in the fastest form.
    Raises: InputError: not even two blocks that visit fit.
    """
    count = len(weights.blocks)
    note = f"{copies / GB:.2f} GB of them are copies for the processor" if copies else ""
    fastest, whole = Phase(name, weights.total + copies, work, note), Phase(name, weights.total, work)
    if room.limit is None or room.holds(fastest):
        return fastest, None
    if room.holds(whole):
        return whole, count
    resident = _resident_blocks(weights, room.limit - work)
    phase = Phase(
        name,
        weights.rest + sum(weights.blocks[:resident]) + 2 * max(weights.blocks),
        work,
        f"{resident} of {count} {unit} stay, {count - resident} come from main memory in turn",
    )
    room.check(phase, "Ask for a smaller size or fewer frames.")
    return phase, resident


def _resident_blocks(weights: WeightBytes, room: int) -> int:
    """Blocks that can stay beside two that visit."""
    room -= weights.rest + 2 * max(weights.blocks)
    resident = 0
    for block in weights.blocks:
        if room < block:
            break
        room -= block
        resident += 1
    return resident
