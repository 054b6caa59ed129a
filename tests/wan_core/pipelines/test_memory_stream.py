"""Blocks that visit the device: the same results, never more than two copies, nothing left behind."""

from __future__ import annotations

import pytest
import torch
from tiny_dit import normal, randomise, tiny_config
from torch import nn

from wan_core.dit.model import WanModel
from wan_core.errors import ConfigError
from wan_core.pipelines.memory_stream import BlockStreamer


def model_of(blocks: int) -> WanModel:
    model = randomise(WanModel(tiny_config(num_layers=blocks)))
    assert isinstance(model, WanModel)
    return model.requires_grad_(False)


@pytest.mark.parametrize("resident", [0, 2, 4])
def test_same_velocity_with_at_most_two_visitors(resident: int) -> None:
    model = model_of(4)
    latents, context = normal(1, 4, 2, 4, 4), normal(1, 7, 12)
    with torch.no_grad():
        expected = model(latents, torch.tensor([500.0]), context)
        prepared = model.prepare(context)
    homes = [parameter.data_ptr() for parameter in model.blocks.parameters()]
    streamer = BlockStreamer(list(model.blocks), "cpu", resident)
    seen: list[tuple[int, bool]] = []

    def watch(blocks: object) -> object:
        for number, block in enumerate(streamer(blocks)):  # type: ignore[arg-type]
            visits = block.ffn[0].weight.data_ptr() not in homes
            seen.append((streamer.visiting, visits))
            assert visits == (number >= resident)
            yield block

    model.walk = watch  # type: ignore[assignment]
    with torch.no_grad():
        assert torch.equal(model(latents, torch.tensor([500.0]), context), expected)
        same = model.prepare(context)
    assert all(torch.equal(a.text.key, b.text.key) for a, b in zip(prepared.blocks, same.blocks, strict=True))
    assert max(visiting for visiting, _ in seen) == (0 if resident == 4 else 2)
    assert streamer.visiting == 0
    assert [parameter.data_ptr() for parameter in model.blocks.parameters()] == homes


def test_an_error_on_the_way_leaves_nothing_behind() -> None:
    model = model_of(3)
    streamer = BlockStreamer(list(model.blocks), "cpu", 1)
    homes = [parameter.data_ptr() for parameter in model.blocks.parameters()]
    walk = streamer(list(model.blocks))
    next(walk), next(walk)
    assert streamer.visiting == 2
    walk.close()
    assert streamer.visiting == 0
    assert [parameter.data_ptr() for parameter in model.blocks.parameters()] == homes


def test_copies_follow_the_dtype_of_the_leader() -> None:
    """A step that is repeated in float32 holds the rest of the model in it; integer buffers stay as they are."""
    block = nn.Linear(3, 3).to(torch.bfloat16)
    block.register_buffer("number", torch.tensor([3]))
    leader = nn.Parameter(torch.zeros(1, dtype=torch.bfloat16))
    streamer = BlockStreamer([block], "cpu", 0, leader)
    for dtype in (torch.bfloat16, torch.float32, torch.bfloat16):
        leader.data = leader.data.to(dtype)
        for visitor in streamer([block]):
            assert visitor.weight.dtype == dtype
            assert visitor.number.dtype == torch.int64
    assert block.weight.dtype == torch.bfloat16


def test_more_residents_than_blocks() -> None:
    with pytest.raises(ConfigError, match="expected 0 to 1, got 2"):
        BlockStreamer([nn.Linear(1, 1)], "cpu", 2)
