from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from tiny_dit import tiny_config, tiny_joint_config

from wan_core.dit.config import JointConfig
from wan_core.errors import ConfigError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dim": 0}, "dim: expected a positive number, got 0"),
        ({"dim": 50, "num_heads": 4}, "dim: expected a multiple of num_heads 4, got 50"),
        ({"dim": 45, "num_heads": 3}, "dim / num_heads: expected an even number, got 15"),
        ({"freq_dim": 31}, "freq_dim: expected an even number, got 31"),
        (
            {"patch_size": (1, 2)},
            r"patch_size: expected three positive numbers, or \(1,\) for a sequence, got \(1, 2\)",
        ),
        ({"patch_size": (2,)}, "patch_size: expected"),
        ({"patch_size": (1, 0, 2)}, "patch_size: expected"),
        ({"prediction": "noise"}, "prediction: expected 'velocity' or 'sample', got noise"),
        ({"prediction": "sample", "in_channels": 36}, "out_channels: expected in_channels 36"),
        ({"embedding_kernel": 4}, "embedding_kernel: expected an odd number, got 4"),
        ({"image_positions": 5}, r"image_positions: expected None \(image_dim is None\), got 5"),
    ],
)
def test_impossible_towers_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_config(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fusion_window": 0.0}, "fusion_window: expected None or above 0, got 0.0"),
        ({"audio_position_scale": 0.0}, "audio_position_scale: expected above 0"),
        ({"audio_self_stretch": -1.0}, "audio_self_stretch: expected above 0"),
    ],
)
def test_impossible_pairs_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_joint_config(**changes)


def test_towers_must_belong_together() -> None:
    video, audio = tiny_config(), tiny_config(patch_size=(1,), num_layers=3)
    with pytest.raises(ConfigError, match="audio.num_layers: expected 2 as video, got 3"):
        JointConfig(video=video, audio=audio, fusion_window=None, audio_position_scale=1.0)
    with pytest.raises(ConfigError, match="audio.patch_size: expected"):
        JointConfig(video=video, audio=video, fusion_window=None, audio_position_scale=1.0)


def test_derived_numbers() -> None:
    config = tiny_config(patch_size=[1, 2, 2])
    assert (config.head_dim, config.ndim, config.patch_size) == (24, 3, (1, 2, 2))
    assert tiny_config(patch_size=(1,), dim=3072, num_heads=24).sequence_hidden == 8192
    assert tiny_config(embedding_hidden=7).sequence_hidden == 7
    with pytest.raises(FrozenInstanceError):
        config.dim = 1  # type: ignore[misc]
