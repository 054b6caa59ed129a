from __future__ import annotations

from pathlib import Path

import pytest
import torch
from formula_weights import formula_tensor
from safetensors.torch import load_file
from tiny_whisper import tiny_whisper

from wan_core.errors import ConfigError, InputError
from wan_core.types import AudioClip
from wan_core.voice.whisper import WhisperConfig, group_layers

GOLDEN = load_file(Path(__file__).parents[2] / "golden" / "humo.safetensors")


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference over the norm of what was expected."""
    return float((found - expected).norm() / expected.norm())


def test_features_equal_the_official_code_across_pieces() -> None:
    clip = AudioClip(formula_tensor((round(30.4 * 16000),), 5, 0.5)[None], 16000)
    features = tiny_whisper().encode(clip)
    assert features.shape == (760, 5, 8) and int(GOLDEN["features.count"]) == 760
    assert relative_error(features[:30], GOLDEN["features.start"]) < 1e-5
    assert relative_error(features[742:758], GOLDEN["features.edge"]) < 1e-5
    assert relative_error(features[-2:], GOLDEN["features.end"]) < 1e-5


def test_errors() -> None:
    model = tiny_whisper()
    for clip, text in (
        (AudioClip(torch.zeros(2, 16000), 16000), r"expected \(1, samples\) at 16000 Hz, got \(2, 16000\)"),
        (AudioClip(torch.zeros(1, 16000), 8000), "at 8000 Hz"),
        (AudioClip(torch.full((1, 16000), torch.nan), 16000), "expected finite samples"),
        (AudioClip(torch.zeros(1, 639), 16000), "expected 0.04 to 600 s, got 0.04 s"),
        (AudioClip(torch.zeros(1, 1).expand(1, 601 * 16000), 16000), "got 601.00 s"),
    ):
        with pytest.raises(InputError, match=text):
            model.encode(clip)
    with pytest.raises(ConfigError, match="expected 32 encoder layers as whisper-large-v3 has, got 24"):
        WhisperConfig(num_layers=24)
    with pytest.raises(ConfigError, match="expected heads that divide the width"):
        WhisperConfig(dim=9, num_heads=2)
    with pytest.raises(ConfigError, match="expected 33 hidden states, got 2"):
        group_layers([torch.zeros(1, 3, 8)] * 2)
