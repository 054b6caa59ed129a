from __future__ import annotations

import torch
from tiny_dit import tiny_config, tiny_joint_config

from wan_core.dit.init import init_weights
from wan_core.dit.joint import JointModel
from wan_core.dit.model import WanModel


def test_depends_on_the_generator_alone() -> None:
    states = []
    for seed in (0, 0, 1):
        model = JointModel(tiny_joint_config())
        init_weights(model, torch.Generator().manual_seed(seed))
        states.append(model.state_dict())
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert not torch.equal(
        states[0]["video_model.blocks.0.modulation"], states[2]["video_model.blocks.0.modulation"]
    )


def test_spreads_are_those_of_upstream() -> None:
    model = WanModel(tiny_config(dim=192, num_heads=4, ffn_dim=600))
    init_weights(model, torch.Generator().manual_seed(0))
    state = model.state_dict()
    assert not state["head.head.weight"].any()
    assert abs(float(state["blocks.1.modulation"].std()) * 192**0.5 - 1) < 0.1
    assert abs(float(state["text_embedding.2.weight"].std()) - 0.02) < 0.002
    limit = (6 / (192 + 600)) ** 0.5
    assert 0.98 * limit < float(state["blocks.0.ffn.0.weight"].abs().max()) <= limit
    assert not any(value.any() for name, value in state.items() if name.endswith("bias"))
