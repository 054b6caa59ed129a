"""Guidance in core's samplers, and progress, previews and interruption in the engine's own loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.samplers
import comfy.utils
import latent_preview
from torch import Tensor

from ...wan_core.sampling.guidance import MODALITIES, GuidanceChain, GuidanceRun, Modality
from ...wan_core.sampling.guidance_rules import PlainSum

PREVIEW_WIDTH = 256
#: A sigma of the schedule is found again in spite of rounding.
NEAR = 1 + 1e-5


class ChainGuider(comfy.samplers.CFGGuider):
    """Guidance chain for core's samplers: conditions by name, with scales of their own for picture and sound.

    Windows, rules and lists of scales count the steps of the schedule that core was given. A sampler that evaluates
    several times in a step goes on from what the rule remembered of the step before.
    """

    def set_chain(self, chain: GuidanceChain[str], conditionings: Mapping[str, Any]) -> None:
        """Set the chain over the names of `conditionings` (CONDITIONING each)."""
        self.chain = chain
        self.inner_set_conds(dict(conditionings))

    def sample(
        self,
        noise: Tensor,
        latent_image: Tensor,
        sampler: Any,
        sigmas: Tensor,
        denoise_mask: Tensor | None = None,
        callback: Any = None,
        disable_pbar: bool = False,
        seed: int | None = None,
    ) -> Tensor:
        """Run core's sampling; arguments are core's."""
        self._sigmas: list[float] = sigmas.tolist()
        self._index = -1
        self._run = self._before = self.chain.start()
        return super().sample(
            noise, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar, seed
        )

    def predict_noise(
        self,
        x: Tensor,
        timestep: Tensor,
        model_options: dict[str, Any] | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """Guided clean sample; conditions that the chain does not need at a step are not evaluated."""
        sigma = float(timestep[0])
        index = sum(sigma <= start * NEAR for start in self._sigmas[1:-1])
        if index != self._index:
            self._index, self._before = index, self._run
        self._run = run = self._before.copy()
        any_conds: Any = self.conds[self.chain.conditions[0]]
        packed = any_conds[0]["model_conds"].get("latent_shapes")
        latents = [x] if packed is None else comfy.utils.unpack_latents(x, packed.cond)
        planned = run.plan(index, (sigma, sigma), (True, packed is not None), (index, index))
        conds = [self.conds[own.condition] for own in planned]
        cleans: Sequence[Tensor] = ()
        if conds:
            cleans = comfy.samplers.calc_cond_batch(self.inner_model, conds, x, timestep, model_options or {})
        parts = [
            [each] if packed is None else comfy.utils.unpack_latents(each, packed.cond) for each in cleans
        ]
        made = list[Tensor]()
        for number, (modality, latent) in enumerate(zip(MODALITIES, latents, strict=False)):
            own = {
                each.place: part[number]
                for each, part in zip(planned, parts, strict=True)
                if (each.wants_video, each.wants_audio)[number]
            }
            made.append(self._combine(run, modality, latent, sigma, own))
        return made[0] if packed is None else comfy.utils.pack_latents(made)[0]

    def _combine(
        self,
        run: GuidanceRun[str],
        modality: Modality,
        latents: Tensor,
        sigma: float,
        cleans: dict[int, Tensor],
    ) -> Tensor:
        """One clean sample of a modality. The plain sum is the same for clean samples as for velocities."""
        if isinstance(self.chain.rule, PlainSum):
            return run.combine(modality, cleans, latents)
        velocities = {place: (latents - clean) / sigma for place, clean in cleans.items()}
        return latents - sigma * run.combine(modality, velocities, latents)


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
