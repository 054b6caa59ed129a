"""Guidance in core's samplers, and progress, previews and interruption in the engine's own loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.samplers
import comfy.utils
import latent_preview
from torch import Tensor

from ...wan_core.sampling.guidance import GuidanceChain, blend

PREVIEW_WIDTH = 256


class ChainGuider(comfy.samplers.CFGGuider):
    """Guidance chain for core's samplers: conditions by name, with scales of their own for picture and sound."""

    def set_chain(self, chain: GuidanceChain[str], conditionings: Mapping[str, Any]) -> None:
        """Set the chain over the names of `conditionings` (CONDITIONING each)."""
        self.chain = chain
        self.inner_set_conds(dict(conditionings))

    def predict_noise(
        self,
        x: Tensor,
        timestep: Tensor,
        model_options: dict[str, Any] | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """Blend the clean samples that the conditions predict; conditions that weigh nothing are not evaluated."""
        sigma = float(timestep[0])
        weights = [w for w in self.chain.weights(0, sigma, sigma) if w.video or w.audio]
        conds = [self.conds[weight.condition] for weight in weights]
        results = comfy.samplers.calc_cond_batch(self.inner_model, conds, x, timestep, model_options or {})
        packed = conds[0][0]["model_conds"].get("latent_shapes")
        if packed is None:
            return blend([(weight.video, result) for weight, result in zip(weights, results, strict=True)])
        shapes = packed.cond
        parts = [comfy.utils.unpack_latents(result, shapes) for result in results]
        video = blend([(weight.video, part[0]) for weight, part in zip(weights, parts, strict=True)])
        audio = blend([(weight.audio, part[1]) for weight, part in zip(weights, parts, strict=True)])
        return comfy.utils.pack_latents([video, audio])[0]


def make_callback(
    model: comfy.model_patcher.ModelPatcher, steps: int, has_preview: bool
) -> Callable[[int, Tensor | None], None]:
    """Progress bar, live preview and the Interrupt button for a sampling loop of the engine.

    Returns: to be called after each step with its number from 0 and the clean estimate of the picture's latents, None
        while the picture waits; it raises when the user has pressed Interrupt.
    """
    bar = comfy.utils.ProgressBar(steps)
    form = model.get_model_object("latent_format")
    previewer = latent_preview.Latent2RGBPreviewer(
        form.latent_rgb_factors, form.latent_rgb_factors_bias, form.latent_rgb_factors_reshape
    )

    def callback(index: int, denoised: Tensor | None) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        image = None if denoised is None or not has_preview else previewer.decode_latent_to_preview(denoised)
        if image is not None and image.width < PREVIEW_WIDTH:
            image = image.resize((PREVIEW_WIDTH, PREVIEW_WIDTH * image.height // image.width))
        bar.update_absolute(index + 1, steps, None if image is None else ("JPEG", image, 2 * PREVIEW_WIDTH))

    return callback
