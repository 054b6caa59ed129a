"""HuMo's transformer against the official code's own output (tests/golden/make_humo.py), and speech as an injection."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_dit import normal, randomise, relative_error, tiny_config

from wan_core.dit.config import JointConfig, SpeechConfig, WanConfig
from wan_core.dit.execution import for_inference, is_held_twice
from wan_core.dit.model import WanModel
from wan_core.errors import ConfigError, ShapeError
from wan_core.types import TokenStream

GOLDEN = load_file(Path(__file__).parents[2] / "golden" / "humo.safetensors")
SPEECH = SpeechConfig(features=6, hidden=10, width=12)
FRAMES = 4


def humo(size: str) -> WanModel:
    """The golden transformer."""
    channels = 4 if size == "small" else 12
    config = tiny_config(
        dim=24, ffn_dim=40, in_channels=channels, text_dim=10, freq_dim=16, text_len=12, speech=SPEECH
    )
    model = WanModel(config)
    prefix = f"{size}.weight."
    weights = {name.removeprefix(prefix): t.float() for name, t in GOLDEN.items() if name.startswith(prefix)}
    model.load_state_dict(weights, strict=True)
    return model.train(False)


def context() -> torch.Tensor:
    """The prompt, padded as the official code does."""
    return torch.cat((GOLDEN["context"], torch.zeros(7, 10)))[None]


@torch.no_grad()
def test_projection_equals_the_official_code() -> None:
    found = humo("small").audio_proj(GOLDEN["windows"][None])
    assert relative_error(found, GOLDEN["tokens"]) < 1e-5


@torch.no_grad()
def test_large_equals_the_official_code() -> None:
    model = humo("large")
    mask = torch.ones(4, FRAMES + 2, 4, 6)
    mask[:, :-2] = 0
    known = torch.cat((GOLDEN["zero_vae"][:, :FRAMES], GOLDEN["references"]), dim=1)
    latents = torch.cat((GOLDEN["noisy"], mask, known))[None]
    time, expected = torch.tensor([437.0]), GOLDEN["large.forward"][None]
    speech = model.prepare_speech(GOLDEN["windows"][None])
    assert relative_error(model(latents, time, context(), speech=speech), expected) < 1e-5
    fast = for_inference(model)
    layers = fast.tower_blocks()[0].audio_cross_attn_wrapper.audio_cross_attn
    assert not isinstance(layers.q, torch.nn.Linear) and isinstance(layers.k, torch.nn.Linear)
    assert is_held_twice("blocks.1.audio_cross_attn_wrapper.audio_cross_attn.o.weight")
    assert not is_held_twice("blocks.1.audio_cross_attn_wrapper.audio_cross_attn.k.weight")
    found = fast(latents, time, fast.prepare(context()), speech=fast.prepare_speech(GOLDEN["windows"][None]))
    assert relative_error(found, expected) < 1e-5


@torch.no_grad()
def test_streams_after_the_clip_hear_silence() -> None:
    """References as a stream give the same as references at the end of the latents."""
    model = humo("small")
    noisy, references = GOLDEN["noisy"][None, :, :FRAMES], GOLDEN["references"][None]
    speech, time = model.prepare_speech(GOLDEN["windows"][None]), torch.tensor([300.0])
    stream = TokenStream(latents=references, offset=(float(FRAMES), 0.0, 0.0), timestep=None)
    found = model(noisy, time, context(), streams=[stream], speech=speech)
    joined = model(torch.cat((noisy, references), dim=2), time, context(), speech=speech)
    assert relative_error(found, joined[:, :, :FRAMES]) < 1e-5


@torch.no_grad()
def test_no_speech_is_silence_and_a_frame_hears_its_own_window_first() -> None:
    model = humo("small")
    noisy, time = GOLDEN["noisy"][None], torch.tensor([300.0])
    windows = torch.zeros(1, FRAMES, 8, 5, 6)
    silent = model(noisy, time, context())
    zeros = model(noisy, time, context(), speech=model.prepare_speech(windows))
    assert relative_error(zeros, silent) < 1e-6
    assert (
        relative_error(model(noisy, time, context(), speech=model.prepare_speech(windows + 1)), silent) > 0.01
    )
    half = model.prepare_speech(windows).to(dtype=torch.float64)
    assert half.blocks[0].key.dtype == torch.float64 and half.nbytes > 0
    block = model.tower_blocks()[0]
    windows[:, 2] = GOLDEN["windows"][2]
    keys = model.prepare_speech(windows).blocks[0]
    x = normal(1, 6 * 6, 24)
    change = block.attend_speech(x, keys, 6) - block.attend_speech(
        x, model.prepare_speech(0 * windows).blocks[0], 6
    )
    assert [bool(part.abs().max() > 1e-4) for part in change.split(6, dim=1)] == [i == 2 for i in range(6)]


def test_batches() -> None:
    model = humo("small")
    noisy, time = GOLDEN["noisy"][None].repeat(2, 1, 1, 1, 1), torch.tensor([300.0, 300.0])
    windows = normal(2, FRAMES, 8, 5, 6)
    both = model(noisy, time, context(), speech=model.prepare_speech(windows))
    for i in range(2):
        alone = model(noisy[:1], time[:1], context(), speech=model.prepare_speech(windows[i : i + 1]))
        assert relative_error(both[i : i + 1], alone) < 1e-5


def test_errors() -> None:
    model = humo("small")
    noisy, time = GOLDEN["noisy"][None], torch.tensor([300.0])
    with pytest.raises(
        ShapeError, match=r"expected windows \(batch, latent frames, 8, 5, 6\), got \(1, 4, 8, 5, 7\)"
    ):
        model.prepare_speech(torch.zeros(1, 4, 8, 5, 7))
    with pytest.raises(ShapeError, match="expected at most 6 windows for batch 1"):
        model(noisy, time, context(), speech=model.prepare_speech(torch.zeros(1, 7, 8, 5, 6)))
    deaf = WanModel(tiny_config(text_dim=10))
    with pytest.raises(ShapeError, match="a model that does not hear"):
        deaf(noisy, time, context(), speech=model.prepare_speech(torch.zeros(1, 4, 8, 5, 6)))
    with pytest.raises(ShapeError, match="a model that does not hear"):
        deaf.prepare_speech(torch.zeros(1, 4, 8, 5, 6))
    with pytest.raises(ConfigError, match="speech: expected None for a sequence"):
        tiny_config(patch_size=(1,), speech=SPEECH)
    sound = tiny_config(patch_size=(1,))
    with pytest.raises(ConfigError, match="speech: expected None in a tower of a joint model"):
        JointConfig(video=hearing(), audio=sound, fusion_window=None, audio_position_scale=1.0)


def hearing() -> WanConfig:
    """A configuration with speech."""
    return tiny_config(speech=SPEECH)


def test_names_are_those_of_the_published_files() -> None:
    names = set(randomise(WanModel(hearing())).state_dict())
    assert {
        "audio_proj.audio_proj_glob_1.layer.weight",
        "audio_proj.audio_proj_glob_norm.layer.bias",
        "blocks.1.audio_cross_attn_wrapper.norm1_audio.weight",
        "blocks.1.audio_cross_attn_wrapper.audio_cross_attn.k.weight",
        "blocks.0.audio_cross_attn_wrapper.audio_cross_attn.norm_q.weight",
    } <= names
