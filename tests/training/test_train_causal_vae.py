from __future__ import annotations

import torch

from training.train_causal_vae import reconstruction_loss, small_config
from wan_core.vae.wan_vae import WanVAE


def test_a_small_causal_vae_has_the_patch_codecs_grid_and_learns():
    torch.manual_seed(0)
    vae = WanVAE(small_config(8, 4))
    video = torch.rand(1, 3, 5, 32, 32) * 2 - 1
    assert vae.encode(video).shape == (1, 8, 2, 2, 2)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=3e-3)
    errors: list[float] = []
    for _ in range(8):
        loss, squared = reconstruction_loss(vae, video, torch.Generator().manual_seed(0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(float(squared))
    assert errors[-1] < 0.9 * errors[0]
