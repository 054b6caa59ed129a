"""Nano's video codec: a linear encoder of 16x16 patches and a decoder that adds a learned correction."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import ShapeError
from .config import PatchVAEConfig
from .refiner import Refiner


class PatchVAE(nn.Module):
    """Codec of short clips.

    Each latent frame holds the mean of its group of frames in an image basis and the difference of the frames from that
    mean in a motion basis. Sharing the image basis between the first latent frame (one picture) and the rest lets a
    model that learned pictures draw every frame at once.

    Buffers: `image_basis` (image_channels, 3 * patch^2), `image_mean` (3 * patch^2), `motion_basis`
    (motion_channels, 3 * frames_per_latent * patch^2), `channel_scale` (latent_channels): orthonormal rows; a latent is
    a coefficient divided by its scale.
    """

    image_basis: Tensor
    image_mean: Tensor
    motion_basis: Tensor
    channel_scale: Tensor

    def __init__(self, config: PatchVAEConfig) -> None:
        super().__init__()
        self.config = config
        pixels = 3 * config.patch**2
        self.register_buffer("image_basis", torch.zeros(config.image_channels, pixels))
        self.register_buffer("image_mean", torch.zeros(pixels))
        self.register_buffer(
            "motion_basis", torch.zeros(config.motion_channels, pixels * config.frames_per_latent)
        )
        self.register_buffer("channel_scale", torch.ones(config.latent_channels))
        self.refiner = Refiner(config) if config.refiner_widths else None

    def group(self, video: Tensor) -> Tensor:
        """Cut a clip into patches of groups of frames.

        Args:
            video: (B, 3, F, H, W), F = frames_per_latent * k + 1, H and W multiples of patch.
        Returns: (B, k + 1, H / patch, W / patch, frames_per_latent, 3 * patch^2); the first frame is repeated.
        Raises: ShapeError: sizes off the grid.
        """
        patch, span = self.config.patch, self.config.frames_per_latent
        if (
            video.ndim != 5
            or video.shape[1] != 3
            or (video.shape[2] - 1) % span
            or any(s % patch for s in video.shape[3:])
        ):
            raise ShapeError(
                f"video: expected (B, 3, {span}k+1, {patch}m, {patch}n), got {tuple(video.shape)}. "
                "Crop or pad the clip to that grid."
            )
        batch, _, frames, height, width = video.shape
        video = torch.cat([video[:, :, :1].expand(-1, -1, span - 1, -1, -1), video], dim=2)
        rows, columns = height // patch, width // patch
        cut = video.reshape(batch, 3, (frames - 1) // span + 1, span, rows, patch, columns, patch)
        return cut.permute(0, 2, 4, 6, 3, 1, 5, 7).reshape(batch, -1, rows, columns, span, 3 * patch**2)

    def ungroup(self, patches: Tensor) -> Tensor:
        """Put patches back together; the inverse of `group` before the first frame's copies are dropped.

        Args:
            patches: (B, G, rows, columns, frames_per_latent, 3 * patch^2).
        Returns: (B, G, 3 * frames_per_latent, H, W), frames in order, colours within a frame.
        """
        patch, span = self.config.patch, self.config.frames_per_latent
        batch, groups, rows, columns = patches.shape[:4]
        cut = patches.reshape(batch, groups, rows, columns, span, 3, patch, patch)
        return cut.permute(0, 1, 4, 5, 2, 6, 3, 7).reshape(
            batch, groups, 3 * span, rows * patch, columns * patch
        )

    def encode(self, video: Tensor) -> Tensor:
        """Encode a clip.

        Args:
            video: (B, 3, F, H, W) in [-1, 1], F = frames_per_latent * k + 1, H and W multiples of patch.
        Returns: latents (B, latent_channels, k + 1, H / patch, W / patch), about unit variance over the channels.
        Raises: ShapeError: sizes off the grid.
        """
        frames = self.group(video.to(self.image_basis.dtype))
        mean = frames.mean(dim=4)
        image = (mean - self.image_mean) @ self.image_basis.T
        motion = (frames - mean.unsqueeze(4)).flatten(4) @ self.motion_basis.T
        return (torch.cat([image, motion], dim=-1) / self.channel_scale).permute(0, 4, 1, 2, 3).contiguous()

    def decode_linear(self, latents: Tensor) -> Tensor:
        """Decode without the learned correction.

        Args:
            latents: (B, latent_channels, G, rows, columns).
        Returns: (B, G, 3 * frames_per_latent, H, W).
        """
        coefficients = latents.permute(0, 2, 3, 4, 1) * self.channel_scale
        image, motion = coefficients.split([self.config.image_channels, self.config.motion_channels], dim=-1)
        mean = image @ self.image_basis + self.image_mean
        frames = (motion @ self.motion_basis).unflatten(-1, (self.config.frames_per_latent, -1))
        return self.ungroup(frames + mean.unsqueeze(4))

    def decode(self, latents: Tensor) -> Tensor:
        """Decode a clip.

        Args:
            latents: (B, latent_channels, G, rows, columns) as `encode` gives them.
        Returns: video (B, 3, frames_per_latent * (G - 1) + 1, H, W) in [-1, 1].
        Raises: ShapeError: another number of channels.
        """
        if latents.ndim != 5 or latents.shape[1] != self.config.latent_channels:
            raise ShapeError(
                f"latents: expected (B, {self.config.latent_channels}, G, rows, columns), got {tuple(latents.shape)}. "
                "Decode with the codec that belongs to the model."
            )
        groups = self.decode_linear(latents.to(self.image_basis.dtype))
        if self.refiner is not None:
            groups = self.refiner(groups)
        video = groups.unflatten(2, (self.config.frames_per_latent, 3)).flatten(1, 2).transpose(1, 2)
        return video[:, :, self.config.frames_per_latent - 1 :].clamp(-1, 1)
