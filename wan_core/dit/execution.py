"""The one place that chooses how a transformer is executed; the model itself reads the same everywhere.

What is chosen by a prompt is prepared by the model (`prepare`), what is chosen by shapes is kept by it (`ops.kept`).
Here is what is chosen by the device.
"""

from __future__ import annotations

import copy
import re
from typing import TypeVar

from torch import nn

from ..ops.packed import can_pack, pack_feed_forward, pack_linear
from .attention import CrossAttention, SelfAttention
from .block import WanBlock
from .speech import SpeechProjections

Model = TypeVar("Model", bound=nn.Module)

#: Layers that every step of sampling uses; keys and values of the text are prepared once and stay as they are.
_SELF = ("q", "k", "v", "o")
_CROSS = ("q", "o", "k_fusion", "v_fusion")
_SPEECH = ("q", "o")
_REPLACED = re.compile(
    rf"blocks\.\d+\.(self_attn\.({'|'.join(_SELF)})|cross_attn\.({'|'.join(_CROSS)})"
    rf"|audio_cross_attn_wrapper\.audio_cross_attn\.({'|'.join(_SPEECH)})|ffn\.[02])\.weight$"
)


def is_held_twice(name: str) -> bool:
    """Whether `for_inference` keeps a second copy of a parameter where it is float32 on a CPU."""
    return _REPLACED.search(name) is not None


def for_inference(model: Model, *, consume: bool = False) -> Model:
    """Return the fastest exact form of a `WanModel` or `JointModel` for sampling on its device.

    On a CPU the plain linear layers of all blocks are replaced, in a copy that shares everything else, by ones whose
    weight is laid out for it (`ops.packed`). Layers of other operations (a host's, quantised ones) stay. Where nothing
    can be replaced the model itself comes back.

    Args:
        model: with its final weights (LoRA merged, on its device). Drop it afterwards: bfloat16 weights are then held
            once; float32 ones are held twice, in both layouts.
        consume: nobody needs the model any more: it gives each weight up as soon as its copy is made, so that not even
            on the way all of them are held twice. Otherwise it is left as it is.
    Returns:
        A model for inference only, to be used where it is: it gives no gradients to the replaced layers, its state dict
        lacks them, and it can not be moved or converted.
    """
    copied, count = _copy_packed(model, consume)
    return copied if count else model


def _copy_packed(module: Model, consume: bool) -> tuple[Model, int]:
    """A copy of a tree of modules around the same tensors, with the number of layers that were replaced."""
    result, count = copy.copy(module), 0
    children: dict[str, nn.Module | None] = {}
    for name, child in module.named_children():
        packed = _pack(module, name, child)
        if packed is None:
            children[name], inner = _copy_packed(child, consume)
        else:
            children[name], inner = packed, 1
            for layer in child.modules() if consume else ():
                layer.register_parameter("weight", None)
        count += inner
    vars(result)["_modules"] = children
    return result, count


def _pack(parent: nn.Module, name: str, child: nn.Module) -> nn.Module | None:
    """What stands in for a child of a block, or None to keep it."""
    if isinstance(parent, WanBlock) and name == "ffn" and isinstance(child, nn.Sequential):
        first, _, second = child
        if (
            isinstance(first, nn.Linear)
            and isinstance(second, nn.Linear)
            and can_pack(first)
            and can_pack(second)
        ):
            return pack_feed_forward(first, second)
    if name in _packable(parent) and isinstance(child, nn.Linear) and can_pack(child):
        return pack_linear(child)
    return None


def _packable(parent: nn.Module) -> tuple[str, ...]:
    """Names of the layers of an attention that every step uses."""
    if isinstance(parent, SelfAttention):
        return _SELF
    if isinstance(parent, CrossAttention):
        return _CROSS
    return _SPEECH if isinstance(parent, SpeechProjections) else ()
