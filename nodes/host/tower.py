"""A MODEL's Wan transformer as the engine's adapters see it, ours or ComfyUI's own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MethodType
from typing import Any

import comfy.model_management
import comfy.model_patcher
import torch
from torch import Tensor, nn

from .attention import attentions
from .wan import HostWanModel

Walk = Callable[[Sequence[nn.Module]], Iterable[nn.Module]]


@dataclass(frozen=True)
class TowerSizes:
    """num_layers: blocks.   num_heads: of each.   dim: width."""

    num_layers: int
    num_heads: int
    dim: int


class CoreTower:
    """ComfyUI's own Wan transformer with the names that `identity.lynx_prepare.LynxTower` asks for.

    Raises: InputError: a MODEL that holds no Wan transformer.
    """

    def __init__(self, transformer: nn.Module) -> None:
        found = attentions(transformer)
        self._transformer = transformer
        self._blocks = [block for block in transformer.get_submodule("blocks").children()]
        first = found[0][2]
        heads = int(getattr(first, "num_heads", 0))
        norm: Any = first.get_submodule("norm_k")
        width = int(norm.weight.shape[0])
        self.config = TowerSizes(len(self._blocks), heads, width)
        #: As `WanModel.walk`; each block is entered when the transformer calls it.
        self.walk: Walk = iter

    def key_norms(self) -> list[nn.Module]:
        """Each block's `cross_attn.norm_k`."""
        return [block.get_submodule("cross_attn.norm_k") for block in self._blocks]

    def tower_blocks(self) -> list[nn.Module]:
        """The blocks in order."""
        return self._blocks

    def __call__(self, latents: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        """Velocity, without references and without the wrappers of other nodes."""
        with self._walking():
            return self._transformer(latents, timestep, context=context, transformer_options={})

    @contextmanager
    def _walking(self) -> Generator[None]:
        steps = iter(self.walk(self._blocks))

        def enter(*_: Any) -> None:
            next(steps)

        handles = [block.register_forward_pre_hook(enter) for block in self._blocks]
        try:
            yield
            for _ in steps:  # leave the last block
                continue
        finally:
            for handle in handles:
                handle.remove()


def wan_tower(patcher: comfy.model_patcher.ModelPatcher) -> Any:
    """The transformer of a MODEL as the engine's adapters take it (`LynxTower`).

    Raises: InputError: a MODEL that holds no Wan transformer.
    """
    transformer = patcher.get_model_object("diffusion_model")
    return transformer if isinstance(transformer, HostWanModel) else CoreTower(transformer)


def with_own_attention(patcher: comfy.model_patcher.ModelPatcher) -> comfy.model_patcher.ModelPatcher:
    """A clone of a MODEL whose blocks attend as their weights say; itself where no node has replaced an attention.

    What is computed once from a reference must not hold what another node (NAG) makes of the prompts of a run.

    Raises: InputError: a MODEL that holds no Wan transformer.
    """
    result = patcher
    for index, kind, module in attentions(patcher.get_model_object("diffusion_model")):
        name, own = f"diffusion_model.blocks.{index}.{kind}.forward", type(module).forward
        if getattr(patcher.get_model_object(name), "__func__", None) is not own:
            result = patcher.clone() if result is patcher else result
            result.add_object_patch(name, MethodType(own, module))
    return result


def place_beside(patcher: comfy.model_patcher.ModelPatcher, others: Sequence[Any], latents: Tensor) -> Any:
    """Bring a MODEL and other models to the device that computes, with room for a forward over latents.

    Returns: that device, and the dtype that the transformer computes in.
    """
    room = patcher.model.memory_required(list(latents.shape))
    comfy.model_management.load_models_gpu([patcher, *others], memory_required=room)
    dtype: torch.dtype = patcher.model.get_dtype_inference()
    return patcher.load_device, dtype
