"""The face encoder: size, range, gradients and complaints."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch

from wan_core.errors import ConfigError, ShapeError
from wan_core.identity import FaceEncoder, FaceEncoderConfig, IdentityConfig, IdentityEncoder, ResamplerConfig


def _conv_multiply_adds(model: FaceEncoder) -> int:
    total = 0

    def count(module: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        places = output.shape[-1] * output.shape[-2] if output.ndim == 4 else 1
        total += module.weight.numel() * places

    layers = [layer for layer in model.modules() if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear))]
    handles = [layer.register_forward_hook(count) for layer in layers]
    model(torch.zeros(1, 3, 64, 64))
    for handle in handles:
        handle.remove()
    return total


def test_nano_is_small_enough_for_a_cpu() -> None:
    model = FaceEncoder(FaceEncoderConfig())
    assert 1.0e6 < sum(parameter.numel() for parameter in model.parameters()) < 1.5e6
    assert _conv_multiply_adds(model) < 25.5e6


def test_embeddings_are_normalised_and_tell_pictures_apart() -> None:
    torch.manual_seed(0)
    embeds = FaceEncoder(FaceEncoderConfig())(torch.rand(4, 3, 64, 64) * 2 - 1)
    assert embeds.shape == (4, 128)
    assert torch.allclose(embeds.mean(dim=1), torch.zeros(4), atol=1e-5)
    assert torch.allclose(embeds.var(dim=1, unbiased=False), torch.ones(4), atol=1e-2)
    assert (embeds[0] - embeds[1]).norm() > 1e-3


def test_every_parameter_of_a_trained_block_gets_a_gradient() -> None:
    torch.manual_seed(0)
    model = FaceEncoder(FaceEncoderConfig(widths=(32, 64), blocks=(1, 1), hidden_dim=32, embed_dim=16))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    model(torch.rand(2, 3, 64, 64)).square().mul(torch.rand(2, 16)).sum().backward()
    flat = [name for name, parameter in model.named_parameters() if not parameter.grad.abs().sum() > 0]
    # A constant shift of all pooling logits cancels in the softmax.
    assert set(flat) <= {"pool.bias"}


def test_config_survives_json() -> None:
    config = FaceEncoderConfig()
    assert FaceEncoderConfig(**json.loads(json.dumps(asdict(config)))) == config


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 3, 32, 64), (1, 1, 64, 64)])
def test_wrong_crop_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"faces: expected \(B, 3, 64, 64\), got"):
        FaceEncoder(FaceEncoderConfig())(torch.zeros(shape))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": (1,)}, "expected 4 numbers"),
        ({"widths": (24, 64, 128, 192)}, "expected multiples of 32"),
        ({"image_size": 60}, "expected a multiple of 16, got 60"),
        ({"embed_dim": 0}, "expected a whole number >= 1, got 0"),
    ],
)
def test_bad_config_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FaceEncoderConfig(**changes)


def test_identity_encoder_reads_several_photos_and_knows_nobody() -> None:
    torch.manual_seed(0)
    face = FaceEncoderConfig(widths=(32,), blocks=(1,), hidden_dim=16, embed_dim=8)
    config = IdentityConfig(
        face=face, resampler=ResamplerConfig(dim=16, depth=1, heads=2, queries=3, in_dim=8, out_dim=10)
    )
    model = IdentityEncoder(config)
    faces = torch.rand(2, 4, 3, 64, 64)
    tokens = model(faces)
    assert tokens.shape == (2, 3, 10)
    shuffled = model(faces[:, [2, 0, 3, 1]])
    assert torch.allclose(tokens, shuffled, atol=1e-5)
    assert torch.equal(model.absent(2), model.resampler(torch.zeros(2, 1, 8)))
    with pytest.raises(ConfigError, match="expected 8"):
        IdentityConfig(
            face=face, resampler=ResamplerConfig(dim=16, depth=1, heads=2, queries=3, in_dim=9, out_dim=10)
        )
