"""CLIP's picture tower (ViT-H/14 of open-clip's xlm-roberta model), whose tokens Wan2.1 image-to-video attends to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ConfigError, MissingDependencyError, ShapeError

#: Mean and standard deviation of CLIP's training pictures, RGB in [0, 1].
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipImageConfig:
    """Sizes of the tower.

    dim, ffn_dim, num_heads: of a block.   num_layers: blocks that are run: one less than the published tower has, since
    the tokens before its last block are what Wan was trained on.
    image_size: side of the square picture in pixels, a multiple of patch_size.   activation: transformers' name.
    """

    dim: int = 1280
    ffn_dim: int = 5120
    num_heads: int = 16
    num_layers: int = 31
    patch_size: int = 14
    image_size: int = 224
    eps: float = 1e-5
    activation: str = "gelu"

    def __post_init__(self) -> None:
        if self.dim % self.num_heads:
            raise ConfigError(
                f"dim: expected a multiple of num_heads {self.num_heads}, got {self.dim}. Correct the configuration."
            )
        if self.image_size % self.patch_size:
            raise ConfigError(
                f"image_size: expected a multiple of patch_size {self.patch_size}, got {self.image_size}. "
                "Correct the configuration."
            )

    @property
    def tokens(self) -> int:
        """Tokens of one picture: its patches and the class token."""
        return (self.image_size // self.patch_size) ** 2 + 1


class ClipImageEncoder(nn.Module):
    """Pictures to the tokens that `WanModel` takes as `image_embeds`.

    Args: config: sizes.
    Raises: MissingDependencyError: transformers is not installed.
    Source: Wan-Video/Wan2.1@9737cba wan/modules/clip.py (CLIPModel.visual, use_31_block). Differs: the last block,
        whose output nobody reads, is not there at all.
    """

    def __init__(self, config: ClipImageConfig) -> None:
        super().__init__()
        self.config = config
        self.vision = _make_tower(config)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @torch.no_grad()
    def encode(self, pictures: Sequence[Tensor]) -> Tensor:
        """Encode the first frame of a clip, or its first and last.

        Each picture is squeezed to a square (bicubic, not antialiased, as the official code does) and normalised.

        Args: pictures: (3, H, W) RGB in [-1, 1], of any sizes.
        Returns: (1, pictures * tokens, dim), those of the pictures one after the other, on the tower's device.
        Raises: ShapeError: no picture, or one of another shape.
        """
        if not pictures or any(p.ndim != 3 or p.shape[0] != 3 or 0 in p.shape for p in pictures):
            got = [tuple(picture.shape) for picture in pictures]
            raise ShapeError(
                f"pictures: expected (3, H, W) each, at least one, got {got}. Give RGB pictures."
            )
        side = (self.config.image_size, self.config.image_size)
        weight = next(self.parameters())
        squares = torch.cat(
            [functional.interpolate(p[None].float(), size=side, mode="bicubic") for p in pictures]
        ).to(weight.device)
        mean, std = squares.new_tensor(MEAN)[:, None, None], squares.new_tensor(STD)[:, None, None]
        pixels = ((squares * 0.5 + 0.5) - mean) / std
        tokens: Tensor = self.vision(pixel_values=pixels.to(weight.dtype)).last_hidden_state
        return tokens.flatten(0, 1)[None]


def _make_tower(config: ClipImageConfig) -> Any:
    try:
        from transformers import CLIPVisionConfig, CLIPVisionModel
    except ImportError as error:
        raise MissingDependencyError(
            f"transformers: expected it for CLIP's picture tower, got '{error}'. Run: pip install transformers"
        ) from error
    settings = CLIPVisionConfig(
        hidden_size=config.dim,
        intermediate_size=config.ffn_dim,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        image_size=config.image_size,
        patch_size=config.patch_size,
        hidden_act=config.activation,
        layer_norm_eps=config.eps,
    )
    return CLIPVisionModel(settings)
