"""Which causal video VAE a header describes, and its configuration."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..errors import (
    AmbiguousCheckpointError,
    CheckpointMismatchError,
    ConfigError,
    UnknownCheckpointError,
)
from ..vae.wan_config import WAN21_VAE, WAN22_VAE, WanVAEConfig
from ..vae.wan_vae import WanVAE
from .header import Header
from .key_maps import PLAIN_RULES, find_prefix, rename
from .source import Source
from .vae_keys import diffusers_vae_names

#: Class that a Diffusers config.json names; the config.json of a transformer may lie beside an original VAE file.
DIFFUSERS_CLASS = "AutoencoderKLWan"
#: Field of WanVAEConfig -> its name in a Diffusers config.json.
CONFIG_NAMES = {
    "latent_channels": "z_dim",
    "encoder_width": "base_dim",
    "decoder_width": "decoder_base_dim",
    "width_factors": "dim_mult",
    "res_blocks": "num_res_blocks",
    "temporal_downsample": "temperal_downsample",
    "patch": "patch_size",
    "is_residual": "is_residual",
}
_LAYER = re.compile(
    r"encoder\.downsamples\.(\d+)\.(?:downsamples\.(\d+)\.)?(residual\.2|resample\.1|time_conv)\.weight"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VAEFamily:
    """A way of naming the tensors of a causal video VAE. signature: keys that such a file has (after its prefix)."""

    name: str
    signature: tuple[str, ...]
    rename: Callable[[Iterable[str], str], dict[str, str]]

    def mismatch(self, header: Header) -> str | None:
        """Why a header is not of this family, or None if it is."""
        prefix = find_prefix(header.tensors, self.signature[0])
        if prefix is None:
            return f"no {self.signature[0]}"
        return next((f"no {key}" for key in self.signature if prefix + key not in header.tensors), None)


@dataclass(frozen=True, slots=True)
class DetectedVAE:
    """A recognised VAE: its family, configuration, and stored key -> parameter name."""

    family: str
    config: WanVAEConfig
    names: Mapping[str, str]

    def build(self) -> nn.Module:
        """Make the model."""
        return WanVAE(self.config)


def _plain(keys: Iterable[str], prefix: str) -> dict[str, str]:
    return rename(keys, prefix, PLAIN_RULES)


_ORIGINAL = "decoder.middle.0.residual.0.gamma"
_DIFFUSERS = "decoder.mid_block.resnets.0.norm1.gamma"
VAE_FAMILIES = (
    VAEFamily(
        name="Wan 2.1 VAE, original names",
        signature=(_ORIGINAL, "encoder.downsamples.0.residual.2.weight", "conv2.weight"),
        rename=_plain,
    ),
    VAEFamily(
        name="Wan 2.2 VAE, original names",
        signature=(_ORIGINAL, "encoder.downsamples.0.downsamples.0.residual.2.weight", "conv2.weight"),
        rename=_plain,
    ),
    VAEFamily(
        name="Wan 2.1 VAE, Diffusers names",
        signature=(_DIFFUSERS, "encoder.down_blocks.0.conv1.weight", "post_quant_conv.weight"),
        rename=diffusers_vae_names,
    ),
    VAEFamily(
        name="Wan 2.2 VAE, Diffusers names",
        signature=(_DIFFUSERS, "encoder.down_blocks.0.resnets.0.conv1.weight", "post_quant_conv.weight"),
        rename=diffusers_vae_names,
    ),
)


def detect_vae(source: Source) -> DetectedVAE:
    """Recognise a causal video VAE from its header.

    Raises: UnknownCheckpointError: no family, with the reason of each.   AmbiguousCheckpointError: several.
        CheckpointMismatchError: tensors missing, config.json contradicts them, or the latents' statistics are unknown.
    """
    header = source.header
    reasons = {family.name: family.mismatch(header) for family in VAE_FAMILIES}
    fitting = [family for family in VAE_FAMILIES if reasons[family.name] is None]
    if not fitting:
        text = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise UnknownCheckpointError(
            f"video VAE: expected a known layout of tensors, got none of them ({text}) in {header.name}. "
            "Name the file of a Wan 2.1 or 2.2 VAE."
        )
    if len(fitting) > 1:
        names = " and ".join(family.name for family in fitting)
        raise AmbiguousCheckpointError(
            f"video VAE: expected one known layout of tensors, got {names} in {header.name}. Split the file."
        )
    family = fitting[0]
    prefix = find_prefix(header.tensors, family.signature[0]) or ""
    names = family.rename(header.tensors, prefix)
    stored = source.config if source.config.get("_class_name") == DIFFUSERS_CLASS else {}
    return DetectedVAE(family.name, infer_vae(header, names, stored), names)


def infer_vae(header: Header, names: Mapping[str, str], stored: Mapping[str, Any]) -> WanVAEConfig:
    """Configuration from the shapes of tensors.

    Args: names: stored key -> parameter name.   stored: entries of a Diffusers config.json, may be empty; it gives the
        latents' statistics and must agree with the shapes.
    Raises: CheckpointMismatchError: it does not agree, a tensor is missing, or nothing gives the statistics.
    """
    shapes = {name: header.shape(key) for key, name in names.items()}
    try:
        channels, width = shapes["conv2.weight"][0], shapes["encoder.conv1.weight"][0]
        patch = math.isqrt(shapes["encoder.conv1.weight"][1] // 3)
        last_width = shapes["decoder.head.0.gamma"][0]
        widths, blocks, halvings = _levels(shapes)
        is_residual = "encoder.downsamples.0.downsamples.0.residual.2.weight" in shapes
        mean, std = _statistics(channels, is_residual, stored)
        config = WanVAEConfig(
            latent_channels=channels,
            encoder_width=width,
            decoder_width=last_width // (widths[0] // width),
            width_factors=tuple(own // width for own in widths),
            res_blocks=blocks,
            temporal_downsample=halvings,
            patch=patch,
            is_residual=is_residual,
            latents_mean=mean,
            latents_std=std,
        )
    except (KeyError, IndexError, ZeroDivisionError, ConfigError) as error:
        raise CheckpointMismatchError(
            f"video VAE: expected the tensors of a Wan VAE, got none that fit ({error}) in {header.name}. "
            "Use the file of a Wan 2.1 or 2.2 VAE, or a Diffusers folder with its config.json."
        ) from error
    for field, name in CONFIG_NAMES.items():
        claimed, found = stored.get(name), getattr(config, field)
        if claimed is not None and (tuple(claimed) if isinstance(claimed, list) else claimed) != found:
            raise CheckpointMismatchError(
                f"{name}: expected {found} as the tensors have it, got {claimed} in the config.json beside "
                f"{header.name}. Put the config.json of this model there."
            )
    return config


def _levels(shapes: Mapping[str, tuple[int, ...]]) -> tuple[list[int], int, tuple[bool, ...]]:
    """Width of each level of the encoder, residual blocks in a level, and where time is halved."""
    found = sorted(
        (int(match[1]), int(match[2] or 0), match[3], name)
        for name in shapes
        if (match := _LAYER.fullmatch(name))
    )
    widths: list[int] = []
    halvings: list[bool] = []
    blocks, in_level = 0, 0
    for _, _, layer, name in found:
        if layer == "residual.2":
            in_level += 1
            if in_level == 1:
                widths.append(shapes[name][0])
            blocks = max(blocks, in_level)
        elif layer == "resample.1":
            in_level = 0
            halvings.append(name.replace("resample.1", "time_conv") in shapes)
    return widths, blocks, tuple(halvings)


def _statistics(
    channels: int, is_residual: bool, stored: Mapping[str, Any]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of the latents: from config.json, else those of the published VAE of this kind.

    Raises: ConfigError: neither.
    """
    if "latents_mean" in stored and "latents_std" in stored:
        return tuple(map(float, stored["latents_mean"])), tuple(map(float, stored["latents_std"]))
    for published in (WAN21_VAE, WAN22_VAE):
        if (published.latent_channels, published.is_residual) == (channels, is_residual):
            return published.latents_mean, published.latents_std
    raise ConfigError(f"latents_mean and latents_std of {channels} channels are in no config.json")
