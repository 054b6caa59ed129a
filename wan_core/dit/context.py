"""What conditions a tower besides its own tokens, turned into keys and values once instead of at every step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

#: Fewest equal rows at the end of a context that are worth merging.
MIN_PADDING = 16


class KeyValue(NamedTuple):
    """Keys and values, (B or 1, heads, N, head_dim).   bias: (N,), added to the scores, or None."""

    key: Tensor
    value: Tensor
    bias: Tensor | None = None

    def to(self, device: torch.device | str | None, dtype: torch.dtype | None) -> KeyValue:
        """Return the same elsewhere or in another dtype."""
        bias = None if self.bias is None else self.bias.to(device=device, dtype=dtype)
        return KeyValue(
            self.key.to(device=device, dtype=dtype), self.value.to(device=device, dtype=dtype), bias
        )


class BlockContext(NamedTuple):
    """What the cross-attention of one block reads: the text, and the image where the model has image embeddings."""

    text: KeyValue
    image: KeyValue | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the keys."""
        return self.text.key.dtype


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedContext:
    """Keys and values of a prompt (and CLIP embeddings) for every block of a tower; made by `WanModel.prepare`.

    Valid as long as the weights that it was made with. blocks: one entry per block, in order.
    """

    blocks: tuple[BlockContext, ...]

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the keys."""
        return self.blocks[0].dtype

    @property
    def device(self) -> torch.device:
        """Where the keys are."""
        return self.blocks[0].text.key.device

    @property
    def batch(self) -> int:
        """Number of samples, 1 where it serves any batch."""
        return self.blocks[0].text.key.shape[0]

    @property
    def nbytes(self) -> int:
        """Memory of all keys and values, in bytes."""
        parts = [part for block in self.blocks for part in block if part is not None]
        return sum(part.key.nbytes + part.value.nbytes for part in parts)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> PreparedContext:
        """Return the same elsewhere or in another dtype; itself where nothing changes."""
        is_same = device is None or torch.device(device) == self.device
        if is_same and dtype in (None, self.dtype):
            return self
        blocks = [
            BlockContext(text.to(device, dtype), None if image is None else image.to(device, dtype))
            for text, image in self.blocks
        ]
        return PreparedContext(blocks=tuple(blocks))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedJointContext:
    """`PreparedContext` of both towers of a joint model; made by `JointModel.prepare`."""

    video: PreparedContext
    audio: PreparedContext

    @property
    def nbytes(self) -> int:
        """Memory of all keys and values, in bytes."""
        return self.video.nbytes + self.audio.nbytes

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> PreparedJointContext:
        """Return the same elsewhere or in another dtype."""
        return PreparedJointContext(video=self.video.to(device, dtype), audio=self.audio.to(device, dtype))


def merge_padding(context: Tensor) -> tuple[Tensor, Tensor | None]:
    """Replace the equal rows at the end of a context by a few that weigh as much together.

    Wan attends to the zero rows that fill a prompt up to 512, without a mask. Equal rows have equal keys and values
    and no positions, so n of them act as one whose score is log(n) higher.

    Args: context: (B, L, width); rows count as padding from where they are equal in every sample.
    Returns: (B, N, width) and what to add to the scores, (N,), float32; or the context itself and None where there
        are fewer than `MIN_PADDING` such rows.
    Source: Wan-Video/Wan2.1@9737cba wan/modules/model.py WanModel.forward (the padding).
    """
    differs = (context != context[:, -1:]).any(dim=-1).any(dim=0)
    kept = int(differs.nonzero().max()) + 1 if bool(differs.any()) else 0
    count = context.shape[1] - kept
    if count < MIN_PADDING:
        return context, None
    biases = padding_biases(count)
    rows = torch.cat((context[:, :kept], context[:, -1:].expand(-1, len(biases), -1)), dim=1)
    return rows, torch.tensor([0.0] * kept + biases, device=context.device)


def padding_biases(count: int) -> list[float]:
    """Numbers whose exponentials sum to `count` within 1e-7 of it.

    One number, log(count), would lose up to 2 % of the weight when it is rounded to bfloat16, as attention on GPUs
    demands of what is added to scores. Multiples of 1/32 below 8 in size are exact in bfloat16.
    """
    rest, biases = float(count), list[float]()
    while rest > 1e-7 * count:
        biases.append(min(math.floor(math.log(rest) * 32) / 32, 7.96875))
        rest -= math.exp(biases[-1])
    return biases
