"""The guiders of Lynx and Phantom, with the official scales."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..wan_core.identity.recipes import LYNX_FULL, PHANTOM, Evaluation, Recipe
from . import host
from .characters import UNSAID, consent_input, require_consent
from .host import io


def _scale(name: str, default: float, tooltip: str) -> io.Input:
    return io.Float.Input(name, default=default, min=0.0, max=30.0, step=0.05, tooltip=tooltip)


def _scaled(recipe: Recipe, scales: tuple[float, ...]) -> Recipe:
    """The recipe with scales of the user, one a term."""
    steps = tuple(step._replace(scale=own) for step, own in zip(recipe.steps, scales, strict=True))
    return replace(recipe, steps=steps)


def _guider(model: Any, recipe: Recipe, conditionings: dict[Evaluation, Any]) -> io.NodeOutput:
    guider = host.RecipeGuider(model)
    guider.set_recipe(recipe, conditionings)
    return io.NodeOutput(guider)


class LynxGuider(io.ComfyNode):
    """Three terms: nobody, then the face, then the prompt."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_LynxGuider",
            display_name="Lynx Guider (Wan R2V)",
            category="Wan R2V/Identity",
            description="Guides face and prompt apart, as Lynx full does it; lite is guided plainly.",
            inputs=[
                io.Model.Input("model", tooltip="From Apply Identity."),
                io.Conditioning.Input("positive", tooltip="From Apply Identity."),
                io.Conditioning.Input("negative", tooltip="From Apply Identity."),
                _scale("text_scale", 5.0, "How strictly the clip follows the prompt; 5 is official."),
                _scale("identity_scale", 2.0, "How strictly the clip follows the face; 2 is official."),
            ],
            outputs=[io.Guider.Output(display_name="guider")],
        )

    @classmethod
    def execute(
        cls, model: Any, positive: list[Any], negative: list[Any], text_scale: float, identity_scale: float
    ) -> io.NodeOutput:
        """Mark the prompts anew for each evaluation; where no identity is applied, it is plain guidance."""
        recipe = _scaled(LYNX_FULL, (identity_scale, text_scale))
        prompts = {"positive": positive, "negative": negative}
        if host.is_marked(positive):
            conditionings = {
                own: host.mark(prompts[own.prompt], own.references) for own in recipe.evaluations
            }
        else:
            conditionings = {own: prompts[own.prompt] for own in recipe.evaluations}
        return _guider(model, recipe, conditionings)


class PhantomGuider(io.ComfyNode):
    """Three terms: nobody, then the subjects, then the prompt."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_PhantomGuider",
            display_name="Phantom Guider (Wan R2V)",
            category="Wan R2V/Identity",
            description="Guides subjects and prompt with Phantom's own scales, from the three conditionings "
            "of core's WanPhantomSubjectToVideo.",
            inputs=[
                io.Model.Input(
                    "model", tooltip="Phantom 1.3B or 14B, from Load Wan Model or core's loaders."
                ),
                io.Conditioning.Input("positive", tooltip="Prompt and subjects."),
                io.Conditioning.Input("negative_text", tooltip="Negative prompt and subjects."),
                io.Conditioning.Input("negative_img_text", tooltip="Negative prompt and nobody."),
                _scale("text_scale", 7.5, "How strictly the clip follows the prompt; 7.5 is official."),
                _scale("subject_scale", 5.0, "How strictly the clip follows the subjects; 5 is official."),
                consent_input("the subjects are"),
            ],
            outputs=[io.Guider.Output(display_name="guider")],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        positive: list[Any],
        negative_text: list[Any],
        negative_img_text: list[Any],
        text_scale: float,
        subject_scale: float,
        consent: str = UNSAID,
    ) -> io.NodeOutput:
        """One conditioning an evaluation."""
        require_consent("subjects", consent)
        recipe = _scaled(PHANTOM, (subject_scale, text_scale))
        given = (negative_img_text, negative_text, positive)
        return _guider(model, recipe, dict(zip(recipe.evaluations, given, strict=True)))
