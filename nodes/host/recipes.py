"""Guidance recipes of the reference methods in core's samplers, on any Wan MODEL."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import comfy.model_patcher
from torch import Tensor

from ...wan_core.errors import InputError
from ...wan_core.identity.recipes import Evaluation, Recipe
from ...wan_core.pipelines.wan_guidance import projection_rule
from ...wan_core.sampling import GuidanceChain, GuidanceTerm
from .sampling import ChainGuider
from .wan import HostWanModel

#: Key of a CONDITIONING for in-context references, as core's Bernini node sets it: latents, not normalised.
STREAMS = "context_latents"


class RecipeGuider(ChainGuider):
    """A guidance recipe for core's samplers, projected or not."""

    def set_recipe(self, recipe: Recipe, conditionings: Mapping[Evaluation, Any]) -> None:
        """Set the recipe.

        Args: conditionings: CONDITIONING of every evaluation; those that are one object are evaluated once.
        """
        names: dict[Evaluation, str] = {}
        for evaluation, conditioning in conditionings.items():
            same = [name for other, name in names.items() if conditionings[other] is conditioning]
            names[evaluation] = same[0] if same else f"{evaluation.prompt} {evaluation.references}"
        terms = [
            GuidanceTerm(
                condition=names[step.evaluation],
                video=recipe.scale(number),
                audio=recipe.scale(number),
                baseline=None if step.baseline is None else names[step.baseline],
            )
            for number, step in enumerate(recipe.steps)
        ]
        chain = GuidanceChain(names[recipe.base], terms, rule=projection_rule(recipe))
        used = {names[evaluation]: conditioning for evaluation, conditioning in conditionings.items()}
        self.set_chain(chain, {name: used[name] for name in chain.conditions})


def streams_of(conditioning: list[Any]) -> tuple[Tensor, ...]:
    """In-context references that a CONDITIONING of one prompt carries, in order of their numbers."""
    return tuple(conditioning[0][1].get(STREAMS, ()))


def check_streams(patcher: comfy.model_patcher.ModelPatcher) -> None:
    """Raises: InputError: a MODEL whose transformer would leave in-context references out."""
    transformer = patcher.get_model_object("diffusion_model")
    places = getattr(transformer, "rope_encode", None)
    if isinstance(transformer, HostWanModel):
        return
    if places is None or "source_id" not in inspect.signature(places).parameters:
        raise InputError(
            f"model: expected one that reads in-context references, got {type(transformer).__name__} of this ComfyUI. "
            "Use Load Wan Model, or ComfyUI 0.25 or later."
        )


def with_streams(conditioning: list[Any], streams: tuple[Tensor, ...]) -> list[Any]:
    """A copy of a CONDITIONING with other in-context references, or without any."""
    result: list[Any] = []
    for context, settings in conditioning:
        kept = {key: value for key, value in settings.items() if key != STREAMS}
        result.append([context, {**kept, STREAMS: list(streams)} if streams else kept])
    return result
