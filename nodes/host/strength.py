"""Strengths that are resolved for the steps of the run, and those of references that are tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import comfy.model_patcher
import comfy.patcher_extension
from torch import Tensor

from ...wan_core.errors import InputError
from ...wan_core.identity.strength import Strength, StrengthTable, resolve_strength
from ...wan_core.ops.key_value import PreparedInjection
from .attention import STREAM_WEIGHTS
from .wan import HostWanModel

KEY = "wan_r2v_stream_strength"

Grid = tuple[int, int, int]
"""Tokens of a clip: latent frames, rows, columns."""
Region = Callable[[Grid], Tensor]
"""From the grid of a clip to a weight for each of its tokens."""


class RunStrengths:
    """Strengths resolved to factors; a schedule is looked at once."""

    def __init__(self, *strengths: Strength) -> None:
        self.strengths = strengths
        self._tables: dict[tuple[tuple[float, ...], int], list[StrengthTable]] = {}

    def rows(self, options: Mapping[str, Any], timestep: float, blocks: int) -> list[tuple[float, ...]]:
        """Factors of the blocks for each strength, of the step that a timestep belongs to.

        Args: options: `transformer_options`, with the sigmas of the run.   timestep: [0, 1000].   blocks: their number.
        """
        given = options.get("sample_sigmas")
        values = [timestep / 1000.0] if given is None else given.tolist()
        sigmas = tuple(min(float(value), 1.0) for value in values if value > 0.0) or (1.0,)
        if (sigmas, blocks) not in self._tables:
            made = [resolve_strength(strength, sigmas, blocks) for strength in self.strengths]
            self._tables = {(sigmas, blocks): made}
        return [table.row(timestep) for table in self._tables[sigmas, blocks]]


class FaceShape:
    """When and where a face acts in nano: its strength over the steps of the run and the blocks, and a region.

    strength: of the face.   region: None for everywhere.
    """

    def __init__(self, strength: Strength, region: Region | None) -> None:
        self.strengths = RunStrengths(strength)
        self.region = region

    def __deepcopy__(self, memo: dict[int, Any]) -> FaceShape:
        """Itself, as the references that it shapes."""
        return self

    def acting(
        self,
        injections: tuple[PreparedInjection, ...],
        options: Mapping[str, Any],
        timestep: float,
        grid: Grid,
    ) -> tuple[PreparedInjection, ...]:
        """Injections as they act in one forward; those that do not are left out.

        Args:
            options: with the sigmas of the run.   timestep: of the picture, [0, 1000].   grid: of the clip's tokens.
        """
        places = None if self.region is None else self.region(grid)
        found: list[PreparedInjection] = []
        for own in injections:
            (row,) = self.strengths.rows(options, timestep, len(own.keys))
            if any(row):
                scales = [factor * scale for factor, scale in zip(row, own.scales, strict=True)]
                weights = None if places is None else places.to(own.keys[0].device)
                found.append(own.with_scale(scales).with_regions(weights))
        return tuple(found)


class StreamStrength:
    """Gives every forward the weights of its reference tokens."""

    def __init__(self, strength: Strength, blocks: int) -> None:
        self.strengths = RunStrengths(strength)
        self.blocks = blocks

    def __call__(
        self,
        executor: Any,
        x: Tensor,
        timestep: Tensor,
        context: Tensor,
        clip_fea: Tensor | None = None,
        time_dim_concat: Tensor | None = None,
        transformer_options: dict[str, Any] | None = None,
        **conds: Any,
    ) -> Tensor:
        """Run the transformer with the strength of this step."""
        options = dict(transformer_options or {})
        (row,) = self.strengths.rows(options, float(timestep.max()), self.blocks)
        if any(factor != 1.0 for factor in row):
            options[STREAM_WEIGHTS] = row
        return executor(x, timestep, context, clip_fea, time_dim_concat, options, **conds)


def weigh_streams(
    patcher: comfy.model_patcher.ModelPatcher, strength: Strength
) -> comfy.model_patcher.ModelPatcher:
    """A clone of a MODEL in which reference tokens count as much as a strength says; the MODEL stays as it is.

    Raises: InputError: ComfyUI's own MODEL, whose attention takes no weights.
    """
    transformer = patcher.get_model_object("diffusion_model")
    if not isinstance(transformer, HostWanModel):
        raise InputError(
            f"model: expected one of Load Wan Model, got ComfyUI's own {type(transformer).__name__}, whose "
            "self-attention takes no weights for references. Use Load Wan Model."
        )
    result = patcher.clone()
    wrapper = StreamStrength(strength, transformer.config.num_layers)
    result.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, KEY, wrapper)
    return result
