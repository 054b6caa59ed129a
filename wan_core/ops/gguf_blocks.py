"""Blocks of GGUF weights to numbers, in torch, on the device where the blocks lie.

A block holds 32 or 256 neighbouring values of a row as small integers and what scales them. The layouts are those of
ggml's block structures; every function here gives the same float32 numbers as `gguf.quants.dequantize`.
Source of the layouts: ggml-org/llama.cpp gguf-py/gguf/quants.py (MIT), gguf 0.19.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

#: Values of the 16 codes of the non-linear four-bit types.
_CODES = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)


class BlockType(NamedTuple):
    """A way of packing: `values` numbers in `size` bytes; `unpack` turns (N, size) uint8 into (N, values) float32."""

    values: int
    size: int
    unpack: Callable[[Tensor], Tensor]


def _half(blocks: Tensor, start: int) -> Tensor:
    """The float16 number at a byte, (N, 1)."""
    return blocks[:, start : start + 2].contiguous().view(torch.float16).float()


def _fields(packed: Tensor, run: int, bits: int) -> Tensor:
    """Bit fields of bytes (N, M) as (N, M * 8 / bits): of every run of bytes first all lowest fields, then the next."""
    shifts = torch.arange(0, 8, bits, dtype=torch.uint8, device=packed.device).view(1, 1, -1, 1)
    parts = packed.reshape(packed.shape[0], -1, 1, run) >> shifts
    return (parts & (2**bits - 1)).flatten(1)


def _bits(packed: Tensor) -> Tensor:
    """Single bits of bytes (N, M) in order, lowest first: (N, 8 M)."""
    return _fields(packed.unsqueeze(-1).flatten(1), 1, 1)


def _signed(values: Tensor, offset: int) -> Tensor:
    """Values below 128, less an offset, as float32."""
    return (values.to(torch.int8) - offset).float()


def _spread(factors: Tensor, values: Tensor) -> Tensor:
    """Multiply values (N, V) by one factor (N, G) for each of G equal runs."""
    count, groups = factors.shape
    return (factors.unsqueeze(-1) * values.view(count, groups, -1)).flatten(1)


def _q4_0(b: Tensor) -> Tensor:
    return _half(b, 0) * _signed(_fields(b[:, 2:], 16, 4), 8)


def _q4_1(b: Tensor) -> Tensor:
    return _half(b, 0) * _fields(b[:, 4:], 16, 4).float() + _half(b, 2)


def _five(low: Tensor, high: Tensor) -> Tensor:
    return _fields(low, 16, 4) | (_bits(high) << 4)


def _q5_0(b: Tensor) -> Tensor:
    return _half(b, 0) * _signed(_five(b[:, 6:], b[:, 2:6]), 16)


def _q5_1(b: Tensor) -> Tensor:
    return _half(b, 0) * _five(b[:, 8:], b[:, 4:8]).float() + _half(b, 2)


def _q8_0(b: Tensor) -> Tensor:
    return b[:, 2:].contiguous().view(torch.int8).float() * _half(b, 0)


def _q2_k(b: Tensor) -> Tensor:
    scales = b[:, :16]
    values = _fields(b[:, 16:80], 32, 2).float()
    least = (_half(b, 82) * (scales >> 4).float()).repeat_interleave(16, dim=1)
    return _spread(_half(b, 80) * (scales & 15).float(), values) - least


def _q3_k(b: Tensor) -> Tensor:
    low, high = _fields(b[:, 96:104], 8, 4), _fields(b[:, 104:108], 4, 2)
    scales = _signed(low | (high << 4), 32)
    # A set bit of the mask means that nothing is taken away.
    missing = 1 - _fields(b[:, :32], 32, 1).to(torch.int8)
    values = _fields(b[:, 32:96], 32, 2).to(torch.int8) - (missing << 2)
    return _spread(_half(b, 108) * scales, values.float())


def _six_bit_pairs(packed: Tensor) -> tuple[Tensor, Tensor]:
    """Eight scales and eight minima, (N, 8) each, from twelve bytes (N, 12)."""
    first, second, rest = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = torch.cat((first & 63, (rest & 15) | ((first >> 2) & 48)), dim=1)
    minima = torch.cat((second & 63, (rest >> 4) | ((second >> 2) & 48)), dim=1)
    return scales.float(), minima.float()


def _scaled_less_least(b: Tensor, values: Tensor) -> Tensor:
    """What Q4_K and Q5_K share: each run of 32 has a scale and a minimum."""
    scales, minima = _six_bit_pairs(b[:, 4:16])
    least = (_half(b, 2) * minima).repeat_interleave(32, dim=1)
    return _spread(_half(b, 0) * scales, values.float()) - least


def _q4_k(b: Tensor) -> Tensor:
    return _scaled_less_least(b, _fields(b[:, 16:], 32, 4))


def _q5_k(b: Tensor) -> Tensor:
    return _scaled_less_least(b, _fields(b[:, 48:], 32, 4) | (_fields(b[:, 16:48], 32, 1) << 4))


def _q6_k(b: Tensor) -> Tensor:
    values = _signed(_fields(b[:, :128], 64, 4) | (_fields(b[:, 128:192], 32, 2) << 4), 32)
    scales = b[:, 192:208].contiguous().view(torch.int8).float()
    return _spread(_half(b, 208) * scales, values)


def _codes(packed: Tensor) -> Tensor:
    table = torch.tensor(_CODES, dtype=torch.float32, device=packed.device)
    return table[_fields(packed, 16, 4).int()]


def _iq4_nl(b: Tensor) -> Tensor:
    return _half(b, 0) * _codes(b[:, 2:])


def _iq4_xs(b: Tensor) -> Tensor:
    low, high = _fields(b[:, 4:8], 1, 4), _fields(b[:, 2:4], 1, 2)
    return _spread(_half(b, 0) * _signed(low | (high << 4), 32), _codes(b[:, 8:]))


#: Packed types by the name that GGUF gives them.
BLOCK_TYPES = MappingProxyType(
    {
        "Q4_0": BlockType(32, 18, _q4_0),
        "Q4_1": BlockType(32, 20, _q4_1),
        "Q5_0": BlockType(32, 22, _q5_0),
        "Q5_1": BlockType(32, 24, _q5_1),
        "Q8_0": BlockType(32, 34, _q8_0),
        "Q2_K": BlockType(256, 84, _q2_k),
        "Q3_K": BlockType(256, 110, _q3_k),
        "Q4_K": BlockType(256, 144, _q4_k),
        "Q5_K": BlockType(256, 176, _q5_k),
        "Q6_K": BlockType(256, 210, _q6_k),
        "IQ4_NL": BlockType(32, 18, _iq4_nl),
        "IQ4_XS": BlockType(256, 136, _iq4_xs),
    }
)
