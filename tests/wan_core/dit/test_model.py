from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import save_file
from tiny_dit import normal, randomise, relative_error, tiny_config
from torch import nn

from wan_core import load_dit
from wan_core.dit.execution import for_inference
from wan_core.dit.model import WanModel
from wan_core.errors import ShapeError
from wan_core.ops.key_value import KeyValueAdapter
from wan_core.types import TokenStream

LATENTS = normal(2, 4, 3, 4, 6)
TIME = torch.tensor([977.3, 501.0])
CONTEXT = normal(2, 7, 12, seed=3)


def diffusers_model(**changes: object) -> WanTransformer3DModel:
    fields: dict[str, object] = {
        "patch_size": (1, 2, 2),
        "num_attention_heads": 2,
        "attention_head_dim": 24,
        "in_channels": 16,
        "out_channels": 16,
        "text_dim": 12,
        "freq_dim": 256,
        "ffn_dim": 80,
        "num_layers": 2,
    }
    model = WanTransformer3DModel(**{**fields, **changes})
    randomise(model, std=0.08)
    return model


@torch.no_grad()
def compare(model: WanTransformer3DModel, folder: Path, channels: int, image: torch.Tensor | None) -> None:
    """Through a Diffusers folder, a sharded one, and a single file with the original names."""
    latents, context = normal(2, channels, 3, 4, 6), normal(2, 512, 12, seed=3)
    expected = model(latents, TIME, context, encoder_hidden_states_image=image).sample
    model.save_pretrained(folder / "whole")
    model.save_pretrained(folder / "shards", max_shard_size="60KB")
    assert len(list((folder / "shards").glob("*.safetensors"))) > 1
    found = load_dit(folder / "whole")
    (folder / "original").mkdir()
    save_file(found.state_dict(), folder / "original" / "model.safetensors")
    (folder / "original" / "config.json").write_text('{"_class_name": "WanModel", "num_heads": 2}')
    names = (
        "whole",
        "shards",
        "shards/diffusion_pytorch_model.safetensors.index.json",
        "original/model.safetensors",
    )
    for name in names:
        model_here = load_dit(folder / name)
        assert isinstance(model_here, WanModel)
        assert relative_error(model_here(latents, TIME, context, image_embeds=image), expected) < 1e-5, name
    fast = for_inference(found)
    assert relative_error(fast(latents, TIME, fast.prepare(context, image)), expected) < 1e-5


def test_text_to_video_equals_diffusers(tmp_path: Path) -> None:
    compare(diffusers_model(), tmp_path, 16, None)


def test_image_to_video_equals_diffusers(tmp_path: Path) -> None:
    model = diffusers_model(in_channels=36, image_dim=20, added_kv_proj_dim=48)
    compare(model, tmp_path, 36, normal(2, 9, 20, seed=5))


def test_second_generation_image_to_video_equals_diffusers(tmp_path: Path) -> None:
    """36 channels in, no image embeddings: each expert of Wan2.2 I2V-A14B."""
    compare(diffusers_model(in_channels=36), tmp_path, 36, None)


@torch.no_grad()
def test_first_last_frame_equals_diffusers(tmp_path: Path) -> None:
    model = diffusers_model(in_channels=36, image_dim=20, added_kv_proj_dim=48, pos_embed_seq_len=10)
    model.save_pretrained(tmp_path)
    latents, context, image = normal(2, 36, 3, 4, 6), normal(2, 512, 12, seed=3), normal(2, 10, 20, seed=5)
    expected = model(latents, TIME, context, encoder_hidden_states_image=image.view(4, 5, 20)).sample
    found = load_dit(tmp_path)
    assert relative_error(found(latents, TIME, context, image_embeds=image), expected) < 1e-5
    with pytest.raises(ShapeError, match="image_embeds: expected 10 tokens, got 5"):
        found(latents, TIME, context, image_embeds=image[:, :5])


@torch.no_grad()
def test_a_timestep_per_frame_equals_diffusers_per_token(tmp_path: Path) -> None:
    model = diffusers_model()
    model.save_pretrained(tmp_path)
    latents = normal(2, 16, 3, 4, 6)
    frames = torch.tensor([[0.0, 900.0, 450.0], [0.0, 20.0, 700.0]])
    tokens = frames.repeat_interleave(6, dim=1)
    mixed = torch.cat((tokens[:, :4], tokens[:, 4:].flip(1)), dim=1)
    found = load_dit(tmp_path)
    for steps in (tokens, mixed, tokens[1:].repeat(2, 1)):
        expected = model(latents, steps, CONTEXT).sample
        assert relative_error(found(latents, steps, CONTEXT), expected) < 1e-5
    expected = model(latents, tokens, CONTEXT).sample
    assert relative_error(found(latents, frames, CONTEXT), expected) < 1e-5


@torch.no_grad()
def test_first_frame_as_a_clean_stream_of_tokens_equals_diffusers(tmp_path: Path) -> None:
    """Wan2.2 TI2V: 48 channels, the tokens of the first frame at timestep 0."""
    model = diffusers_model(in_channels=48, out_channels=48)
    model.save_pretrained(tmp_path)
    latents, context = normal(1, 48, 3, 4, 6), normal(1, 512, 12, seed=3)
    context[:, 9:] = 0
    tokens = torch.cat((torch.zeros(1, 6), torch.full((1, 12), 617.0)), dim=1)
    expected = model(latents, tokens, context).sample
    found = load_dit(tmp_path)
    assert relative_error(found(latents, tokens, context), expected) < 1e-5
    fast = for_inference(found)
    assert relative_error(fast(latents, tokens, fast.prepare(context)), expected) < 1e-5
    stream = TokenStream(latents=latents[:, :, :1], timestep=0.0)
    rest = found(
        latents[:, :, 1:], torch.tensor([617.0]), context, streams=[replace(stream, offset=(-1.0, 0, 0))]
    )
    assert relative_error(rest, expected[:, :, 1:]) < 1e-5


def make(**changes: object) -> WanModel:
    model = WanModel(tiny_config(**changes))
    randomise(model)
    return model


@torch.no_grad()
def test_equal_timesteps_per_frame_and_batches_change_nothing() -> None:
    model = make()
    whole = model(LATENTS, TIME, CONTEXT)
    assert relative_error(model(LATENTS, TIME[:, None].repeat(1, 3), CONTEXT), whole) < 1e-6
    single = torch.cat([model(LATENTS[i : i + 1], TIME[i : i + 1], CONTEXT[i : i + 1]) for i in (0, 1)])
    assert relative_error(single, whole) < 1e-5
    shared = model(LATENTS, TIME, CONTEXT[:1])
    assert torch.allclose(shared, model(LATENTS, TIME, CONTEXT[:1].repeat(2, 1, 1)), atol=1e-5)


@torch.no_grad()
def test_injection_adds_before_the_output_layer_and_zero_is_exact() -> None:
    model = make(num_layers=1)
    adapter = KeyValueAdapter(6, 48, 1)
    randomise(adapter, 4)
    injection = adapter.prepare(normal(2, 4, 6), model.key_norms(), 2)
    plain = model(LATENTS, TIME, CONTEXT)
    assert torch.equal(model(LATENTS, TIME, CONTEXT, injections=[injection.with_scale(0.0)]), plain)
    changed = model(LATENTS, TIME, CONTEXT, injections=[injection])
    assert relative_error(changed, plain) > 1e-3
    # What the block's own cross-attention gives, o.weight @ injected more and no second bias.
    attention, x = model.tower_blocks()[0].cross_attn, normal(2, 5, 48)
    context = normal(2, 7, 48, seed=8)
    more = attention(x, context, None, None, [injection], 0) - attention(x, context, None, None, [], 0)
    query = attention.heads(attention.norm_q(attention.q(x)))
    added = injection.attend(0, query)
    assert added is not None
    expected = added.transpose(1, 2).flatten(2) @ attention.o.weight.T
    assert relative_error(more, expected) < 1e-4


@torch.no_grad()
def test_a_stream_is_a_frame_that_stands_outside() -> None:
    """Cutting the last frame off and giving it back as a stream at its place changes nothing for the others."""
    model = make()
    latents, frames = normal(2, 4, 3, 4, 6), torch.tensor([[900.0, 450.0, 0.0], [20.0, 700.0, 0.0]])
    whole = model(latents, frames, CONTEXT)[:, :, :2]
    stream = TokenStream(latents=latents[:, :, 2:], offset=(2.0, 0.0, 0.0))
    found = model(latents[:, :, :2], frames[:, :2], CONTEXT, streams=[stream])
    assert relative_error(found, whole) < 1e-5
    assert relative_error(model(latents[:, :, :2], frames[:, :2], CONTEXT), whole) > 1e-2
    numbered = replace(stream, source=1)
    assert relative_error(model(latents[:, :, :2], frames[:, :2], CONTEXT, streams=[numbered]), whole) > 1e-3


@torch.no_grad()
def test_streams_may_share_the_timestep_and_serve_a_batch() -> None:
    model = make()
    whole = model(LATENTS, TIME, CONTEXT)[:, :, :1]
    pieces = [
        TokenStream(latents=LATENTS[:, :, i : i + 1], offset=(float(i), 0.0, 0.0), timestep=None)
        for i in (1, 2)
    ]
    assert relative_error(model(LATENTS[:, :, :1], TIME, CONTEXT, streams=pieces), whole) < 1e-5
    one = TokenStream(latents=LATENTS[:1, :, :1], offset=(9.0, 0.0, 0.0))
    both = replace(one, latents=one.latents.repeat(2, 1, 1, 1, 1))
    shared = model(LATENTS, TIME, CONTEXT, streams=[one])
    assert relative_error(shared, model(LATENTS, TIME, CONTEXT, streams=[both])) < 1e-6


@torch.no_grad()
def test_weights_of_a_stream_count_its_tokens() -> None:
    """A weight of 2 is the stream given twice, a weight of 0 none; block by block; 1 everywhere is bit for bit none."""
    model = make()
    own = TokenStream(latents=normal(1, 4, 1, 4, 6, seed=8), offset=(3.0, 0.0, 0.0), timestep=None)
    other = TokenStream(latents=normal(1, 4, 1, 4, 4, seed=9), timestep=None)

    def velocity(*streams: TokenStream) -> torch.Tensor:
        return model(LATENTS, TIME, CONTEXT, streams=streams)

    blocks = model.config.num_layers
    twice = replace(own, weights=(2.0,) * blocks)
    assert relative_error(velocity(other, twice), velocity(other, own, own)) < 1e-5
    off = replace(own, weights=(0.0,) * blocks)
    assert relative_error(velocity(other, off), velocity(other)) < 1e-5
    assert torch.equal(velocity(other, replace(own, weights=(1.0,) * blocks)), velocity(other, own))
    last = velocity(other, replace(own, weights=(1.0,) * (blocks - 1) + (2.0,)))
    assert relative_error(last, velocity(other, own)) > 1e-4
    with pytest.raises(ShapeError, match=f"stream weights: expected {blocks} finite numbers >= 0"):
        velocity(replace(own, weights=(1.0,)))


def test_streams_that_do_not_fit_are_named() -> None:
    model = make()
    with pytest.raises(ShapeError, match=r"stream: expected \(batch, 4, .* got \(2, 5, 1, 4, 6\)"):
        model(LATENTS, TIME, CONTEXT, streams=[TokenStream(latents=normal(2, 5, 1, 4, 6))])
    with pytest.raises(ShapeError, match=r"stream: expected batch 2 \(as the latents\) or 1, got 3"):
        model(LATENTS, TIME, CONTEXT, streams=[TokenStream(latents=normal(3, 4, 1, 4, 6))])
    with pytest.raises(ShapeError, match=r"stream: expected its own timestep beside .* \(2, 3\), got None"):
        stream = TokenStream(latents=normal(2, 4, 1, 4, 6), timestep=None)
        model(LATENTS, torch.ones(2, 3), CONTEXT, streams=[stream])


class CountingOperations:
    """torch.nn's layers, counted."""

    def __init__(self) -> None:
        self.made: dict[str, int] = {}

    def __getattr__(self, name: str) -> object:
        def make_layer(*sizes: int, **options: object) -> nn.Module:
            self.made[name] = self.made.get(name, 0) + 1
            return getattr(nn, name)(*sizes, **options)

        return make_layer


def test_every_layer_comes_from_the_injected_operations() -> None:
    operations = CountingOperations()
    model = WanModel(tiny_config(image_dim=20), other_dim=16, operations=operations)
    kinds = (nn.Linear, nn.LayerNorm, nn.Conv1d, nn.Conv3d)
    present = {kind.__name__: sum(type(m) is kind for m in model.modules()) for kind in kinds}
    assert {**dict.fromkeys(present, 0), **operations.made} == present
    assert present["Linear"] == 8 + 2 * (8 + 2 + 4) and present["Conv3d"] == 1
    sound = CountingOperations()
    WanModel(tiny_config(patch_size=(1,)), operations=sound)
    assert sound.made["Conv1d"] == 4


@torch.no_grad()
def test_clean_sample_prediction_becomes_a_velocity() -> None:
    model = make()
    other = WanModel(tiny_config(prediction="sample"))
    # So little is missed that the tower's estimate is taken as it is.
    missed = torch.full_like(other.clean_sample.missed, -30.0)
    other.load_state_dict({**model.state_dict(), "clean_sample.missed": missed})
    sample = model(LATENTS, TIME, CONTEXT)
    expected = (LATENTS - sample) / (TIME / 1000).view(2, 1, 1, 1, 1)
    assert torch.allclose(other(LATENTS, TIME, CONTEXT), expected, atol=1e-5)
    frames = torch.tensor([[10.0, 20.0, 800.0]] * 2)
    sample = model(LATENTS, frames, CONTEXT)
    sigma = torch.tensor([0.05, 0.05, 0.8]).view(1, 1, 3, 1, 1)
    assert torch.allclose(other(LATENTS, frames, CONTEXT), (LATENTS - sample) / sigma, atol=1e-4)
    with pytest.raises(ShapeError, match=r"timestep: expected \(batch,\) or \(batch, 3\), got \(2, 18\)"):
        other(LATENTS, frames.repeat_interleave(6, 1), CONTEXT)


@torch.no_grad()
def test_bfloat16_weights_take_float32_latents() -> None:
    model = make()
    expected = model(LATENTS, TIME, CONTEXT)
    found = model.bfloat16()(LATENTS, TIME, CONTEXT)
    assert found.dtype == torch.float32
    assert relative_error(found, expected) < 0.05


@torch.no_grad()
def test_a_tower_for_sound_runs_alone() -> None:
    model = make(patch_size=(1,), embedding_kernel=3, embedding_hidden=8)
    assert model(normal(2, 4, 9), TIME, CONTEXT).shape == (2, 4, 9)


@torch.no_grad()
def test_the_optional_norms_can_be_absent() -> None:
    model = make(qk_norm=False, cross_attn_norm=False)
    assert not any("norm" in name for name in model.state_dict())
    assert bool(model(LATENTS, TIME, CONTEXT).isfinite().all())


@pytest.mark.parametrize(
    ("latents", "time", "context", "message"),
    [
        (
            normal(2, 5, 3, 4, 6),
            TIME,
            CONTEXT,
            r"latents: expected \(batch, 4, frames, height, width\), got \(2, 5,",
        ),
        (
            normal(2, 4, 3, 5, 6),
            TIME,
            CONTEXT,
            r"each a positive multiple of the patch \(1, 2, 2\), got \(3, 5, 6\)",
        ),
        (LATENTS, TIME[:1], CONTEXT, r"timestep: expected \(2,\), \(2, 3\) or \(2, 18\), got \(1,\)"),
        (LATENTS, torch.ones(2, 4), CONTEXT, r"timestep: expected .* got \(2, 4\)"),
        (LATENTS, TIME, normal(2, 7, 13), r"context: expected \(2 or 1, tokens, 12\), got \(2, 7, 13\)"),
        (LATENTS, TIME, normal(3, 7, 12), r"context: expected \(2 or 1, tokens, 12\), got \(3, 7, 12\)"),
    ],
)
def test_misfits_are_named(
    latents: torch.Tensor, time: torch.Tensor, context: torch.Tensor, message: str
) -> None:
    with pytest.raises(ShapeError, match=message):
        make()(latents, time, context)


def test_image_embeddings_are_asked_for_and_refused() -> None:
    with pytest.raises(ShapeError, match=r"image_embeds: expected none, got \(2, 9, 20\)"):
        make()(LATENTS, TIME, CONTEXT, image_embeds=normal(2, 9, 20))
    with pytest.raises(ShapeError, match=r"image_embeds: expected \(batch, tokens, 20\), got none"):
        make(image_dim=20)(LATENTS, TIME, CONTEXT)
