"""A prepared identity on a MODEL, ours or ComfyUI's own: a wrapper around its forward, and object patches on core's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import comfy.conds
import comfy.model_patcher
import comfy.patcher_extension
import node_helpers
import torch
from torch import Tensor, nn

from ...wan_core.errors import InputError
from ...wan_core.identity.strength import Strength
from ...wan_core.ops.key_value import PreparedInjection
from .attention import ACTIVE, KINDS, Active, patch_attention
from .memory import manage
from .strength import Grid, Region, RunStrengths
from .wan import HostWanModel

#: Key under which a condition names its set of references ("face", "nobody"), as `identity.recipes` names them.
REFERENCE_SET = "wan_r2v_references_of"
KEY = "wan_r2v_identity"


class HeldInjection(nn.Module):
    """A prepared reference whose keys and values ComfyUI's memory management moves."""

    def __init__(self, injection: PreparedInjection) -> None:
        super().__init__()
        self.form = replace(injection, keys=(), values=())
        self.keys = nn.ParameterList(nn.Parameter(key, requires_grad=False) for key in injection.keys)
        self.values = nn.ParameterList(nn.Parameter(value, requires_grad=False) for value in injection.values)

    def at(
        self, device: torch.device, dtype: torch.dtype, factors: Sequence[float]
    ) -> PreparedInjection | None:
        """The reference where the transformer computes, with a factor a block; None where all factors are 0."""
        if not any(factors):
            return None
        scales = tuple(own * factor for own, factor in zip(self.form.scales, factors, strict=True))
        keys, values = (tuple(t.to(device, dtype) for t in kept) for kept in (self.keys, self.values))
        return replace(self.form, keys=keys, values=values, scales=scales)


class HeldReferences(nn.Module):
    """What one set of references adds: to the attention to the text, and to that among the tokens or None."""

    def __init__(self, cross: PreparedInjection, own: PreparedInjection | None) -> None:
        super().__init__()
        self.cross = HeldInjection(cross)
        self.own = None if own is None else HeldInjection(own)


class IdentityWrapper:
    """Gives every forward the references of its condition, as strong as they are at its noise level."""

    def __init__(
        self, sets: Any, cross: Strength, own: Strength, weights: Any, region: Region | None
    ) -> None:
        self.sets = sets
        self.strengths = RunStrengths(cross, own)
        self.weights = weights
        self.region = region
        self._regions: dict[Grid, Tensor] = {}

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
        """Run the transformer with the references that act.

        Raises: InputError: a condition that names no set of references, or a MODEL in which nothing reads them.
        """
        options = dict(transformer_options or {})
        name = conds.pop(REFERENCE_SET, options.get(REFERENCE_SET))
        held = self._held(name)
        cross, own = self.strengths.rows(options, float(timestep.max()), len(held.cross.keys))
        places = self._places(executor.class_obj, x)
        injection = held.cross.at(x.device, x.dtype, cross)
        reference = None if held.own is None else held.own.at(x.device, x.dtype, own)
        active = Active(cross=_within(injection, places), own=_within(reference, places))
        options[REFERENCE_SET] = name
        options[ACTIVE] = (*options.get(ACTIVE, ()), active)
        result = executor(x, timestep, context, clip_fea, time_dim_concat, options, **conds)
        for kind in KINDS:
            if active.of(kind) and active.seen and kind not in active.seen:
                raise InputError(
                    f"identity: expected the transformer's {kind} to read it, got 0 blocks that do. A node after Apply "
                    "Identity has replaced this attention: put Apply Identity behind it."
                )
        return result

    def check_weights(self, executor: Any, *arguments: Any, **options: Any) -> Any:
        """Before a run: the weights must be those that the reference was prepared with.

        Raises: InputError: they are others.
        """
        if self.weights is not None and executor.class_obj.model_patcher.patches_uuid != self.weights:
            raise InputError(
                "identity: expected the weights that it was prepared with, got patches of a LoRA that came later. Put "
                "LoRA loaders before Apply Identity."
            )
        return executor(*arguments, **options)

    def _held(self, name: Any) -> HeldReferences:
        if name not in self.sets.model:
            raise InputError(
                f"conditioning: expected one that Apply Identity has marked, got "
                f"{'none of its marks' if name is None else name}. Connect positive and negative through it."
            )
        return self.sets.model[name]

    def _places(self, transformer: Any, x: Tensor) -> Tensor | None:
        """A weight for each token of a clip (B, C, F, H, W), or None for everywhere."""
        if self.region is None:
            return None
        sizes = transformer.config if isinstance(transformer, HostWanModel) else transformer
        frames, rows, columns = (
            -(-side // step) for side, step in zip(x.shape[2:], sizes.patch_size, strict=True)
        )
        grid = (frames, rows, columns)
        if grid not in self._regions:
            self._regions = {grid: self.region(grid)}
        return self._regions[grid].to(x.device)


def _within(injection: PreparedInjection | None, places: Tensor | None) -> tuple[PreparedInjection, ...]:
    if injection is None:
        return ()
    return (injection if places is None else injection.with_regions(places),)


def apply_identity(
    patcher: comfy.model_patcher.ModelPatcher,
    sets: Mapping[str, HeldReferences],
    cross: Strength,
    own: Strength,
    *,
    is_bound: bool,
    region: Region | None = None,
) -> comfy.model_patcher.ModelPatcher:
    """A clone of a MODEL with references on it; the MODEL stays as it is.

    Args:
        sets: of references, by the name that conditions give.   cross, own: strength of each kind of attention.
        is_bound: keys and values hold for the weights as they are now.   region: where they act; None for everywhere.
    Raises: InputError: a MODEL without Wan's blocks.
    """
    result = patcher.clone()
    kept = manage(nn.ModuleDict(dict(sets)))
    wrapper = IdentityWrapper(kept, cross, own, patcher.patches_uuid if is_bound else None, region)
    if not isinstance(result.get_model_object("diffusion_model"), HostWanModel):
        patch_attention(result)
    kinds = comfy.patcher_extension.WrappersMP
    result.add_wrapper_with_key(kinds.DIFFUSION_MODEL, KEY, wrapper)
    result.add_wrapper_with_key(kinds.OUTER_SAMPLE, KEY, wrapper.check_weights)
    result.set_additional_models(KEY, [*result.get_additional_models_with_key(KEY), kept])
    return result


def mark(conditioning: list[Any], name: str) -> list[Any]:
    """A copy of a CONDITIONING that names its set of references."""
    marked: list[Any] = []
    for entry in conditioning:
        values = {**entry[1].get("model_conds", {}), REFERENCE_SET: comfy.conds.CONDConstant(name)}
        marked += node_helpers.conditioning_set_values([entry], {"model_conds": values})
    return marked


def is_marked(conditioning: list[Any]) -> bool:
    """Whether a CONDITIONING names sets of references."""
    return any(REFERENCE_SET in settings.get("model_conds", {}) for _, settings in conditioning)
