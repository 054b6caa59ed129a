"""A small residual network that turns face crops into embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ShapeError
from .config import FaceEncoderConfig


class _Bottleneck(nn.Module):
    """Pre-activation residual block: 1x1 down to half, 3x3, 1x1 up; starts as the identity."""

    def __init__(self, width: int, group_size: int) -> None:
        super().__init__()
        half = width // 2
        self.norm1 = nn.GroupNorm(width // group_size, width)
        self.conv1 = nn.Conv2d(width, half, 1, bias=False)
        self.norm2 = nn.GroupNorm(half // group_size, half)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, bias=False)
        self.norm3 = nn.GroupNorm(half // group_size, half)
        self.conv3 = nn.Conv2d(half, width, 1)
        nn.init.zeros_(self.conv3.weight)
        if self.conv3.bias is not None:
            nn.init.zeros_(self.conv3.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return `features` plus the residual, same shape (B, C, h, w)."""
        residual = self.conv1(functional.silu(self.norm1(features)))
        residual = self.conv2(functional.silu(self.norm2(residual)))
        return features + self.conv3(functional.silu(self.norm3(residual)))


class _Stage(nn.Module):
    """Stride-2 convolution followed by residual blocks: (B, C, h, w) -> (B, C', h/2, w/2)."""

    def __init__(self, width_in: int, width: int, blocks: int, group_size: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(width_in, width, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(_Bottleneck(width, group_size) for _ in range(blocks))
        self.norm = nn.GroupNorm(width // group_size, width)

    def forward(self, features: Tensor) -> Tensor:
        """Return the stage's normalised, activated features."""
        features = self.down(features)
        for block in self.blocks:
            features = block(features)
        return functional.silu(self.norm(features))


class FaceEncoder(nn.Module):
    """Face crops to face embeddings.

    Four stride-2 stages, then the mean of the feature map beside `pool_heads` attention-weighted means of it, then two
    linear layers. The embedding is layer-normalised without weights, so its length is about sqrt(embed_dim) for any
    picture and comparisons by cosine need no further step.

    Args:
        config: sizes; the defaults are nano's (about 1.1 M parameters and 24 M multiply-adds an image).
        device: where the parameters live.
        dtype: their type.
    """

    def __init__(
        self,
        config: FaceEncoderConfig,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        widths = (3, *config.widths)
        self.stages = nn.ModuleList(
            _Stage(widths[index], widths[index + 1], config.blocks[index], config.group_size)
            for index in range(len(config.widths))
        )
        last = config.widths[-1]
        self.pool = nn.Conv2d(last, config.pool_heads, 1)
        self.hidden = nn.Linear(last * (config.pool_heads + 1), config.hidden_dim)
        self.embed = nn.Linear(config.hidden_dim, config.embed_dim)
        self.to(device=device, dtype=dtype)

    def forward(self, faces: Tensor) -> Tensor:
        """Encode face crops.

        Args:
            faces: (B, 3, image_size, image_size), RGB in [-1, 1].
        Returns:
            face_embeds, (B, embed_dim), each of mean 0 and variance 1 over its entries.
        Raises:
            ShapeError: not a batch of crops of the configured size.
        """
        size = self.config.image_size
        if faces.ndim != 4 or tuple(faces.shape[1:]) != (3, size, size):
            raise ShapeError(
                f"faces: expected (B, 3, {size}, {size}), got {tuple(faces.shape)}. "
                f"Cut the face out with crop_face(..., size={size})."
            )
        features = faces
        for stage in self.stages:
            features = stage(features)
        weights = self.pool(features).flatten(2).softmax(dim=-1)
        flat = features.flatten(2)
        attended = torch.einsum("bhp,bcp->bhc", weights, flat).flatten(1)
        pooled = torch.cat((flat.mean(dim=-1), attended), dim=-1)
        embeds = self.embed(functional.silu(self.hidden(pooled)))
        return functional.layer_norm(embeds, (self.config.embed_dim,))
