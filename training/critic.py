"""A critic that tells drawn frames from decoded ones: against it the decoder learns to leave no seams and no grain."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (48, 96, 128)
LEARNING_RATE = 5e-4
#: What fine detail is multiplied by, to be about as large as pictures are.
DETAIL = 8.0


def fine_detail(groups: Tensor) -> Tensor:
    """What a picture has beyond its own blur over 3x3 pixels, magnified; (N, C, H, W) to the same."""
    channels = groups.shape[1]
    tap = torch.tensor([1.0, 2.0, 1.0], device=groups.device) / 4
    kernel = torch.outer(tap, tap).expand(channels, 1, 3, 3)
    padded = functional.pad(groups, (1, 1, 1, 1), mode="replicate")
    return DETAIL * (groups - functional.conv2d(padded, kernel, groups=channels))


class Critic(nn.Module):
    """Judges the fine detail of overlapping pieces of 30 pixels of one group of frames.

    On whole pictures it learns next to nothing in 240 batches (.54 of new clips told apart): people and scenes differ
    by more than seams and grain. On the detail alone .99 are told apart.

    Source: Isola et al. 2017, arXiv 1611.07004, section 3.2 (judging pieces).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise((channels, *WIDTHS)):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(WIDTHS[-1], 1, 3, padding=1))

    def forward(self, groups: Tensor) -> Tensor:
        """Score groups of frames, higher for drawn ones; (N, C, H, W) to (N, 1, H / 8, W / 8)."""
        with torch.autocast(groups.device.type, dtype=torch.bfloat16):
            return self.layers(fine_detail(groups)).float()


class CriticTrainer:
    """A critic and its optimizer.

    Args: channels: of a group of frames.
    """

    def __init__(self, channels: int) -> None:
        self.critic = Critic(channels)
        self.optimizer = torch.optim.Adam(self.critic.parameters(), lr=LEARNING_RATE, betas=(0.5, 0.95))

    def step(self, drawn: Tensor, decoded: Tensor) -> float:
        """Teach the critic one batch, (N, C, H, W) each. Returns: its hinge loss, 2 where it can tell nothing."""
        self.critic.requires_grad_(True)
        true, false = self.critic(drawn), self.critic(decoded.detach())
        loss = functional.relu(1 - true).mean() + functional.relu(1 + false).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def complaint(self, decoded: Tensor) -> Tensor:
        """What the critic has against decoded groups (N, C, H, W): a loss for the decoder, with a gradient."""
        self.critic.requires_grad_(False)
        return -self.critic(decoded).mean()
