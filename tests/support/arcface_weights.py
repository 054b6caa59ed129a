"""Weights of the ArcFace network from a formula, so that activations stay near 1 in all of its 24 units."""

from __future__ import annotations

import math

from formula_weights import formula_tensor
from torch import Tensor


def arcface_weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A tensor for every name; counters are left out."""
    state: dict[str, Tensor] = {}
    for number, name in enumerate(sorted(n for n in shapes if not n.endswith("num_batches_tracked"))):
        shape = shapes[name]
        fan_in = math.prod(shape[1:])
        state[name] = formula_tensor(shape, number, 1.0 / math.sqrt(fan_in) if len(shape) > 1 else 0.1)
        if len(shape) == 1 and (name.endswith("running_var") or name.endswith("weight")):
            state[name] += 0.8
    return state
