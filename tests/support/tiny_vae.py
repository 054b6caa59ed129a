"""Small causal video VAEs of both kinds, with Diffusers' model of the same shape."""

from __future__ import annotations

import torch
from formula_weights import formula_tensor
from torch import Tensor, nn

from wan_core.vae.wan_config import WAN21_VAE, WAN22_VAE, WanVAEConfig

#: 2.1's kind: flat list of layers, channels halved when upsampling.
TINY_21 = WanVAEConfig(
    latent_channels=16,
    encoder_width=4,
    decoder_width=4,
    res_blocks=1,
    latents_mean=WAN21_VAE.latents_mean,
    latents_std=WAN21_VAE.latents_std,
)
#: 2.2's kind: levels with shortcuts, pixels laid into channels, a wider decoder.
TINY_22 = WanVAEConfig(
    latent_channels=48,
    encoder_width=4,
    decoder_width=6,
    res_blocks=1,
    patch=2,
    is_residual=True,
    latents_mean=WAN22_VAE.latents_mean,
    latents_std=WAN22_VAE.latents_std,
)
TINY = {"2.1": TINY_21, "2.2": TINY_22}


def randomise(model: nn.Module, seed: int) -> None:
    """Random weights with which signals neither die nor explode."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        fan_in = max(parameter[0].numel(), 1)
        is_norm = name.endswith("gamma")
        parameter.data = 1 + 0.2 * noise if is_norm else noise / fan_in**0.5


def diffusers_config(config: WanVAEConfig) -> dict[str, object]:
    """Entries of Diffusers' config.json."""
    return {
        "base_dim": config.encoder_width,
        "decoder_base_dim": config.decoder_width,
        "z_dim": config.latent_channels,
        "dim_mult": list(config.width_factors),
        "num_res_blocks": config.res_blocks,
        "temperal_downsample": list(config.temporal_downsample),
        "is_residual": config.is_residual,
        "patch_size": config.patch if config.is_residual else None,
        "in_channels": 3 * config.patch**2,
        "out_channels": 3 * config.patch**2,
        "latents_mean": list(config.latents_mean),
        "latents_std": list(config.latents_std),
        "scale_factor_spatial": config.spatial_stride,
    }


def diffusers_vae(config: WanVAEConfig, seed: int | None) -> nn.Module:
    """Diffusers' VAE of that shape with random weights (None: as they come), in inference mode."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

    model = AutoencoderKLWan(**diffusers_config(config))
    if seed is not None:
        randomise(model, seed)
    return model.eval().requires_grad_(False)


def official_arguments(config: WanVAEConfig) -> dict[str, object]:
    """Arguments of the official WanVAE_ class."""
    arguments: dict[str, object] = {
        "dim": config.encoder_width,
        "z_dim": config.latent_channels,
        "dim_mult": list(config.width_factors),
        "num_res_blocks": config.res_blocks,
        "temperal_downsample": list(config.temporal_downsample),
    }
    return arguments | ({"dec_dim": config.decoder_width} if config.is_residual else {})


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Root mean square of the difference over that of the expected values."""
    return ((found.double() - expected.double()).norm() / expected.double().norm()).item()


def formula_vae_state(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Weights by formula, for golden files: signals neither die nor explode."""
    state: dict[str, Tensor] = {}
    for number, name in enumerate(sorted(shapes)):
        shape = shapes[name]
        fan_in = 1
        for size in shape[1:]:
            fan_in *= size
        is_norm = name.endswith("gamma")
        state[name] = formula_tensor(shape, number, 0.2 if is_norm else (2 / fan_in) ** 0.5) + (
            1.0 if is_norm else 0.0
        )
    return state
