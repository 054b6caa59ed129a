"""Bytes that the parts of a Wan model need, from headers and sizes alone."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..checkpoints.header import DTYPE_BYTES, Header, read_header
from ..checkpoints.lora import Lora
from ..dit.config import WanConfig
from ..dit.execution import is_held_twice
from ..ops.quantized import packed_bytes
from .wan_family import VAE_21, VAE_22, WanFamily

_BLOCK = re.compile(r"(?:.*\.)?blocks\.(\d+)\.")
_FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
#: Bytes of a scale that a packed weight has beside it.
_SCALE = 4
#: Bytes of a token's place in the table of rotations, for a head 128 wide.
_ROTATION = 512
#: Bytes a pixel of the picture while the codec works in float32, (encode, decode), by latent channels: measured on the
#: published sizes with a tenth added; decoding by 2.2 is derived from 2.1's, by the widths and the pixels a cell.
CODEC_BYTES = {VAE_21: (9_100, 14_900), VAE_22: (4_900, 10_000)}
#: Bytes that decoding holds on a processor, where sums take the place of past frames (`vae.execution`): whatever the
#: picture, and a pixel; measured at 192*192 and 384*288 with a tenth added.
PROCESSOR_DECODE_BYTES = {VAE_21: (75_000_000, 11_100), VAE_22: (415_000_000, 7_200)}
#: Part of a tiled picture that a tile sees beside its own pixels, in pixels on each side.
TILE_MARGIN = 48
#: Bytes of the context of a CUDA program and of its libraries' buffers.
OVERHEAD = 800_000_000
#: Activations of the text encoder for two prompts of 512 tokens, in bfloat16.
TEXT_ACTIVATIONS = 400_000_000


@dataclass(frozen=True, slots=True)
class WeightBytes:
    """Bytes of a transformer once it is loaded: outside of the blocks, and of each block in order."""

    rest: int
    blocks: tuple[int, ...]

    @property
    def total(self) -> int:
        """All of it."""
        return self.rest + sum(self.blocks)


def transformer_bytes(
    header: Header, names: Mapping[str, str], dtype: torch.dtype, loras: tuple[Lora, ...] = ()
) -> WeightBytes:
    """Bytes of a transformer.

    Args:
        names: stored key -> parameter.   dtype: in which plain weights are loaded; packed matrices stay packed.
        loras: merged into plain weights without growing them; beside packed ones their matrices stay in float32.
    Raises: CheckpointError: a LoRA file can not be read.
    """
    rest, blocks = 0, dict[int, int]()
    for key, name in names.items():
        size = tensor_bytes(header, key, dtype)
        match = _BLOCK.match(name)
        if match is None:
            rest += size
        else:
            blocks[int(match[1])] = blocks.get(int(match[1]), 0) + size
    ordered = [blocks[number] for number in sorted(blocks)]
    if header.packing and ordered:
        added = sum(_lora_bytes(lora) for lora in loras)
        ordered = [size + added // len(ordered) for size in ordered]
    return WeightBytes(rest, tuple(ordered))


def copy_bytes(header: Header, names: Mapping[str, str], device: str, dtype: torch.dtype) -> int:
    """Bytes of the second copies of weights that the fastest form of a transformer holds on a processor, in float32.

    Args: as `transformer_bytes`.
    """
    if torch.device(device).type != "cpu" or dtype != torch.float32:
        return 0
    plain = [key for key, name in names.items() if is_held_twice(name) and key not in header.packing]
    return sum(tensor_bytes(header, key, dtype) for key in plain)


def file_bytes(header: Header, dtype: torch.dtype | None) -> int:
    """Bytes of everything in a file once it is loaded; None keeps the stored dtypes."""
    return sum(tensor_bytes(header, key, dtype) for key in header.tensors)


def tensor_bytes(header: Header, key: str, dtype: torch.dtype | None) -> int:
    """Bytes of one tensor once it is loaded."""
    info = header.tensors[key]
    packing = header.packing.get(key)
    if packing is not None and len(info.shape) == 2:
        return packed_bytes(packing.format, info.shape) + (0 if packing.scale is None else _SCALE)
    is_float = packing is not None or info.dtype in _FLOATS
    size = dtype.itemsize if is_float and dtype is not None else DTYPE_BYTES.get(info.dtype, 4)
    return math.prod(info.shape) * size


def token_count(config: WanConfig, latents: tuple[int, int, int]) -> int:
    """Tokens of latents (frames, height, width)."""
    return math.prod(-(-size // patch) for size, patch in zip(latents, config.patch_size, strict=True))


def forward_bytes(config: WanConfig, tokens: int, dtype: torch.dtype) -> int:
    """Most that one forward of a block holds beside the weights, for one sample.

    The stream is float32; the widest moments are the queries, keys and values of the self-attention, and the inner
    layer of the feed-forward. Attention itself keeps no scores (flash or memory-efficient kernels).
    """
    size = dtype.itemsize
    attention = (14 + 7 * size // 2) * config.dim
    feed_forward = (8 + size) * config.dim + 2 * size * config.ffn_dim
    return tokens * (max(attention, feed_forward) + _ROTATION)


def context_bytes(config: WanConfig, dtype: torch.dtype, prompts: int = 2, rows: int = 512) -> int:
    """Keys and values of the prompts for all blocks, where no padding can be merged; CLIP tokens included."""
    images = 0 if config.image_dim is None else (config.image_positions or 257)
    return prompts * 2 * (rows + images) * config.dim * config.num_layers * dtype.itemsize


def unpack_bytes(header: Header, dtype: torch.dtype) -> int:
    """Room for one packed weight while its layer unpacks it: the largest in the working dtype."""
    return max((math.prod(header.shape(key)) * dtype.itemsize for key in header.packing), default=0)


def codec_bytes(
    family: WanFamily, size: tuple[int, int], tile: int | None, device: str, *, encodes: bool
) -> int:
    """Activations of the codec while it works on a picture of a size (width, height), or on one tile of it."""
    sides = size if tile is None else tuple(min(side, tile + 2 * TILE_MARGIN) for side in size)
    pixels, kind = sides[0] * sides[1], family.latent_channels
    pieces = CODEC_BYTES[kind][0 if encodes else 1] * pixels
    if torch.device(device).type == "cpu" and not encodes:
        base, each = PROCESSOR_DECODE_BYTES[kind]
        pieces = min(pieces, base + each * pixels)
    # The finished frames of a window wait for the tiles that are not done yet.
    waiting = 0 if tile is None else 16 * 3 * 4 * size[0] * size[1]
    return pieces + waiting


def _lora_bytes(lora: Lora) -> int:
    return file_bytes(read_header(lora.path), torch.float32)
