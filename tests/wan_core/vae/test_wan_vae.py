"""The causal video VAE: equal to Diffusers', whole or streamed, tiled or not; trainable; refuses what does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from formula_weights import formula_tensor
from safetensors.torch import load_file
from tiny_vae import TINY, TINY_21, TINY_22, diffusers_vae, formula_vae_state, randomise, relative_error
from torch import Tensor, nn

from wan_core.checkpoints.vae_keys import diffusers_vae_names
from wan_core.errors import ConfigError, ShapeError
from wan_core.vae.tiling import Tiling
from wan_core.vae.wan_vae import WanVAE

GOLDEN = Path(__file__).parents[2] / "golden"
KINDS = pytest.mark.parametrize("kind", TINY)


def make(kind: str, seed: int = 1) -> WanVAE:
    vae = WanVAE(TINY[kind])
    randomise(vae, seed)
    return vae.train(False)


def clip(frames: int, height: int, width: int, seed: int = 2) -> Tensor:
    return torch.rand(1, 3, frames, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def latents(kind: str, frames: int, rows: int, columns: int) -> Tensor:
    shape = (1, TINY[kind].latent_channels, frames, rows, columns)
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


@KINDS
def test_equals_diffusers(kind: str) -> None:
    config = replace(TINY[kind], res_blocks=2)
    theirs, ours = diffusers_vae(config, 4), WanVAE(config)
    state = theirs.state_dict()
    names = diffusers_vae_names(state, "")
    ours.load_state_dict({names[key]: value for key, value in state.items()})
    video = clip(9, 32, 64)
    mean = torch.tensor(config.latents_mean).view(1, -1, 1, 1, 1)
    std = torch.tensor(config.latents_std).view(1, -1, 1, 1, 1)
    with torch.no_grad():
        expected = theirs.encode(video).latent_dist.mode()
        found = ours.encode(video)
        assert found.shape == (
            1,
            config.latent_channels,
            3,
            32 // config.spatial_stride,
            64 // config.spatial_stride,
        )
        assert relative_error(found, (expected - mean) / std) < 1e-5
        pixels = theirs.decode(expected).sample
        assert pixels.std() > 0.1
        assert relative_error(ours.decode(found), pixels) < 1e-5


@KINDS
@pytest.mark.parametrize("frames", [1, 2, 4])
def test_stream_equals_whole(kind: str, frames: int) -> None:
    vae, z = make(kind), latents(kind, frames, 3, 2)
    pieces = list(vae.decode_stream(z))
    assert [piece.shape[2] for piece in pieces] == [1] + [4] * (frames - 1)
    video = torch.cat(pieces, dim=2)
    assert torch.equal(video, vae.decode(z))
    again = torch.cat(list(vae.encode_stream(pieces)), dim=2)
    assert torch.equal(again, vae.encode(video))


@KINDS
def test_frames_do_not_see_the_future(kind: str) -> None:
    vae, z = make(kind), latents(kind, 3, 2, 2)
    assert torch.allclose(vae.decode(z)[:, :, :5], vae.decode(z[:, :, :2]), atol=1e-6)


@KINDS
@pytest.mark.parametrize("frames", [1, 5])
def test_fast_form_equals_plain_form(kind: str, frames: int) -> None:
    vae, video = make(kind), clip(frames, 32, 32)
    with torch.enable_grad():
        plain_mean, plain_variance = vae.posterior(video)
        plain = vae.render(plain_mean)
    with torch.no_grad():
        mean, variance = vae.posterior(video)
        fast = vae.render(plain_mean)
    assert plain.requires_grad and not fast.requires_grad
    for found, expected in ((mean, plain_mean), (variance, plain_variance), (fast, plain)):
        assert relative_error(found, expected.detach()) < 1e-6


@KINDS
def test_tiles_leave_no_seam(kind: str) -> None:
    """No blending: the error against the untiled result is rounding, at most 1e-6 relative and 1e-5 anywhere."""
    vae = make(kind)
    side = 10 * TINY[kind].spatial_stride
    video, tiling = clip(5, side, side), Tiling(size=4 * TINY[kind].spatial_stride)
    z = vae.encode(video)
    tiled = vae.encode(video, tiling)
    assert relative_error(tiled, z) < 1e-6 and (tiled - z).abs().max() < 1e-5
    whole = vae.decode(z)
    for pixels in (vae.decode(z, tiling), torch.cat(list(vae.decode_stream(z, tiling)), dim=2)):
        assert relative_error(pixels, whole) < 1e-6 and (pixels - whole).abs().max() < 1e-5


def test_tiles_see_less_than_the_picture() -> None:
    """Else the test above would compare the same computation."""
    vae = make("2.1")
    seen: list[int] = []
    head = vae.decoder.head
    head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
    vae.decode(latents("2.1", 1, 8, 16), Tiling(size=64))
    assert max(seen) < 128 and len(seen) == 2


@KINDS
def test_stream_holds_no_more_for_longer_clips(kind: str) -> None:
    """What layers remember between pieces is all that stays, and it does not grow."""
    vae = make(kind)
    stream = vae.decode_stream(latents(kind, 7, 2, 2))
    held = [live_bytes() if number in (3, 5) else 0 for number, _ in enumerate(stream)]
    assert held[5] == held[3] > 0


def live_bytes() -> int:
    """Bytes of all tensors that Python holds."""
    import gc

    gc.collect()
    storages = {
        t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()
        for t in gc.get_objects()
        if type(t) is Tensor and not t.is_meta
    }
    return sum(storages.values())


def test_trains() -> None:
    config = replace(
        TINY_22,
        latent_channels=8,
        latents_mean=(0.0,) * 8,
        latents_std=(1.0,) * 8,
        encoder_width=16,
        decoder_width=16,
    )
    vae, video = WanVAE(config), clip(5, 32, 32)
    optimiser = torch.optim.Adam(vae.parameters(), 3e-3)
    losses: list[float] = []
    for _ in range(4):
        mean, log_variance = vae.posterior(video)
        noise = torch.randn_like(mean)
        loss = (vae.render(mean + (0.5 * log_variance).exp() * noise) - video).square().mean()
        loss = loss + 1e-3 * (mean.square() + log_variance.exp() - log_variance).mean()
        optimiser.zero_grad()
        loss.backward()
        losses.append(loss.item())
        assert all(p.grad is not None and p.grad.isfinite().all() for p in vae.parameters())
        optimiser.step()
    assert losses[-1] < losses[0]


def test_host_layers_are_called_not_read() -> None:
    """Layers of a host cast their weights themselves; a weight that is not theirs to read would give other numbers."""

    class Conv2d(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return self._conv_forward(x, self.weight * 2, self.bias)

    class Conv3d(nn.Conv3d):
        def forward(self, x: Tensor) -> Tensor:
            return self._conv_forward(x, self.weight * 2, self.bias)

    class Host(nn.Module):
        pass

    Host.Conv2d, Host.Conv3d = Conv2d, Conv3d  # type: ignore[attr-defined]
    hosted, own = WanVAE(TINY_21, Host), make("2.1")  # type: ignore[arg-type]
    hosted.load_state_dict({k: v / 2 if k.endswith("weight") else v for k, v in own.state_dict().items()})
    z = latents("2.1", 2, 2, 2)
    assert relative_error(hosted.decode(z), own.decode(z)) < 1e-6


def test_computes_in_the_dtype_of_the_weights() -> None:
    vae, video = make("2.2").double(), clip(5, 32, 32)
    z = vae.encode(video)
    assert z.dtype == torch.float64 and vae.decode(z.float()).dtype == torch.float64
    half = make("2.2").to(torch.bfloat16)
    assert relative_error(half.encode(video), z) < 0.05 and half.decode(z).dtype == torch.bfloat16


@KINDS
@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ((1, 3, 4, 32, 32), r"video: expected \(B, 3, 4k\+1, H, W\), got \(1, 3, 4, 32, 32\)"),
        ((1, 4, 5, 32, 32), r"video: expected \(B, 3, 4k\+1, H, W\), got \(1, 4"),
        ((3, 5, 32, 32), r"video: expected \(B, 3, 4k\+1, H, W\), got \(3, 5"),
        ((1, 3, 5, 32, 20), r"multiples of (8|16), got \(32, 20\)"),
        ((1, 3, 5, 0, 32), r"multiples of"),
    ],
)
def test_refuses_videos_off_the_grid(kind: str, shape: tuple[int, ...], match: str) -> None:
    with pytest.raises(ShapeError, match=match):
        make(kind).encode(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 15, 1, 2, 2), (16, 1, 2, 2), (1, 16, 0, 2, 2)])
def test_refuses_other_latents(shape: tuple[int, ...]) -> None:
    vae, z = make("2.1"), torch.zeros(shape)
    with pytest.raises(ShapeError, match=r"latents: expected \(B, 16, frames"):
        vae.decode(z)
    with pytest.raises(ShapeError, match=r"latents: expected \(B, 16, frames"):
        next(vae.decode_stream(z))


def wrong_streams() -> Iterator[tuple[list[Tensor], str]]:
    first = clip(1, 32, 32)
    yield [clip(5, 32, 32)], "with 1 frame, got"
    yield [first, clip(3, 32, 32)], r"with 4k frames of \(32, 32\), got \(1, 3, 3"
    yield [first, clip(4, 32, 48)], r"with 4k frames of \(32, 32\), got \(1, 3, 4, 32, 48"
    yield [first[:, :, :, :, :20]], "multiples of 8"


@pytest.mark.parametrize(("pieces", "match"), list(wrong_streams()))
def test_refuses_pieces_that_do_not_fit(pieces: list[Tensor], match: str) -> None:
    with pytest.raises(ShapeError, match=match):
        list(make("2.1").encode_stream(pieces))


def test_refuses_tiles_off_the_grid() -> None:
    with pytest.raises(ConfigError, match="multiple of 16, got 40"):
        make("2.2").encode(clip(1, 32, 32), Tiling(size=40))
    with pytest.raises(ConfigError, match="positive size, got 0"):
        Tiling(size=0)


@KINDS
def test_equals_the_official_code(kind: str) -> None:
    """Against numbers of Wan-Video/Wan2.1@9737cba and Wan-Video/Wan2.2@42bf4cf (tests/golden/make_wan_vae.py)."""
    golden, vae = load_file(GOLDEN / "wan_vae.safetensors"), WanVAE(TINY[kind])
    vae.load_state_dict(formula_vae_state({key: tuple(v.shape) for key, v in vae.state_dict().items()}))
    latents, pixels = golden[f"{kind}.latents"], golden[f"{kind}.pixels"]
    assert relative_error(vae.encode(formula_tensor((1, 3, 9, 32, 32), 7, scale=1.0)), latents) < 1e-5
    assert relative_error(vae.decode(latents), pixels.clamp(-1, 1)) < 1e-5
    mean, std = (torch.tensor(v).view(-1, 1, 1, 1) for v in (vae.config.latents_mean, vae.config.latents_std))
    with torch.no_grad():
        assert relative_error(vae.render(latents * std + mean), pixels) < 1e-5
