from __future__ import annotations

import torch
from tiny_dit import normal, randomise, relative_error, tiny_config
from torch import nn
from torch.nn import functional as F

from wan_core.dit.embed import ConvMLP, Head, make_patch_embedding

LAYERS = {"operations": nn, "device": None, "dtype": None}


@torch.no_grad()
def test_gated_convolutions() -> None:
    layer = ConvMLP(6, 10, 3, **LAYERS)
    randomise(layer)
    x = normal(2, 6, 9)
    gate, value = (F.conv1d(x, w.weight, padding=1) for w in (layer.w1, layer.w3))
    expected = F.conv1d(F.silu(gate) * value, layer.w2.weight, padding=1)
    assert torch.allclose(layer(x), expected, atol=1e-5)
    assert sorted(layer.state_dict()) == ["w1.weight", "w2.weight", "w3.weight"]


@torch.no_grad()
def test_head_is_modulated_by_the_time_embedding() -> None:
    head = Head(8, 5, 1e-6, **LAYERS)
    randomise(head)
    x, time = normal(2, 6, 8), normal(2, 3, 8, seed=2)
    spread = time.repeat_interleave(2, dim=1)
    shift, scale = head.modulation[0, 0] + spread, head.modulation[0, 1] + spread
    expected = head.head(F.layer_norm(x, (8,), eps=1e-6) * (1 + scale) + shift)
    assert relative_error(head(x, time, torch.float32), expected) < 1e-5


def test_embedding_of_each_kind_of_latents() -> None:
    video = make_patch_embedding(tiny_config(), **LAYERS)
    assert video(normal(1, 4, 3, 4, 6)).shape == (1, 48, 3, 2, 3)
    sound = make_patch_embedding(
        tiny_config(patch_size=(1,), embedding_kernel=5, embedding_hidden=7), **LAYERS
    )
    assert sound(normal(1, 4, 9)).shape == (1, 48, 9)
    assert {k: tuple(v.shape) for k, v in sound.state_dict().items()} == {
        "0.weight": (48, 4, 5),
        "0.bias": (48,),
        "2.w1.weight": (7, 48, 5),
        "2.w2.weight": (48, 7, 5),
        "2.w3.weight": (7, 48, 5),
    }
