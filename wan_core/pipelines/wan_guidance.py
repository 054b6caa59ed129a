"""From a recipe of guidance to the chain that the sampling loop walks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from ..identity.recipes import (
    LYNX_FULL,
    LYNX_LITE,
    PHANTOM,
    Evaluation,
    Recipe,
    RecipeStep,
    bernini_recipe,
    choose_bernini_mode,
)
from ..sampling.guidance import GuidanceChain, GuidanceTerm
from ..sampling.guidance_rules import GuidanceRule, Projected, Window
from ..sampling.sigmas import TIMESTEPS
from .request import Character
from .wan_conditions import NEGATIVE, NOBODY, POSITIVE, WanCondition
from .wan_family import WanFamily

C = TypeVar("C")

#: Classifier-free guidance, as of a model without references.
PROMPT_ALONE = Recipe(
    base=Evaluation("negative", NOBODY), steps=(RecipeStep(Evaluation("positive", NOBODY), 1.0),)
)


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


def choose_recipe(
    family: WanFamily,
    characters: Sequence[Character],
    guidance: tuple[float, float],
    reference_guidance: tuple[float, float] | None,
) -> Recipe:
    """Recipe of a run.

    Args:
        family: with its method.   characters: references that act; none gives guidance by the prompt alone.
        guidance, reference_guidance: (low-noise, high-noise) scales of the prompt and of the references, see `rescale`.
    """
    videos = sum(len(own.videos) for own in characters)
    images = sum(len(own.photos) for own in characters)
    recipe = PROMPT_ALONE
    if characters and family.method == "lynx":
        recipe = LYNX_LITE if family.reference_guidance is None else LYNX_FULL
    elif characters and family.method == "phantom":
        recipe = PHANTOM
    elif characters and family.method == "bernini":
        recipe = bernini_recipe(choose_bernini_mode(videos, images), has_experts=family.has_experts)
    return rescale(recipe, guidance, reference_guidance, family.boundary or 0.0)


def rescale(
    recipe: Recipe,
    guidance: tuple[float, float],
    reference_guidance: tuple[float, float] | None,
    boundary: float,
) -> Recipe:
    """Give the terms of a recipe other scales: the last that adds the prompt, and the last that adds references.

    Where every scale asked for is 1, so is that of all other terms: a step is one evaluation.

    Args:
        guidance: of the prompt, (low-noise, high-noise).   reference_guidance: of the references; None keeps them.
        boundary: sigma below which the low-noise scales hold.
    """
    texts = [i for i, step in enumerate(recipe.steps) if step.evaluation.prompt == "positive"]
    others = [i for i, step in enumerate(recipe.steps) if step.evaluation.prompt == "negative"]
    is_single = guidance == (1.0, 1.0) and reference_guidance in (None, (1.0, 1.0))
    steps: list[RecipeStep] = []
    for number, step in enumerate(recipe.steps):
        scale = recipe.scale(number)
        if number in texts[-1:]:
            scale = _by_expert(guidance, boundary)
        elif number in others[-1:] and reference_guidance is not None:
            scale = _by_expert(reference_guidance, boundary)
        elif is_single:
            scale = _by_expert((1.0, 1.0), boundary)
        steps.append(step._replace(scale=scale))
    return replace(recipe, steps=tuple(steps), low_noise_factor=1.0, boundary=0.0)


def has_guidance(recipe: Recipe, timesteps: Sequence[float]) -> bool:
    """Whether some term has a scale other than 1 at some step."""
    return any(
        recipe.scale(number)(timestep / TIMESTEPS) != 1.0
        for number in range(len(recipe.steps))
        for timestep in timesteps
    )


def _by_expert(scales: tuple[float, float], boundary: float) -> Callable[[float], float]:
    low, high = scales
    return lambda sigma: low if sigma < boundary else high
