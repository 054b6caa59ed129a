"""What ComfyUI's connections carry: LATENT and CONDITIONING."""

from __future__ import annotations

from typing import Any

import comfy.latent_formats
import comfy.nested_tensor
import node_helpers
from torch import Tensor

from ...wan_core.errors import InputError
from ...wan_core.types import AVLatents

NAMED = "wan_r2v_named"


def nest(latents: AVLatents) -> Any:
    """Latents as ComfyUI carries them: nested with sound, plain without."""
    if latents.audio is None:
        return latents.video
    return comfy.nested_tensor.NestedTensor([latents.video, latents.audio])


def unnest(samples: Any) -> AVLatents:
    """The latents of a LATENT's samples, nested or plain."""
    if getattr(samples, "is_nested", False):
        return AVLatents(*samples.unbind())
    return AVLatents(samples)


def set_in_conditioning(conditioning: list[Any], values: dict[str, Any]) -> list[Any]:
    """A copy of a CONDITIONING with values added to each entry."""
    return node_helpers.conditioning_set_values(conditioning, values)


def raw_latents(z: Tensor) -> Tensor:
    """Latents as a VAE connection carries them, from normalised ones (B, 16 or 48, F, h, w)."""
    return _latent_format(z).process_out(z)


def normalised_latents(raw: Tensor) -> Tensor:
    """The other way round.

    Raises: InputError: latents of another model.
    """
    return _latent_format(raw).process_in(raw)


def _latent_format(latents: Tensor) -> comfy.latent_formats.LatentFormat:
    formats = {16: comfy.latent_formats.Wan21, 48: comfy.latent_formats.Wan22}
    if latents.ndim != 5 or latents.shape[1] not in formats:
        raise InputError(
            f"latents: expected (batch, 16 or 48, frames, height, width), got {tuple(latents.shape)}. Use the VAE that "
            "belongs to the model."
        )
    return formats[latents.shape[1]]()
