"""Weights that stay packed in memory (fp8, int8, GGUF) and are unpacked one layer at a time, when it runs.

No packed matrix product is used, so every device can run every format; what comes out is what a layer with the
unpacked weight gives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import CheckpointError, ShapeError
from .gguf_blocks import BLOCK_TYPES

#: Formats with one stored number per value, by the name that safetensors gives them.
VALUE_TYPES = MappingProxyType(
    {"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "I8": torch.int8}
)
#: Values unpacked at a time: bounds what unpacking needs beside its result.
CHUNK = 1 << 22


@dataclass(frozen=True, slots=True)
class PackedWeight:
    """A weight as its file holds it.

    format: a key of `VALUE_TYPES` or of `gguf_blocks.BLOCK_TYPES`.   shape: of the unpacked weight.
    data: its bytes, uint8, one axis.   scale: float32, one number or one per row, that the stored numbers are
    multiplied by; None: by nothing.
    Raises: CheckpointError: an unknown format, or bytes that do not fit the shape.
    """

    format: str
    shape: tuple[int, ...]
    data: Tensor
    scale: Tensor | None = None

    def __post_init__(self) -> None:
        expected = packed_bytes(self.format, self.shape)
        if self.data.dtype != torch.uint8 or self.data.shape != (expected,):
            raise CheckpointError(
                f"packed weight {self.format} of shape {self.shape}: expected {expected} bytes, got "
                f"{self.data.dtype} {tuple(self.data.shape)}. The file is damaged: download it again."
            )
        if self.scale is not None and self.scale.numel() not in (1, self.shape[0]):
            raise CheckpointError(
                f"scale of a packed weight: expected 1 or {self.shape[0]} numbers, got {self.scale.numel()}. "
                "Use a version of the file that is scaled as a whole or row by row."
            )

    def unpack(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The weight in `shape`, in `dtype`, where the data lies; computed in float32, rounded once."""
        if self.format in VALUE_TYPES and self.scale is None:
            return self.data.view(VALUE_TYPES[self.format]).to(dtype).view(self.shape)
        size, values = (self._row_bytes, self._row_values) if self._has_rows else self._block
        result = torch.empty((self.data.numel() // size, values), dtype=dtype, device=self.data.device)
        step = max(1, CHUNK // values)
        for start in range(0, result.shape[0], step):
            rows = slice(start, start + step)
            result[rows] = self._unpack_rows(self.data.view(-1, size)[rows], rows)
        return result.view(self.shape)

    def rows(self, index: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Some rows of a matrix, (*index.shape, width), without unpacking the others."""
        if not self._has_rows:
            return self.unpack(dtype)[index]
        flat = index.flatten()
        packed = self.data.view(-1, self._row_bytes)[flat]
        scale = self.scale
        if scale is not None and scale.numel() > 1:
            scale = scale.flatten()[flat]
        chosen = replace(self, shape=(flat.numel(), *self.shape[1:]), data=packed.flatten(), scale=scale)
        return chosen.unpack(dtype).view(*index.shape, *self.shape[1:])

    @property
    def _block(self) -> tuple[int, int]:
        """Bytes and values of the smallest piece that can be unpacked by itself."""
        if self.format in VALUE_TYPES:
            return 1, 1
        return BLOCK_TYPES[self.format].size, BLOCK_TYPES[self.format].values

    @property
    def _row_values(self) -> int:
        return math.prod(self.shape[1:])

    @property
    def _row_bytes(self) -> int:
        size, values = self._block
        return self._row_values // values * size

    @property
    def _has_rows(self) -> bool:
        """Whether every row begins with a block of its own."""
        return self._row_values % self._block[1] == 0

    def _unpack_rows(self, packed: Tensor, rows: slice) -> Tensor:
        """Rows (or, without rows, blocks) as float32."""
        if self.format in BLOCK_TYPES:
            kind = BLOCK_TYPES[self.format]
            values = kind.unpack(packed.reshape(-1, kind.size)).view(packed.shape[0], -1)
        else:
            values = packed.view(VALUE_TYPES[self.format]).float()
        if self.scale is None:
            return values
        scale = self.scale.float().view(-1, 1)
        return values * (scale[rows] if scale.shape[0] > 1 else scale)


def packed_bytes(format: str, shape: tuple[int, ...]) -> int:
    """Bytes that a weight of a shape takes in a format.

    Raises: CheckpointError: an unknown format, or a size that is no whole number of blocks.
    """
    count = math.prod(shape)
    if format in VALUE_TYPES:
        return count
    if format not in BLOCK_TYPES:
        known = ", ".join((*VALUE_TYPES, *BLOCK_TYPES))
        raise CheckpointError(
            f"format of a packed weight: expected one of {known}, got {format}. Use another version of the model."
        )
    kind = BLOCK_TYPES[format]
    if count % kind.values:
        raise CheckpointError(
            f"weight packed as {format}: expected a multiple of {kind.values} values, got {shape}. "
            "The file is damaged: download it again."
        )
    return count // kind.values * kind.size


class _Quantized(nn.Module):
    """Holds a packed weight in buffers of integers, which `.to(dtype)` leaves alone."""

    #: There is no unpacked weight to look at; see `packed_weight`.
    weight: None = None
    packed: Tensor
    scale_bits: Tensor | None

    def __init__(self, packed: PackedWeight) -> None:
        super().__init__()
        self.format = packed.format
        self.shape = packed.shape
        self.register_buffer("packed", packed.data)
        scale = packed.scale
        self.register_buffer(
            "scale_bits", None if scale is None else scale.float().contiguous().view(torch.int32)
        )

    @property
    def packed_weight(self) -> PackedWeight:
        """The weight, where the module is now."""
        scale = None if self.scale_bits is None else self.scale_bits.view(torch.float32)
        return PackedWeight(self.format, self.shape, self.packed, scale)

    def extra_repr(self) -> str:
        """Shape and format, for `print(model)`."""
        return f"{' x '.join(map(str, self.shape))}, {self.format}"


class QuantizedLinear(_Quantized):
    """As torch.nn.Linear with a weight that stays packed.

    Args: packed: (out, in).   bias: (out,), any floating dtype, or None.
    Raises: ShapeError: they do not belong together.
    """

    def __init__(self, packed: PackedWeight, bias: Tensor | None = None) -> None:
        super().__init__(packed)
        if len(packed.shape) != 2 or (bias is not None and bias.shape != packed.shape[:1]):
            raise ShapeError(
                f"packed layer: expected a weight (out, in) and a bias (out,), got {packed.shape} and "
                f"{None if bias is None else tuple(bias.shape)}. Load the file that both belong to."
            )
        self.out_features, self.in_features = packed.shape
        self.bias: nn.Parameter | None = None if bias is None else nn.Parameter(bias, requires_grad=False)

    @property
    def work_dtype(self) -> torch.dtype:
        """Dtype that the model was loaded for, as the plain layers beside it have: that of the bias."""
        return torch.float32 if self.bias is None else self.bias.dtype

    def forward(self, x: Tensor) -> Tensor:
        """Return x (..., in) times the weight, plus the bias: (..., out), in the dtype of x."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return F.linear(x, self.packed_weight.unpack(x.dtype), bias)


class QuantizedEmbedding(_Quantized):
    """As torch.nn.Embedding with a table that stays packed; only the rows asked for are unpacked.

    Args: packed: (rows, width).   dtype: of what comes out.
    """

    def __init__(self, packed: PackedWeight, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(packed)
        self.num_embeddings, self.embedding_dim = packed.shape
        self.dtype = dtype

    def forward(self, index: Tensor) -> Tensor:
        """Return the rows at `index` (...): (..., width)."""
        return self.packed_weight.rows(index, self.dtype)


def put_packed(model: nn.Module, name: str, packed: PackedWeight, dtype: torch.dtype) -> bool:
    """Replace the layer of a parameter by one that keeps it packed, if it is a linear layer or an embedding.

    Args: name: of the parameter, as in `model.state_dict()`.   dtype: what an embedding gives.
    Returns: whether it was replaced; the weight of any other layer must be unpacked by the caller. The bias of the
        layer stays the tensor that it was.
    """
    path, _, leaf = name.rpartition(".")
    parent_path, _, own = path.rpartition(".")
    layer, parent = model.get_submodule(path), model.get_submodule(parent_path)
    weight = getattr(layer, "weight", None)
    if leaf != "weight" or not own or not isinstance(weight, Tensor) or weight.ndim != 2:
        return False
    if isinstance(layer, nn.Embedding):
        setattr(parent, own, QuantizedEmbedding(packed, dtype))
        return True
    if hasattr(layer, "in_features"):
        bias = getattr(layer, "bias", None)
        setattr(parent, own, QuantizedLinear(packed, bias if isinstance(bias, Tensor) else None))
        return True
    return False
