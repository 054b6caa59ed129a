"""The critic of the decoder's training, and the optimizer of its kernels."""

from __future__ import annotations

import torch
from torch import Tensor

from training.critic import CriticTrainer
from training.optimizers import ConvOptimizer
from wan_core.vae.config import PatchVAEConfig
from wan_core.vae.refiner import Refiner


def pictures(seed: int, noise: float) -> Tensor:
    """Flat pictures with some grain, (16, 12, 16, 16)."""
    generator = torch.Generator().manual_seed(seed)
    flat = torch.rand(16, 12, 1, 1, generator=generator) * 2 - 1
    return flat + noise * torch.randn(16, 12, 16, 16, generator=generator)


def test_critic_learns_to_see_grain_and_says_how_to_lose_it() -> None:
    torch.manual_seed(0)
    trainer = CriticTrainer(12)
    first = trainer.step(pictures(0, 0.0), pictures(1, 0.5))
    later = [trainer.step(pictures(seed, 0.0), pictures(seed + 1, 0.5)) for seed in range(2, 40, 2)]
    assert later[-1] < 0.5 * first
    decoded = pictures(99, 0.5).requires_grad_()
    complaint = trainer.complaint(decoded)
    complaint.backward()
    assert decoded.grad is not None
    assert trainer.complaint(decoded.detach() - 20 * decoded.grad) < complaint
    assert all(
        parameter.grad is None or not parameter.requires_grad for parameter in trainer.critic.parameters()
    )


def test_kernels_are_trained_through_their_matrices() -> None:
    torch.manual_seed(0)
    config = PatchVAEConfig(image_channels=8, motion_channels=4, patch=8, refiner_widths=(8, 12))
    refiner = Refiner(config)
    optimizer = ConvOptimizer(refiner, ("before", "down", "middle", "over_time", "up", "after"), 2e-3)
    assert "middle.0.conv1.weight" in {
        name for name, parameter in refiner.named_parameters() if parameter in optimizer.kernels
    }
    noisy = torch.randn(4, 3, 12, 16, 16)
    errors: list[float] = []
    for _ in range(12):
        loss = (refiner(noisy) - 0.5 * noisy).square().mean()
        loss.backward()
        optimizer.step(1.0)
        errors.append(float(loss.detach()))
    assert errors[-1] < 0.9 * errors[0]
    assert dict(refiner.named_parameters())["middle.0.conv2.weight"].abs().max() > 0
