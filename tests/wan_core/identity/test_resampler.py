"""The resampler equals Lynx's on its weights, and says what it expects."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from wan_core.errors import ConfigError, ShapeError
from wan_core.identity import Resampler, ResamplerConfig

GOLDEN = Path(__file__).parents[2] / "golden" / "lynx_resampler.safetensors"


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    return load_file(GOLDEN)


@pytest.fixture(scope="module")
def resampler(golden: dict[str, torch.Tensor]) -> Resampler:
    model = Resampler(ResamplerConfig(dim=64, depth=2, heads=4, queries=5, in_dim=24, out_dim=48))
    prefix = "weights."
    model.load_state_dict(
        {key.removeprefix(prefix): value for key, value in golden.items() if key.startswith(prefix)}
    )
    return model


@pytest.mark.parametrize(("given", "expected"), [("embeds", "output"), ("zero", "absent")])
def test_equals_lynx(
    resampler: Resampler, golden: dict[str, torch.Tensor], given: str, expected: str
) -> None:
    embeds = golden["embeds"] if given == "embeds" else torch.zeros(3, 1, 24)
    with torch.no_grad():
        error = (resampler(embeds) - golden[expected]).norm() / golden[expected].norm()
    assert error < 1e-5


def test_keys_are_those_of_the_published_file() -> None:
    config = ResamplerConfig(dim=1280, depth=4, heads=20, queries=16, in_dim=512, out_dim=5120)
    shapes = {key: tuple(value.shape) for key, value in Resampler(config, device="meta").state_dict().items()}
    assert shapes["latents"] == (1, 16, 1280)
    assert shapes["proj_in.weight"] == (1280, 512)
    assert shapes["layers.3.0.to_kv.weight"] == (2560, 1280)
    assert shapes["layers.3.1.1.weight"] == (5120, 1280)
    assert shapes["layers.0.1.3.weight"] == (1280, 5120)
    assert shapes["proj_out.weight"] == (5120, 1280)
    assert shapes["norm_out.bias"] == (5120,)
    assert len(shapes) == 7 + 4 * 11


def test_wrong_width_is_named(resampler: Resampler) -> None:
    with pytest.raises(ShapeError, match=r"embeds: expected \(B, K >= 1, 24\), got \(2, 1, 23\)"):
        resampler(torch.zeros(2, 1, 23))


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ConfigError, match="expected a divisor of dim 64, got 5"):
        ResamplerConfig(dim=64, depth=1, heads=5, queries=2, in_dim=8, out_dim=8)
