"""Wan's video codecs on ComfyUI's VAE connection."""

from __future__ import annotations

import logging
from typing import Any

import torch

from ..wan_core.pipelines.memory import CODEC_BYTES
from ..wan_core.vae.tiling import Tiling
from ..wan_core.vae.wan_vae import WanVAE
from . import host

#: Side of a tile, in pixels, where the memory does not suffice for the whole picture.
TILE = 256


class HostWanVAE:
    """VAE: what core's encode and decode nodes and Wan's conditioning nodes call; clips are decoded as a stream.

    patcher: ModelPatcher of a `WanVAE`.
    """

    latent_dim = 3
    output_channels = 3

    def __init__(self, patcher: Any) -> None:
        self.patcher = patcher
        self.first_stage_model: WanVAE = patcher.model
        self.config = self.first_stage_model.config
        self.latent_channels = self.config.latent_channels

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """IMAGE (F, H, W, C) or (B, F, H, W, C), F = 4k + 1 -> latents (B, C, k + 1, h, w), not normalised.

        Height and width are cut to the codec's grid around the middle, as core does.

        Raises: ShapeError: another number of frames.
        """
        return self._encode(pixels, None)

    def encode_tiled(
        self,
        pixels: torch.Tensor,
        tile_x: int | None = None,
        tile_y: int | None = None,
        overlap: int | None = None,
        tile_t: int | None = None,
        overlap_t: int | None = None,
    ) -> torch.Tensor:
        """As `encode`, in tiles of `tile_x` pixels; tiles see what they need around them, so overlaps are not used."""
        return self._encode(pixels, self._tiling(tile_x))

    def posterior(self, video: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance of the latents, not normalised, of a video (B, 3, F, H, W) in [-1, 1]."""
        self._place((video.shape[3], video.shape[4]), 0)
        return self.first_stage_model.posterior(video)

    def decode(self, samples: torch.Tensor) -> torch.Tensor:
        """Latents (B, C, k + 1, h, w), not normalised -> (B, F, H, W, 3) in [0, 1]."""
        return self._decode(samples, None)

    def decode_tiled(
        self,
        samples: torch.Tensor,
        tile_x: int | None = None,
        tile_y: int | None = None,
        overlap: int | None = None,
        tile_t: int | None = None,
        overlap_t: int | None = None,
    ) -> torch.Tensor:
        """As `decode`, in tiles of `tile_x` latents; without overlaps, and always a few frames at a time."""
        return self._decode(
            samples, self._tiling(None if tile_x is None else tile_x * self.config.spatial_stride)
        )

    def spacial_compression_encode(self) -> int:
        """Pixels of the picture per pixel of the latents, along one side (ComfyUI's spelling)."""
        return self.config.spatial_stride

    def spacial_compression_decode(self) -> int:
        """As `spacial_compression_encode`."""
        return self.config.spatial_stride

    def temporal_compression_decode(self) -> int:
        """Frames per latent frame."""
        return self.config.temporal_stride

    def get_sd(self) -> dict[str, torch.Tensor]:
        """The weights, for core's Save VAE."""
        return self.first_stage_model.state_dict()

    def _tiling(self, pixels: int | None) -> Tiling:
        stride = self.config.spatial_stride
        return Tiling(size=max(stride, (pixels or TILE) // stride * stride))

    def _place(self, sides: tuple[int, int], way: int) -> None:
        weight = next(self.first_stage_model.parameters())
        work = CODEC_BYTES[self.latent_channels][way] * sides[0] * sides[1] * weight.dtype.itemsize // 4
        host.place_whole(self.patcher, work)

    def _encode(self, pixels: torch.Tensor, tiling: Tiling | None) -> torch.Tensor:
        clips = pixels if pixels.ndim == 5 else pixels[None]
        for axis in (2, 3):
            side = clips.shape[axis] // self.config.spatial_stride * self.config.spatial_stride
            clips = clips.narrow(axis, (clips.shape[axis] - side) // 2, side)
        video = clips[..., :3].permute(0, 4, 1, 2, 3) * 2 - 1
        self._place((clips.shape[2], clips.shape[3]), 0)
        try:
            z = self.first_stage_model.encode(video, tiling)
        except torch.cuda.OutOfMemoryError:
            if tiling is not None:
                raise
            logging.getLogger(__name__).warning(
                "VAE: out of memory; the clip is encoded in tiles of %d.", TILE
            )
            z = self.first_stage_model.encode(video, self._tiling(None))
        return host.intermediate(host.raw_latents(z.float()))

    def _decode(self, samples: torch.Tensor, tiling: Tiling | None) -> torch.Tensor:
        z = host.normalised_latents(samples)
        stride = self.config.spatial_stride
        self._place((z.shape[3] * stride, z.shape[4] * stride), 1)
        try:
            return self._collect(z, tiling)
        except torch.cuda.OutOfMemoryError:
            if tiling is not None:
                raise
        logging.getLogger(__name__).warning("VAE: out of memory; the clip is decoded in tiles of %d.", TILE)
        return self._collect(z, self._tiling(None))

    def _collect(self, z: torch.Tensor, tiling: Tiling | None) -> torch.Tensor:
        """Frames as they come, each piece straight to where ComfyUI keeps results."""
        pieces: list[torch.Tensor] = []
        bar = host.progress_bar(z.shape[2])
        for piece in self.first_stage_model.decode_stream(z, tiling):
            host.check_interrupted()
            pieces.append(host.intermediate((piece.float() / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 4, 1)))
            bar.update(1)
        return torch.cat(pieces, dim=1)
