"""From what a tower gives to the clean sample, when it predicts that and not the velocity."""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Log of the variance that a fresh tower is taken to miss.
START = -3.0


class CleanSample(nn.Module):
    """Weighs the tower's estimate of the clean latents against the noisy latents themselves.

    A tower that is narrower than its latents can not carry all of them to its last layer; what it misses is still in
    its input, the better the less noise there is. With e the variance that the tower misses in a channel, the noisy
    latents x / (1 - sigma), whose noise has variance r = (sigma / (1 - sigma))^2, get the weight e / (e + r): all at no
    noise, none at pure noise. The skip connection of EDM does the same for one variance of the data.

    Parameters: `missed` (C,), log e.
    Source: Karras et al. 2022, arXiv 2206.00364, section 5 (preconditioning), from which it differs as said.
    """

    def __init__(self, channels: int, *, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.missed = nn.Parameter(torch.full((channels,), START, device=device))

    def forward(self, estimate: Tensor, latents: Tensor, sigma: Tensor) -> Tensor:
        """Weigh.

        Args:
            estimate: the tower's clean latents, (B, C, ...) float32.   latents: noisy ones, same shape, float32.
            sigma: noise levels in [0, 1] that broadcast over the latents, (B, 1, ...).
        Returns: clean latents, same shape.
        """
        shape = (1, -1, *(1,) * (latents.ndim - 2))
        error = self.missed.to(latents.device, torch.float32).exp().view(shape)
        signal = 1 - sigma
        total = error * signal.square() + sigma.square()
        return (sigma.square() * estimate + error * signal * latents) / total
