from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import slow_joint as slow
import torch
from safetensors.torch import load_file
from tiny_dit import normal, randomise, relative_error, tiny_config, tiny_joint_config
from torch import Tensor

from wan_core.dit.config import JointConfig
from wan_core.dit.init import init_weights
from wan_core.dit.joint import JointModel
from wan_core.errors import ShapeError
from wan_core.ops.key_value import KeyValueAdapter
from wan_core.types import AVLatents, TokenStream

GOLDEN = Path(__file__).parents[2] / "golden" / "ovi_fusion.safetensors"
LATENTS = AVLatents(normal(2, 4, 3, 2, 3), normal(2, 3, 7, seed=2))
TIMES = (torch.tensor([[0.0, 400.5, 900.0], [5.0, 60.0, 700.0]]), torch.tensor([321.0, 999.0]))
CONTEXT = normal(2, 5, 12, seed=3)


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(GOLDEN)


def ovi_config() -> JointConfig:
    tower = tiny_config(dim=24, ffn_dim=40, text_dim=10, freq_dim=16, in_channels=5, out_channels=5)
    audio = replace(tower, in_channels=3, out_channels=3, patch_size=(1,))
    return JointConfig(video=tower, audio=audio, fusion_window=None, audio_position_scale=0.19676)


@pytest.mark.parametrize("case", ["noisy", "clean_first_frame"])
def test_equals_ovi(golden: dict[str, Tensor], case: str) -> None:
    model = JointModel(ovi_config()).train(False)
    weights = {k.removeprefix("weight."): v.float() for k, v in golden.items() if k.startswith("weight.")}
    model.load_state_dict({k.replace("modulation.modulation", "modulation"): v for k, v in weights.items()})
    context = torch.nn.functional.pad(golden["context"], (0, 0, 0, 2))[None]
    sound_time = golden["timestep"]
    video_time = sound_time if case == "noisy" else torch.tensor([[0.0, 617.0, 617.0]])
    latents = AVLatents(golden["video"][None], golden["audio"][None])
    with torch.no_grad():
        video, audio = model(latents, (video_time, sound_time), context)
    assert audio is not None
    assert relative_error(video[0], golden[f"{case}.video"]) < 1e-5
    assert relative_error(audio[0], golden[f"{case}.audio"]) < 1e-5


def run_slowly(model: JointModel, sample: int) -> tuple[Tensor, Tensor]:
    """One sample through the loops of `slow_joint`; returns velocities (C, F, H, W) and (C_a, T_a)."""
    config = model.config
    states = [
        {k.removeprefix(name): v.double() for k, v in model.state_dict().items() if k.startswith(name)}
        for name in ("video_model.", "audio_model.")
    ]
    video_state, audio_state = states
    video, audio = LATENTS.video[sample].double(), LATENTS.audio[sample].double()
    _, frames, height, width = video.shape
    places_v = [
        (float(f), float(y), float(x)) for f in range(frames) for y in range(height) for x in range(width)
    ]
    places_a = [
        (config.audio_position_scale * j + config.audio_position_offset, 0.0, 0.0)
        for j in range(audio.shape[1])
    ]
    places_self = [(p[0] * config.audio_self_stretch, 0.0, 0.0) for p in places_a]
    times_v = [float(TIMES[0][sample, int(p[0])]) for p in places_v]
    times_a = [float(TIMES[1][sample])] * audio.shape[1]
    seen = None
    if config.fusion_window is not None:
        near = [[abs(v[0] - a[0]) <= config.fusion_window for a in places_a] for v in places_v]
        seen = torch.tensor(near)
    weight = video_state["patch_embedding.weight"].flatten(1)
    v = torch.stack([weight @ video[:, int(f), int(y), int(x)] for f, y, x in places_v])
    v = v + video_state["patch_embedding.bias"]
    conv = torch.nn.functional.conv1d
    a = conv(
        audio[None], audio_state["patch_embedding.0.weight"], audio_state["patch_embedding.0.bias"], padding=1
    )
    a = torch.nn.functional.silu(a)
    one, two, three = (audio_state[f"patch_embedding.2.w{n}.weight"] for n in (1, 2, 3))
    gated = torch.nn.functional.silu(conv(a, one, padding=1)) * conv(a, three, padding=1)
    a = conv(gated, two, padding=1)[0].T
    context = CONTEXT[sample].double()
    text_v, text_a = slow.text(video_state, context), slow.text(audio_state, context)
    heads = config.video.num_heads
    for i in range(config.video.num_layers):
        m_v = slow.modulation(video_state, times_v, i)
        m_a = slow.modulation(audio_state, times_a, i)
        v = slow.self_attention(video_state, i, v, m_v, heads, places_v)
        a = slow.self_attention(audio_state, i, a, m_a, heads, places_self)
        after_v = (v, places_a, places_v, None if seen is None else seen.T)
        after_a = (a, places_v, places_a, seen)
        a = slow.rest_of_block(audio_state, i, a, m_a, heads, text_a, after_v)
        v = slow.rest_of_block(video_state, i, v, m_v, heads, text_v, after_a)
    out_v = slow.head(video_state, v, times_v).T.reshape(-1, frames, height, width)
    return out_v, slow.head(audio_state, a, times_a).T


@pytest.mark.parametrize(
    "changes", [{"fusion_window": None}, {"fusion_window": 0.8}, {"audio_self_stretch": 2.5}]
)
def test_equals_a_slow_reference_with_towers_of_different_width(changes: dict[str, float | None]) -> None:
    model = JointModel(tiny_joint_config(**changes))
    randomise(model)
    with torch.no_grad():
        found = model(LATENTS, TIMES, CONTEXT)
        expected = [run_slowly(model, sample) for sample in (0, 1)]
    assert found.audio is not None
    assert relative_error(found.video, torch.stack([e[0] for e in expected])) < 1e-5
    assert relative_error(found.audio, torch.stack([e[1] for e in expected])) < 1e-5


def test_without_fusion_the_towers_are_alone() -> None:
    model = JointModel(tiny_joint_config())
    randomise(model)
    apart = model(LATENTS, TIMES, CONTEXT, fuse=False)
    other = model(LATENTS._replace(audio=LATENTS.audio + 1), TIMES, CONTEXT, fuse=False)
    joined = model(LATENTS, TIMES, CONTEXT)
    assert torch.equal(apart.video, model.video_model(LATENTS.video, TIMES[0], CONTEXT))
    assert torch.equal(apart.video, other.video)
    assert relative_error(joined.video, apart.video) > 1e-3
    silent = model(AVLatents(LATENTS.video), TIMES, CONTEXT)
    assert silent.audio is None and torch.equal(silent.video, apart.video)


def test_window_hides_what_is_far_and_leaves_nobody_blind() -> None:
    model = JointModel(
        tiny_joint_config(fusion_window=0.3, audio_position_offset=0.0, audio_position_scale=1.0)
    )
    randomise(model, std=0.5)
    changed = LATENTS.audio.clone()
    changed[..., 6] += 3.0
    # one block only: the change at t = 6 can reach a frame through the fusion alone, and no frame is within 0.3 of it
    model.video_model.blocks = model.video_model.blocks[:1]
    model.audio_model.blocks = model.audio_model.blocks[:1]
    model.audio_model.blocks[0].self_attn.o.weight.data.zero_()
    first = model(LATENTS, TIMES, CONTEXT)
    second = model(LATENTS._replace(audio=changed), TIMES, CONTEXT)
    assert torch.equal(first.video, second.video)
    assert first.audio is not None and second.audio is not None
    assert not torch.allclose(first.audio[..., 6], second.audio[..., 6])
    assert bool(first.audio.isfinite().all())


def test_separate_context_of_the_sound() -> None:
    model = JointModel(tiny_joint_config())
    randomise(model)
    same = model(LATENTS, TIMES, CONTEXT, audio_context=CONTEXT)
    other = model(LATENTS, TIMES, CONTEXT, audio_context=CONTEXT + 1, fuse=False)
    alone = model(LATENTS, TIMES, CONTEXT, fuse=False)
    assert torch.equal(same.video, model(LATENTS, TIMES, CONTEXT).video)
    assert torch.equal(other.video, alone.video)
    assert (
        other.audio is not None and alone.audio is not None and not torch.allclose(other.audio, alone.audio)
    )


def test_injections_reach_their_tower_and_scale_zero_is_exact() -> None:
    model = JointModel(tiny_joint_config())
    randomise(model)
    towers = (model.video_model, model.audio_model)
    adapters = [KeyValueAdapter(6, tower.config.dim, 2) for tower in towers]
    prepared = []
    for seed, (adapter, tower) in enumerate(zip(adapters, towers, strict=True)):
        randomise(adapter, seed)
        prepared.append(adapter.prepare(normal(2, 4, 6), tower.key_norms(), tower.config.num_heads))
    plain = model(LATENTS, TIMES, CONTEXT, fuse=False)
    face = model(LATENTS, TIMES, CONTEXT, video_injections=[prepared[0]], fuse=False)
    voice = model(LATENTS, TIMES, CONTEXT, audio_injections=[prepared[1]], fuse=False)
    off = model(
        LATENTS,
        TIMES,
        CONTEXT,
        video_injections=[prepared[0].with_scale(0)],
        audio_injections=[prepared[1].with_scale(0)],
        fuse=False,
    )
    assert all(t is not None for t in (plain.audio, face.audio, voice.audio, off.audio))
    assert not torch.allclose(face.video, plain.video) and torch.equal(face.audio, plain.audio)
    assert not torch.allclose(voice.audio, plain.audio) and torch.equal(voice.video, plain.video)
    assert torch.equal(off.video, plain.video) and torch.equal(off.audio, plain.audio)


@torch.no_grad()
def test_streams_of_both_towers_equal_longer_clips() -> None:
    """With an embedding of kernel 1 a sound can be cut, and its end given back as a stream at its place."""
    config = tiny_joint_config(1.2, audio_self_stretch=2.5, audio_position_offset=0.0)
    config = replace(config, audio=replace(config.audio, embedding_kernel=1))
    model = JointModel(config)
    randomise(model)
    times = (torch.tensor([[400.5, 900.0, 0.0], [5.0, 60.0, 0.0]]), TIMES[1])
    whole = model(LATENTS, times, CONTEXT)
    frame = TokenStream(latents=LATENTS.video[:, :, 2:], offset=(2.0, 0.0, 0.0))
    tail = TokenStream(
        latents=LATENTS.audio[..., 5:], offset=(5 * config.audio_position_scale, 0.0, 0.0), timestep=None
    )
    found = model(
        AVLatents(LATENTS.video[:, :, :2], LATENTS.audio[..., :5]),
        (times[0][:, :2], times[1]),
        CONTEXT,
        video_streams=[frame],
        audio_streams=[tail],
    )
    assert found.audio is not None and whole.audio is not None
    assert relative_error(found.video, whole.video[:, :, :2]) < 1e-5
    assert relative_error(found.audio, whole.audio[..., :5]) < 1e-5


@torch.no_grad()
def test_skipped_blocks_and_scale_of_the_sound() -> None:
    """A model without its last pair of blocks; another scale as an argument and in the configuration."""
    config = tiny_joint_config(audio_self_stretch=1.0, audio_position_offset=0.0)
    model = JointModel(config)
    randomise(model)
    cut = JointModel(
        replace(config, video=replace(config.video, num_layers=1), audio=replace(config.audio, num_layers=1))
    )
    state = {name: tensor for name, tensor in model.state_dict().items() if ".blocks.1." not in name}
    cut.load_state_dict(state, strict=True)
    found, expected = model(LATENTS, TIMES, CONTEXT, skip_blocks=(1,)), cut(LATENTS, TIMES, CONTEXT)
    assert torch.equal(found.video, expected.video) and found.audio is not None
    assert torch.equal(found.audio, expected.audio)
    assert not torch.allclose(found.audio, model(LATENTS, TIMES, CONTEXT).audio)
    scaled = JointModel(replace(config, audio_position_scale=0.3))
    scaled.load_state_dict(model.state_dict())
    other = model(LATENTS, TIMES, CONTEXT, audio_position_scale=0.3)
    assert torch.equal(other.video, scaled(LATENTS, TIMES, CONTEXT).video)
    with pytest.raises(ShapeError, match=r"skipped blocks: expected numbers from 0 to 1, got \[2\]"):
        model(LATENTS, TIMES, CONTEXT, skip_blocks=(0, 2))


@torch.no_grad()
def test_a_sound_and_its_streams_are_embedded_together() -> None:
    """The convolutions reach over the border, as where one is put behind the other before the first layer."""
    config = tiny_joint_config(audio_self_stretch=1.0, audio_position_offset=0.0)
    model = JointModel(config)
    randomise(model)
    sound, sizes = LATENTS.audio, config.audio
    assert sound is not None and sizes.embedding_kernel > 1
    times = (TIMES[0], TIMES[1])
    tail = TokenStream(
        latents=sound[..., 5:], offset=(5 * config.audio_position_scale, 0.0, 0.0), timestep=None
    )
    found = model(LATENTS._replace(audio=sound[..., :5]), times, CONTEXT, audio_streams=[tail])
    whole = model(LATENTS, times, CONTEXT)
    assert found.audio is not None and whole.audio is not None
    assert relative_error(found.audio, whole.audio[..., :5]) < 1e-5
    assert relative_error(found.video, whole.video) < 1e-5


def test_fresh_weights_predict_zero_and_every_parameter_learns() -> None:
    model = JointModel(tiny_joint_config())
    init_weights(model, torch.Generator().manual_seed(0))
    fresh = model(LATENTS, TIMES, CONTEXT)
    assert fresh.audio is not None and not fresh.video.any() and not fresh.audio.any()
    randomise(model)
    model.train()
    out = model(LATENTS, TIMES, CONTEXT)
    assert out.audio is not None
    (out.video.square().mean() + out.audio.square().mean()).backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_whole_forward_is_one_graph() -> None:
    model = JointModel(tiny_joint_config())
    randomise(model)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        found, expected = compiled(LATENTS, TIMES, CONTEXT), model(LATENTS, TIMES, CONTEXT)
    assert relative_error(found.video, expected.video) < 1e-5


def test_misfits_are_named() -> None:
    model = JointModel(tiny_joint_config())
    with pytest.raises(ShapeError, match=r"audio latents: expected batch 2 \(as the video\), got 1"):
        model(LATENTS._replace(audio=LATENTS.audio[:1]), TIMES, CONTEXT)
    with pytest.raises(ShapeError, match=r"latents: expected \(batch, 3, length\), got \(2, 4, 7\)"):
        model(LATENTS._replace(audio=normal(2, 4, 7)), TIMES, CONTEXT)
