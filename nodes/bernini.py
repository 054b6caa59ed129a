"""The guider of Bernini-R: chains over pictures, videos and the prompt, projected in the space of clean samples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

from ..wan_core.errors import InputError
from ..wan_core.identity.recipes import (
    BERNINI_REFERENCES,
    BERNINI_TEXT,
    BERNINI_VIDEO,
    BerniniMode,
    bernini_recipe,
    choose_bernini_mode,
)
from ..wan_core.identity.streams import bernini_streams
from . import host
from .characters import UNSAID, consent_input, require_consent
from .guidance import single
from .host import io

AUTO = "auto"
TWO_EXPERTS, ONE_MODEL = "14B (two experts)", "1.3B"
MODES: dict[str, BerniniMode] = {mode: mode for mode in get_args(BerniniMode)}


class BerniniGuider(io.ComfyNode):
    """A chain over sets of references and prompts."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        scale = {"min": 0.0, "max": 30.0, "step": 0.05}
        return io.Schema(
            node_id="WanR2V_BerniniGuider",
            display_name="Bernini Guider (Wan R2V)",
            category="Wan R2V/Identity",
            description="Guides references and prompt as Bernini-R's own code does, from the conditionings of core's "
            "Bernini Conditioning.",
            inputs=[
                io.Model.Input("model", tooltip="Bernini-R; of the 14B pair, the expert of this sampler."),
                io.Conditioning.Input(
                    "positive", tooltip="Prompt and references, from Bernini Conditioning."
                ),
                io.Conditioning.Input("negative", tooltip="Negative prompt, from Bernini Conditioning."),
                io.Combo.Input(
                    "mode",
                    options=[AUTO, *MODES],
                    tooltip="auto: r2v_apg for pictures, rv2v for both, v2v for videos, t2v for neither.",
                ),
                io.Combo.Input(
                    "size",
                    options=[TWO_EXPERTS, ONE_MODEL],
                    tooltip="14B weakens all scales to 0.8 in its low-noise expert.",
                ),
                io.Float.Input(
                    "text_scale",
                    default=BERNINI_TEXT,
                    **scale,
                    tooltip="How strictly the clip follows the prompt.",
                ),
                io.Float.Input(
                    "reference_scale",
                    default=BERNINI_REFERENCES,
                    **scale,
                    tooltip="How strictly the clip follows pictures (and, in rv2v, all references together).",
                ),
                io.Float.Input(
                    "video_scale",
                    default=BERNINI_VIDEO,
                    **scale,
                    tooltip="How strictly the clip follows the first video.",
                ),
                consent_input("the references are"),
            ],
            outputs=[io.Guider.Output(display_name="guider")],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        positive: list[Any],
        negative: list[Any],
        mode: str,
        size: str,
        text_scale: float,
        reference_scale: float,
        video_scale: float,
        consent: str = UNSAID,
    ) -> io.NodeOutput:
        """Divide the references of the prompt into the sets of the recipe."""
        single(positive, "positive")
        found = host.streams_of(positive)
        if found:
            require_consent("references", consent)
        videos = [own for own in found if own.shape[2] > 1]
        images = [own for own in found if own.shape[2] == 1]
        chosen = choose_bernini_mode(len(videos), len(images)) if mode == AUTO else MODES[mode]
        recipe = bernini_recipe(chosen, has_experts=size == TWO_EXPERTS)
        own = {"video": video_scale, "images": reference_scale, "every": reference_scale}
        steps = tuple(
            step._replace(
                scale=text_scale if step.evaluation.prompt == "positive" else own[step.evaluation.references]
            )
            for step in recipe.steps
        )
        recipe = replace(recipe, steps=steps)
        sets: dict[str, tuple[Any, ...]] = {"none": ()}
        if found:
            host.check_streams(model)
            streams = bernini_streams(videos, images)
            sets |= {
                name: tuple(stream.latents for stream in getattr(streams, name))
                for name in ("video", "images", "every")
            }
        missing = [name for _, name in recipe.evaluations if name != "none" and not sets.get(name)]
        if missing:
            raise InputError(
                f"references: expected {' and '.join(dict.fromkeys(missing))} for {chosen}, got {len(videos)} videos "
                f"and {len(images)} pictures. Connect them to Bernini Conditioning, or choose auto."
            )
        prompts = {"positive": positive, "negative": negative}
        conditionings = {
            evaluation: host.with_streams(prompts[evaluation.prompt], sets[evaluation.references])
            for evaluation in recipe.evaluations
        }
        guider = host.RecipeGuider(model)
        guider.set_recipe(recipe, conditionings)
        return io.NodeOutput(guider)
