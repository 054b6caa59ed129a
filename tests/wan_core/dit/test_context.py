from __future__ import annotations

import math

import pytest
import torch
from tiny_dit import normal, randomise, relative_error, tiny_config, tiny_joint_config
from torch import Tensor, nn

from wan_core.dit.context import MIN_PADDING, PreparedContext, merge_padding, padding_biases
from wan_core.dit.joint import JointModel
from wan_core.dit.model import WanModel
from wan_core.errors import ShapeError
from wan_core.ops.key_value import KeyValueAdapter
from wan_core.types import AVLatents, TokenStream

LATENTS, TIME = normal(2, 4, 3, 4, 6), torch.tensor([977.3, 501.0])
CONTEXT = normal(2, 7, 12, seed=3)


def padded(context: Tensor, rows: int = 512) -> Tensor:
    return torch.cat((context, context.new_zeros(context.shape[0], rows - context.shape[1], 12)), dim=1)


def make(**changes: object) -> WanModel:
    model = WanModel(tiny_config(**changes))
    randomise(model)
    return model


@pytest.mark.parametrize("count", [16, 100, 482, 511, 512, 5000])
def test_biases_weigh_as_much_as_the_rows_and_survive_bfloat16(count: int) -> None:
    biases = padding_biases(count)
    assert abs(sum(map(math.exp, biases)) / count - 1) < 2e-7
    rounded = torch.tensor(biases).bfloat16().double()
    assert abs(float(rounded.exp().sum()) / count - 1) < 2e-7
    assert len(biases) <= 6


def test_rows_are_merged_from_where_all_samples_have_only_padding() -> None:
    short, long = padded(normal(1, 4, 12)), padded(normal(1, 9, 12, seed=2))
    rows, bias = merge_padding(torch.cat((short, long)))
    assert bias is not None
    assert torch.equal(rows[0, :9], short[0, :9]) and torch.equal(rows[1, :9], long[0, :9])
    assert torch.equal(bias[:9], torch.zeros(9)) and abs(float(bias[9:].exp().sum()) - 503) < 1e-3
    everything, bias = merge_padding(torch.zeros(1, 40, 12))
    assert bias is not None and everything.shape[1] == len(bias) < 8
    little = padded(CONTEXT, 7 + MIN_PADDING - 1)
    rows, bias = merge_padding(little)
    assert rows is little and bias is None


@torch.no_grad()
@pytest.mark.parametrize("image", [None, normal(2, 9, 20, seed=5)])
def test_prepared_equals_unprepared(image: Tensor | None) -> None:
    model = make(image_dim=None if image is None else 20)
    expected = model(LATENTS, TIME, CONTEXT, image_embeds=image)
    prepared = model.prepare(CONTEXT, image)
    assert relative_error(model(LATENTS, TIME, prepared), expected) < 1e-6
    # Also with everything else that a tower takes.
    adapter = KeyValueAdapter(6, 48, 2)
    randomise(adapter, 4)
    injections = [adapter.prepare(normal(2, 4, 6), model.key_norms(), 2)]
    streams = [TokenStream(latents=normal(1, 4, 1, 4, 6), offset=(5.0, 0.0, 0.0), source=2)]
    expected = model(LATENTS, TIME, CONTEXT, image_embeds=image, injections=injections, streams=streams)
    found = model(LATENTS, TIME, prepared, injections=injections, streams=streams)
    assert relative_error(found, expected) < 1e-6


@torch.no_grad()
@pytest.mark.parametrize("rows", [0, 7])
def test_merged_padding_equals_full_padding(rows: int) -> None:
    model = make()
    context = padded(CONTEXT[:, :rows])
    prepared = model.prepare(context)
    assert prepared.blocks[0].text.key.shape[2] < rows + 7
    expected = model(LATENTS, TIME, context)
    assert relative_error(model(LATENTS, TIME, prepared), expected) < 1e-5
    if rows:
        assert relative_error(model(LATENTS, TIME, model.prepare(CONTEXT)), expected) > 1e-3


@torch.no_grad()
def test_one_prompt_serves_a_batch_and_mixed_lengths_share_one() -> None:
    model = make()
    contexts = torch.cat((padded(CONTEXT[:1, :3]), padded(CONTEXT[1:])))
    expected = model(LATENTS, TIME, contexts)
    assert relative_error(model(LATENTS, TIME, model.prepare(contexts)), expected) < 1e-5
    expected = model(LATENTS, TIME, contexts[:1])
    assert relative_error(model(LATENTS, TIME, model.prepare(contexts[:1])), expected) < 1e-5


@torch.no_grad()
def test_bfloat16_is_no_less_exact_than_the_plain_path() -> None:
    model, context = make(dim=192, num_heads=4), padded(CONTEXT)
    exact = model(LATENTS, TIME, context)
    model.bfloat16()
    plain = relative_error(model(LATENTS, TIME, context), exact)
    prepared = relative_error(model(LATENTS, TIME, model.prepare(context)), exact)
    assert prepared < 1.1 * plain


@torch.no_grad()
def test_a_prepared_context_follows_the_working_dtype() -> None:
    model = make()
    expected = model(LATENTS, TIME, CONTEXT)
    low = model.prepare(CONTEXT).to(dtype=torch.bfloat16)
    assert low.dtype == torch.bfloat16 and low.nbytes == 2 * 2 * 2 * 2 * 7 * 48
    assert low.to(dtype=torch.bfloat16) is low
    assert relative_error(model(LATENTS, TIME, low), expected) < 0.02


def test_gradients_flow_through_what_was_prepared() -> None:
    model = make()
    model(LATENTS, TIME, model.prepare(padded(CONTEXT))).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().sum()) > 0, name


@torch.no_grad()
def test_both_towers_are_prepared() -> None:
    model = JointModel(tiny_joint_config())
    randomise(model)
    latents = AVLatents(normal(2, 4, 3, 2, 2), normal(2, 3, 9, seed=4))
    times, sound = (TIME, TIME.flip(0)), padded(normal(2, 5, 12, seed=6), 40)
    expected = model(latents, times, CONTEXT, audio_context=sound)
    prepared = model.prepare(CONTEXT, sound)
    found = model(latents, times, prepared)
    assert relative_error(found.video, expected.video) < 1e-5
    assert found.audio is not None and expected.audio is not None
    assert relative_error(found.audio, expected.audio) < 1e-5
    silent = latents._replace(audio=None)
    expected = model(silent, times, CONTEXT).video
    assert relative_error(model(silent, times, prepared).video, expected) < 1e-6
    with pytest.raises(ShapeError, match=r"audio_context: expected none beside a prepared context"):
        model(latents, times, prepared, audio_context=sound)
    assert prepared.to(dtype=torch.bfloat16).nbytes == prepared.nbytes // 2


@torch.no_grad()
def test_blocks_are_only_used_while_the_walk_stands_at_them() -> None:
    model = make()
    expected = model(LATENTS, TIME, model.prepare(CONTEXT))
    for block in model.tower_blocks():
        block.to("meta")
    state, seen = make().tower_blocks(), []

    def bring(blocks: object) -> object:
        for index in range(len(model.tower_blocks())):
            seen.append(index)
            yield state[index]

    model.walk = bring  # type: ignore[assignment]
    assert torch.equal(model(LATENTS, TIME, model.prepare(CONTEXT)), expected)
    assert seen == [0, 1, 0, 1]


class HostLinear(nn.Linear):
    """As a host's layer: the weight follows the input."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight.to(x), None if self.bias is None else self.bias.to(x))


class HostOperations:
    Linear, Conv1d, Conv3d, LayerNorm = HostLinear, nn.Conv1d, nn.Conv3d, nn.LayerNorm


@torch.no_grad()
def test_layers_of_a_host_are_prepared_in_the_dtype_of_the_context() -> None:
    model = WanModel(tiny_config(), operations=HostOperations())  # type: ignore[arg-type]
    randomise(model)
    expected = model(LATENTS, TIME, CONTEXT)
    for block in model.tower_blocks():
        block.cross_attn.k.half()
    prepared = model.prepare(CONTEXT)
    assert prepared.dtype == torch.float32
    assert relative_error(model(LATENTS, TIME, prepared), expected) < 1e-3


def test_misfits_are_named() -> None:
    model = make()
    with pytest.raises(ShapeError, match=r"context: expected \(2 or 1, tokens, 12\), got \(2, 7, 13\)"):
        model.prepare(normal(2, 7, 13))
    prepared = model.prepare(CONTEXT)
    with pytest.raises(ShapeError, match=r"context: expected one prepared for .* got \(2, 2, 24, False\)"):
        make(num_layers=1)(LATENTS, TIME, prepared)
    with pytest.raises(ShapeError, match=r"batch 3 or 1, got .* and batch 2. Prepare it with this model"):
        model(LATENTS[:1].repeat(3, 1, 1, 1, 1), TIME[:1].repeat(3), prepared)
    with pytest.raises(ShapeError, match=r"context: expected one prepared for \(2, 2, 24, True\)"):
        make(image_dim=20)(LATENTS, TIME, prepared)
    with pytest.raises(ShapeError, match=r"image_embeds: expected none beside a prepared context"):
        with_image = make(image_dim=20)
        both: PreparedContext = with_image.prepare(CONTEXT, normal(1, 3, 20).repeat(2, 1, 1))
        with_image(LATENTS, TIME, both, image_embeds=normal(2, 3, 20))
