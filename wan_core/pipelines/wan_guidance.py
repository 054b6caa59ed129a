"""From a recipe of guidance to the chain that the sampling loop walks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ..identity.recipes import Evaluation, Recipe
from ..sampling.guidance import GuidanceChain, GuidanceTerm
from ..sampling.guidance_rules import GuidanceRule, Projected, Window
from ..sampling.sigmas import TIMESTEPS
from .wan_conditions import NEGATIVE, POSITIVE, WanCondition

C = TypeVar("C")


def recipe_chain(
    recipe: Recipe,
    timesteps: Sequence[float],
    condition_of: Callable[[Evaluation], C],
    *,
    window: Window | None = None,
    rule: GuidanceRule | None = None,
) -> GuidanceChain[C]:
    """Turn a recipe into a chain; every family's guidance comes through here.

    Args:
        recipe: evaluations in order, their scales, and how differences are projected.
        timesteps: what the transformer is shown, one a step (`Schedule.shown`); scales that change with the noise level
            are looked up by it, as experts are.
        condition_of: what the denoiser is given for an evaluation (`wan_condition` for the Wan models).
        window: where guidance acts, None for everywhere.
        rule: instead of the plain sum; None for the recipe's own.
    Raises: ConfigError: a scale that is not finite.
    """
    terms = [
        GuidanceTerm(
            condition=condition_of(step.evaluation),
            video=[recipe.scale(number)(timestep / TIMESTEPS) for timestep in timesteps],
            baseline=None if step.baseline is None else condition_of(step.baseline),
        )
        for number, step in enumerate(recipe.steps)
    ]
    return GuidanceChain(
        condition_of(recipe.base), terms, window=window, rule=rule or projection_rule(recipe)
    )


def projection_rule(recipe: Recipe) -> GuidanceRule | None:
    """Adaptive projected guidance as a recipe has it, or None for the plain sum."""
    own = recipe.projection
    if own is None:
        return None
    return Projected(
        eta=own.eta,
        norm_threshold=own.norm_threshold,
        momentum=own.momentum,
        form=own.form,
        space=own.space,
        per_frame=own.per_frame,
    )


def wan_condition(evaluation: Evaluation) -> WanCondition:
    """Condition of the Wan denoiser for an evaluation of a recipe."""
    return WanCondition(
        POSITIVE if evaluation.prompt == "positive" else NEGATIVE, references=evaluation.references
    )
