"""Encoder and decoder of the causal video VAE.

Both have a part that works on neighbourhoods (it can be tiled) and a part with attention, at the size of the latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from ..protocols import Operations
from .layers import Attention, CausalConv, Downsample, Head, LocalLayer, ResidualBlock, Upsample
from .shortcuts import DownLevel, UpLevel
from .stream import Stream
from .tiling import Chain, Place
from .wan_config import WanVAEConfig

COLOURS = 3


class Encoder(nn.Module):
    """Pixels to the mean and log variance of latents.

    Source: Wan-Video/Wan2.1@9737cba wan/modules/vae.py Encoder3d; Wan-Video/Wan2.2@42bf4cf wan/modules/vae2_2.py.
    """

    def __init__(self, config: WanVAEConfig, operations: Operations) -> None:
        super().__init__()
        widths, last = config.encoder_widths, len(config.width_factors) - 1
        layers: list[LocalLayer] = []
        for level, (width_in, width) in enumerate(pairwise(widths)):
            halves_time = config.temporal_downsample[level] if level < last else None
            if config.is_residual:
                layers.append(DownLevel((width_in, width), config.res_blocks, halves_time, operations))
                continue
            layers += [
                ResidualBlock(width_in if block == 0 else width, width, operations)
                for block in range(config.res_blocks)
            ]
            if halves_time is not None:
                layers.append(Downsample(width, halves_time, operations))
        self.conv1 = operations.Conv3d(COLOURS * config.patch**2, widths[0], 3, padding=(0, 1, 1))
        self.downsamples = nn.ModuleList(layers)
        self.middle = middle_layers(widths[-1], operations)
        self.head = Head(widths[-1], 2 * config.latent_channels, operations)

    def chain(self) -> Chain:
        """The layers that can be tiled."""
        return Chain([CausalConv(self.conv1), *layers_of(self.downsamples)])

    def shrink(self, x: Tensor, stream: Stream, places: Sequence[Place] | None = None) -> Tensor:
        """Run the part that can be tiled.

        Args: x: (B, 3 patch^2, T, H, W).   places: as `Chain.places`, None for whole pictures.
        Returns: (B, C, T', H', W').
        """
        layers = self.chain().layers
        split = next((i for i, layer in enumerate(layers) if layer.changes_time), len(layers))
        # Large pictures, then small ones.
        first, rest = Chain(layers[:split]), Chain(layers[split:])
        pieces = [
            first.run(piece, stream, places and places[: split + 1])
            for piece in stream.pieces(stream.arrange(x), is_large=True)
        ]
        return rest.run(torch.cat(pieces, dim=2), stream, places and places[split:])

    def finish(self, x: Tensor, stream: Stream) -> Tensor:
        """Run the part with attention: (B, C, T', H', W') to mean and log variance, (B, 2z, T', H', W')."""
        for layer in self.middle:
            x = layer(x, stream)
        return self.head(x, stream)


class Decoder(nn.Module):
    """Latents to pixels.

    Source: as `Encoder`, Decoder3d.
    """

    def __init__(self, config: WanVAEConfig, operations: Operations) -> None:
        super().__init__()
        widths, last = config.decoder_widths, len(config.width_factors) - 1
        layers: list[LocalLayer] = []
        for level, (width_in, width) in enumerate(pairwise(widths)):
            doubles_time = config.temporal_downsample[::-1][level] if level < last else None
            blocks = config.res_blocks + 1
            if config.is_residual:
                layers.append(UpLevel((width_in, width), blocks, doubles_time, operations))
                continue
            incoming = width_in // 2 if level else width_in
            layers += [
                ResidualBlock(incoming if block == 0 else width, width, operations) for block in range(blocks)
            ]
            if doubles_time is not None:
                layers.append(Upsample(width, width // 2, doubles_time, operations))
        self.conv1 = operations.Conv3d(config.latent_channels, widths[0], 3, padding=(0, 1, 1))
        self.middle = middle_layers(widths[0], operations)
        self.upsamples = nn.ModuleList(layers)
        self.head = Head(widths[-1], COLOURS * config.patch**2, operations)

    def chain(self) -> Chain:
        """The layers that can be tiled."""
        return Chain([*layers_of(self.upsamples), self.head])

    def begin(self, z: Tensor, stream: Stream) -> Tensor:
        """Run the part with attention: (B, z, T, H, W) to (B, C, T, H, W)."""
        x = stream.causal_conv(self.conv1, stream.arrange(z))
        for layer in self.middle:
            x = layer(x, stream)
        return x

    def enlarge(self, x: Tensor, stream: Stream, places: Sequence[Place] | None = None) -> Tensor:
        """Run the part that can be tiled.

        Args: x: (B, C, T, H, W).   places: as `Chain.places`, None for whole pictures.
        Returns: (B, 3 patch^2, T', H', W').
        """
        return torch.cat(self.chain().unfold(x, stream, places), dim=2)


def middle_layers(width: int, operations: Operations) -> nn.ModuleList:
    """The layers with attention between encoder or decoder and latents."""
    return nn.ModuleList(
        [
            ResidualBlock(width, width, operations),
            Attention(width, operations),
            ResidualBlock(width, width, operations),
        ]
    )


def layers_of(modules: nn.ModuleList) -> list[LocalLayer]:
    """Items of a list of local layers, typed."""
    return [cast(LocalLayer, layer) for layer in modules]


def lay_patches(video: Tensor, patch: int) -> Tensor:
    """Lay patch x patch pixels into channels: colour, column, row. (B, 3, T, H, W) to (B, 3 patch^2, T, H', W').

    Source: Wan-Video/Wan2.2@42bf4cf wan/modules/vae2_2.py patchify (order of the channels).
    """
    cut = video.unflatten(4, (-1, patch)).unflatten(3, (-1, patch))  # (B, 3, T, H', row, W', column)
    return cut.permute(0, 1, 6, 4, 2, 3, 5).flatten(1, 3)


def unlay_patches(x: Tensor, patch: int) -> Tensor:
    """The inverse of `lay_patches`."""
    cut = x.unflatten(1, (-1, patch, patch))  # (B, 3, column, row, T, H', W')
    return cut.permute(0, 1, 4, 5, 3, 6, 2).flatten(5, 6).flatten(3, 4)
