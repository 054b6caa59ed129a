"""The identity encoder as one module: the faces of a person in, identity tokens out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import ShapeError
from ..protocols import TORCH_OPERATIONS, Operations
from .config import IdentityConfig
from .encoder import FaceEncoder
from .resampler import Resampler


class IdentityEncoder(nn.Module):
    """Face encoder and resampler.

    Args:
        config: both parts' sizes.
        operations: factory of the resampler's layers.
        device: where the parameters live.
        dtype: their type.
    """

    def __init__(
        self,
        config: IdentityConfig,
        *,
        operations: Operations = TORCH_OPERATIONS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.face_encoder = FaceEncoder(config.face, device=device, dtype=dtype)
        self.resampler = Resampler(config.resampler, operations=operations, device=device, dtype=dtype)

    def forward(self, faces: Tensor) -> Tensor:
        """Encode people.

        Args:
            faces: (B, K, 3, S, S) in [-1, 1]: K crops of each of B people.
        Returns:
            identity_tokens, (B, N, D).
        Raises:
            ShapeError: another shape.
        """
        if faces.ndim != 5:
            raise ShapeError(
                f"faces: expected (B, K, 3, S, S), got {tuple(faces.shape)}. Stack the K crops of each person."
            )
        embeds = self.face_encoder(faces.flatten(0, 1)).unflatten(0, tuple(faces.shape[:2]))
        return self.resampler(embeds)

    def absent(self, batch: int) -> Tensor:
        """Return the tokens of "no person", (batch, N, D): what the resampler makes of a zero embedding."""
        weight = self.resampler.proj_in.weight
        return self.resampler(weight.new_zeros(batch, 1, self.config.resampler.in_dim))
