"""The patch codec: its grid, its exactness with full bases, its causality and its errors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from wan_core.errors import ConfigError, ShapeError
from wan_core.vae.config import PatchVAEConfig
from wan_core.vae.patch_vae import PatchVAE

CONFIG = PatchVAEConfig(
    image_channels=48, motion_channels=192, patch=4, frames_per_latent=4, refiner_widths=(8, 16)
)


def full_codec() -> PatchVAE:
    """A codec whose bases span everything, so that it must be exact."""
    codec = PatchVAE(CONFIG)
    generator = torch.Generator().manual_seed(0)
    codec.image_basis.copy_(torch.linalg.qr(torch.randn(48, 48, generator=generator))[0])
    codec.motion_basis.copy_(torch.linalg.qr(torch.randn(192, 192, generator=generator))[0])
    codec.image_mean.copy_(0.1 * torch.randn(48, generator=generator))
    codec.channel_scale.copy_(0.5 + torch.rand(240, generator=generator))
    return codec


def clip(frames: int = 9) -> torch.Tensor:
    return torch.rand(2, 3, frames, 8, 12, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_full_bases_reproduce_the_clip_exactly() -> None:
    codec, video = full_codec(), clip()
    latents = codec.encode(video)
    assert latents.shape == (2, 240, 3, 2, 3)
    assert torch.allclose(codec.decode(latents), video, atol=1e-5)


def test_too_few_channels_lose_something() -> None:
    codec, video = full_codec(), clip()
    latents = codec.encode(video)
    latents[:, 200:] = 0
    assert not torch.allclose(codec.decode(latents), video, atol=1e-2)


def test_first_latent_frame_depends_on_the_first_frame_alone() -> None:
    codec, video = full_codec(), clip()
    changed = video.clone()
    changed[:, :, 1:] = -changed[:, :, 1:]
    first, other = codec.encode(video)[:, :, 0], codec.encode(changed)[:, :, 0]
    assert torch.equal(first, other)
    assert torch.equal(first, codec.encode(video[:, :, :1])[:, :, 0])


def test_first_latent_frame_has_no_motion() -> None:
    assert full_codec().encode(clip())[:, 48:, 0].abs().max() < 1e-5


def test_ungroup_undoes_group() -> None:
    codec, video = full_codec(), clip()
    groups = codec.ungroup(codec.group(video))
    frames = groups.unflatten(2, (4, 3)).flatten(1, 2).transpose(1, 2)[:, :, 3:]
    assert torch.equal(frames, video)


def test_refiner_takes_part() -> None:
    codec, video = full_codec(), clip()
    latents = codec.encode(video)
    assert codec.refiner is not None
    torch.nn.init.constant_(codec.refiner.leave.bias, 0.25)
    assert (codec.decode(latents) - video).abs().max() > 0.1


@pytest.mark.parametrize("shape", [(1, 3, 8, 8, 8), (1, 3, 5, 8, 10), (1, 1, 5, 8, 8), (3, 5, 8, 8)])
def test_sizes_off_the_grid_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"expected \(B, 3, 4k\+1, 4m, 4n\), got"):
        full_codec().encode(torch.zeros(shape))


def test_latents_of_another_codec_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected \(B, 240, G, rows, columns\), got \(1, 16, 3, 2, 2\)"):
        full_codec().decode(torch.zeros(1, 16, 3, 2, 2))


def test_without_widths_the_decoder_is_linear() -> None:
    codec = PatchVAE(replace(CONFIG, refiner_widths=()))
    assert codec.refiner is None
    codec.load_state_dict({k: v for k, v in full_codec().state_dict().items() if not k.startswith("refiner")})
    assert torch.allclose(codec.decode(codec.encode(clip())), clip(), atol=1e-5)


def test_config_refuses_a_patch_that_can_not_be_halved_twice() -> None:
    with pytest.raises(ConfigError, match="multiple of 4"):
        PatchVAEConfig(image_channels=4, motion_channels=4, patch=6, refiner_widths=(4, 8))
