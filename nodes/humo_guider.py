"""HuMo's official guidance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..wan_core.identity.recipes import HUMO_LARGE, HUMO_SMALL, humo_recipe
from . import host
from .host import io

OFFICIAL = -1.0


def _scale(name: str, official: str, what: str) -> io.Input:
    tooltip = f"How strictly the clip follows {what}. -1: official ({official})."
    return io.Float.Input(name, default=OFFICIAL, min=OFFICIAL, max=30.0, step=0.1, tooltip=tooltip)


class HumoGuider(io.ComfyNode):
    """The chain of HuMo's own code, whose terms change with the noise level."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_HumoGuider",
            display_name="HuMo Guider (Wan R2V)",
            category="Wan R2V/HuMo",
            description="Guides prompt, speech and pictures apart as HuMo's own code does; three evaluations a step. "
            "17B changes its terms after the strongest noise.",
            inputs=[
                io.Model.Input("model", tooltip="HuMo, from Load Wan Model or core's Load Diffusion Model."),
                io.Conditioning.Input("positive", tooltip="From HuMo Conditioning or WanHuMoImageToVideo."),
                io.Conditioning.Input("negative", tooltip="From the same node."),
                _scale("text_scale", "5 for 17B, 7.5 for 1.7B", "the prompt"),
                _scale("late_text_scale", "3 for 17B, none for 1.7B", "the prompt below noise level 0.98"),
                _scale("voice_scale", "5.5 for 17B, 7.5 for 1.7B", "the speech"),
                _scale("likeness_scale", "none for 17B, 4 for 1.7B", "the pictures"),
            ],
            outputs=[io.Guider.Output(display_name="guider")],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        positive: list[Any],
        negative: list[Any],
        text_scale: float,
        late_text_scale: float,
        voice_scale: float,
        likeness_scale: float,
    ) -> io.NodeOutput:
        """One conditioning an evaluation."""
        usual = HUMO_LARGE if host.is_large(model) else HUMO_SMALL
        asked = {"text": text_scale, "speech": voice_scale}
        asked |= {"late_text": late_text_scale} if usual.late_text is not None else {}
        asked |= {"picture": likeness_scale} if usual.picture is not None else {}
        scales = replace(usual, **{name: scale for name, scale in asked.items() if scale >= 0})
        conditionings, has_picture = host.humo_conditionings(model, positive, negative)
        recipe = humo_recipe(scales, has_picture=has_picture)
        guider = host.RecipeGuider(model)
        guider.set_recipe(recipe, {own: conditionings[tuple(own)] for own in recipe.evaluations})
        return io.NodeOutput(guider)
