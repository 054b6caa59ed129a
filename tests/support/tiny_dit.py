"""Small transformers with random weights for tests."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wan_core.dit.config import JointConfig, WanConfig
from wan_core.dit.model import WanModel


def tiny_config(**changes: object) -> WanConfig:
    """A tower of two heads of 24 and two blocks; fields can be replaced."""
    fields: dict[str, object] = {
        "dim": 48,
        "ffn_dim": 80,
        "num_heads": 2,
        "num_layers": 2,
        "in_channels": 4,
        "out_channels": 4,
        "text_dim": 12,
        "freq_dim": 32,
    }
    return WanConfig(**{**fields, **changes})  # type: ignore[arg-type]


def wide_config(**changes: object) -> WanConfig:
    """A tower whose heads are as wide as the published ones, so that its file needs no config.json."""
    return tiny_config(**{"dim": 256, "ffn_dim": 32, "freq_dim": 16, "num_layers": 1, **changes})


def wide_state(config: WanConfig | None = None) -> dict[str, Tensor]:
    """Random weights of a tower, by default of `wide_config`."""
    return dict(randomise(WanModel(config or wide_config()), std=0.05 if config else 0.2).state_dict())


def tiny_joint_config(fusion_window: float | None = 0.8, **changes: object) -> JointConfig:
    """Two towers of different width; `changes` are fields of the joint configuration."""
    video = tiny_config(patch_size=(1, 1, 1))
    audio = tiny_config(
        dim=32, in_channels=3, out_channels=3, patch_size=(1,), embedding_kernel=3, embedding_hidden=16
    )
    fields: dict[str, object] = {"audio_position_scale": 0.37, "audio_position_offset": -0.4}
    return JointConfig(video=video, audio=audio, fusion_window=fusion_window, **{**fields, **changes})  # type: ignore[arg-type]


def randomise(model: nn.Module, seed: int = 0, std: float = 0.2) -> nn.Module:
    """Fill every parameter with normal numbers (around 1 where it scales a norm) and switch training off."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(std=std, generator=generator)
            if "norm" in name and name.endswith("weight"):
                parameter.add_(1.0)
    return model.train(False)


def normal(*shape: int, seed: int = 1) -> Tensor:
    """Normal numbers from a seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Norm of the difference over the norm of what was expected."""
    found, expected = found.detach().double(), expected.detach().double()
    return float((found - expected).norm() / expected.norm())
