from __future__ import annotations

import torch

from training.world.softness import BLOCK, drop_detail, soften


def test_keeping_all_detail_is_the_picture_and_keeping_none_is_the_block_mean():
    pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    kept = drop_detail(pictures, torch.tensor([2.0 * BLOCK, 0.0]))
    assert torch.allclose(kept[0], pictures[0], atol=1e-5)
    mean = pictures[1, :, :BLOCK, :BLOCK].mean(dim=(1, 2), keepdim=True).expand(3, BLOCK, BLOCK)
    assert torch.allclose(kept[1, :, :BLOCK, :BLOCK], mean, atol=1e-5)


def test_soften_varies_from_nothing_to_a_poor_codec():
    ramp = torch.linspace(-0.8, 0.8, 32)
    pictures = (torch.sin(9 * ramp)[None] * torch.cos(7 * ramp)[:, None]).expand(40, 3, 32, 32)
    softened = soften(pictures, torch.Generator().manual_seed(1))
    error = (softened - pictures).pow(2).mean(dim=(1, 2, 3))
    assert error.min() < 1e-6 and 1e-4 < error.max() < 0.05
    assert torch.equal(softened, soften(pictures, torch.Generator().manual_seed(1)))
