"""HuMo as ComfyUI's samplers see it, and what its conditionings carry."""

from __future__ import annotations

from typing import Any

import comfy.model_base
import torch
from torch import Tensor

from ...wan_core.errors import InputError
from .carriers import set_in_conditioning
from .wan import add_prepared, check_channels

#: Keys of a CONDITIONING, as core's WanHuMoImageToVideo sets them: latents as the VAE gives them, and windows.
REFERENCE_LATENTS, SPEECH = "reference_latents", "audio_embed"


class HostHuMo(comfy.model_base.WAN21_HuMo):
    """HuMo with core's own conditions: a recording in `audio_embed`, references in `reference_latents`."""

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        """As core, and the keys and values of the prompt, computed once for all steps."""
        out = super().extra_conds(**kwargs)
        add_prepared(self, out, kwargs)
        return out

    def process_latent_in(self, latent: Tensor) -> Tensor:
        """As core, after a look at the channels."""
        check_channels(self, latent)
        return super().process_latent_in(latent)


def is_large(model: Any) -> bool:
    """Whether a MODEL is HuMo-17B, which has its references as channels."""
    channels = model.get_model_object("latent_format").latent_channels
    return model.model.diffusion_model.patch_embedding.weight.shape[1] > channels


def null_reference(model: Any, reference: Tensor) -> Tensor:
    """What stands where a reference (B, 16, n, H, W) is left out, as the VAE would give it.

    Normalised zeros for 1.7B; for 17B the latents of a grey clip, one number a channel, as core has them.
    Source: Phantom-video/HuMo@17094e9 humo/generate.py, humo/generate_1_7B.py.
    """
    form = model.get_model_object("latent_format")
    values = torch.zeros(1, 1, 1, 1, 1)
    if is_large(model):
        noise = torch.zeros(1, form.latent_channels, 4, 2, 2)
        told = model.model.extra_conds(noise=noise, device=noise.device)["c_concat"].cond
        values = told[:, -form.latent_channels :, -1:, :1, :1]
    return form.process_out(values.to(reference).expand_as(reference).clone())


def humo_conditionings(
    model: Any, positive: list[Any], negative: list[Any]
) -> tuple[dict[tuple[str, str], list[Any]], bool]:
    """CONDITIONING of each prompt ("positive", "negative") with each set of HuMo's recipes, and whether there are
    pictures.

    Raises: InputError: the positive prompt carries no speech or no place for references.
    """
    told = positive[0][1]
    windows, references = told.get(SPEECH), told.get(REFERENCE_LATENTS)
    if windows is None or not references:
        raise InputError(
            "positive: expected speech and references on it, got none. Connect it through HuMo Conditioning or "
            "WanHuMoImageToVideo."
        )
    seen, silent = references[-1], torch.zeros_like(windows)
    absent = null_reference(model, seen)
    sets = {
        "nobody": (absent, silent),
        "picture": (seen, silent),
        "speech": (absent, windows),
        "both": (seen, windows),
    }
    made = {
        (prompt, name): set_in_conditioning(text, {REFERENCE_LATENTS: [latents], SPEECH: speech})
        for prompt, text in (("positive", positive), ("negative", negative))
        for name, (latents, speech) in sets.items()
    }
    return made, bool(seen.any())
