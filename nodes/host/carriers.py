"""What ComfyUI's connections carry: LATENT and CONDITIONING."""

from __future__ import annotations

from typing import Any

import comfy.nested_tensor
import node_helpers

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
