"""The model as the sampling loop sees it."""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeVar

from torch import Tensor

from ..types import AVLatents

C_contra = TypeVar("C_contra", contravariant=True)


class AVTimesteps(NamedTuple):
    """Timesteps for the model, [0, 1000], float32.

    video: (B,), or (B, F) per latent frame where a first frame is kept.   audio: (B,), or None without sound.
    """

    video: Tensor
    audio: Tensor | None = None


class Denoiser(Protocol[C_contra]):
    """The model as the loop sees it."""

    def __call__(self, latents: AVLatents, timesteps: AVTimesteps, condition: C_contra) -> AVLatents:
        """Velocity v = eps - x0.

        Args:
            latents: noisy latents.   timesteps: see `AVTimesteps`.   condition: one of the guidance chain's.
        Returns:
            Velocities, shapes of `latents`.
        """
        ...
