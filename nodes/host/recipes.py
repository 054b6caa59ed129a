"""Guidance recipes of the reference methods in core's samplers, on any Wan MODEL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import comfy.samplers
from torch import Tensor

from ...wan_core.errors import ConfigError
from ...wan_core.identity.recipes import Evaluation, Recipe
from ...wan_core.pipelines.wan_guidance import projection_rule
from ...wan_core.sampling import GuidanceChain, GuidanceTerm
from .sampling import ChainGuider

#: Key of a CONDITIONING for in-context references, as core's Bernini node sets it: latents, not normalised.
STREAMS = "context_latents"


class RecipeGuider(ChainGuider):
    """A guidance recipe for core's samplers, projected or not."""

    def set_recipe(self, recipe: Recipe, conditionings: Mapping[Evaluation, Any]) -> None:
        """Set the recipe.

        Args: conditionings: CONDITIONING of every evaluation; those that are one object are evaluated once.
        Raises: ConfigError: a projection that remembers the step before, which core's samplers do not tell of.
        """
        if recipe.projection is not None and recipe.projection.momentum:
            raise ConfigError(
                f"guidance: expected a projection without momentum, got {recipe.projection.momentum}. Set it to 0."
            )
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
        self.is_projected = recipe.projection is not None

    def predict_noise(
        self,
        x: Tensor,
        timestep: Tensor,
        model_options: dict[str, Any] | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """Guided clean sample."""
        if not self.is_projected:
            return super().predict_noise(x, timestep, model_options, seed)
        sigma = float(timestep[0])
        run = self.chain.start()
        planned = run.plan(0, (sigma, sigma), (True, False))
        conds = [self.conds[own.condition] for own in planned]
        results = comfy.samplers.calc_cond_batch(self.inner_model, conds, x, timestep, model_options or {})
        velocities = {own.place: (x - clean) / sigma for own, clean in zip(planned, results, strict=True)}
        return x - sigma * run.combine("video", velocities, x)


def streams_of(conditioning: list[Any]) -> tuple[Tensor, ...]:
    """In-context references that a CONDITIONING of one prompt carries, in order of their numbers."""
    return tuple(conditioning[0][1].get(STREAMS, ()))


def with_streams(conditioning: list[Any], streams: tuple[Tensor, ...]) -> list[Any]:
    """A copy of a CONDITIONING with other in-context references, or without any."""
    result: list[Any] = []
    for context, settings in conditioning:
        kept = {key: value for key, value in settings.items() if key != STREAMS}
        result.append([context, {**kept, STREAMS: list(streams)} if streams else kept])
    return result
