"""The graph in ComfyUI and `wan_core.pipelines.generate` make the same clip from the same request."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from comfy_server import ComfyServer
from PIL import Image
from prompts import TEXT, Prompt, character, model_and_text, node, sampler, save

from wan_core.identity.regions import Region
from wan_core.identity.strength import Strength, slide
from wan_core.media import read_voice
from wan_core.media.photos import read_photo
from wan_core.media.sound import read_sound
from wan_core.pipelines import Character, GenerateRequest, NanoDefaults, Scales, generate, load_bundle

pytestmark = pytest.mark.comfy

SETTINGS = NanoDefaults(shift=1.5, audio_lead=1)
SCALES = Scales(text_video=2.0, identity=1.5, text_audio=1.6, voice=1.2)
STEPS, SEED = 3, 11


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


BOX = {"left": 0.0, "top": 0.0, "right": 0.5, "bottom": 1.0, "start": 0.0, "end": 0.7}


def shaped_character() -> Prompt:
    """A character whose face fades in over the steps, and acts on the left for a part of the clip."""
    prompt = character()
    curve = {"steps_curve": "", "layers_curve": "0:1, 1:0.5"}
    prompt["shape"] = node(
        "WanR2V_IdentityStrength", preset="slider", likeness=-0.7, scale=1.5, start=1.0, end=0.0, **curve
    )
    prompt["box"] = node("WanR2V_IdentityRegion", **BOX)
    prompt["applied"]["inputs"] |= {"strength": ["shape", 0], "region": ["box", 0]}
    return prompt


@pytest.mark.parametrize("mode", ["t2v", "i2v", "r2v", "shaped"])
def test_clip_is_the_same(comfy: ComfyServer, mode: str) -> None:
    photo = read_photo(comfy.base / "input" / "picture.png").pixels
    voice = read_voice(comfy.base / "input" / "voice.wav").clip
    seconds = SETTINGS.seconds
    box = Region(**{**BOX, "end": BOX["end"] * seconds})
    characters = (
        Character(
            name="character1",
            photos=(photo,),
            voice=voice,
            face="whole",
            regions=(box,) if mode == "shaped" else (),
        ),
    )
    free = slide(-0.7)
    shape = Strength(scale=free.scale * 1.5, steps=free.steps, layers=((0.0, 1.0), (1.0, 0.5)))
    request = GenerateRequest(
        prompt=TEXT,
        characters=characters if mode in ("r2v", "shaped") else (),
        strength=shape if mode == "shaped" else Strength(),
        first_frame=photo if mode == "i2v" else None,
        size=(64, 64),
        seed=SEED,
        steps=STEPS,
        scales=SCALES,
    )
    bundle = load_bundle(comfy.base / "models" / "wan_r2v" / "random")
    expected = generate(request, bundle, defaults=SETTINGS)

    prompt: Prompt = model_and_text()
    if mode == "i2v":
        prompt["photo"] = node("LoadImage", image="picture.png")
        prompt["latent"]["inputs"]["first_frame"] = ["photo", 0]
    has_character = mode in ("r2v", "shaped")
    if has_character:
        prompt.update(character() if mode == "r2v" else shaped_character())
    prompt.update(sampler(STEPS, SEED, with_character=has_character))
    entry = comfy.run({**prompt, **save(f"same_{mode}")})
    files = [comfy.base / "output" / image["filename"] for image in entry["outputs"]["frames"]["images"]]
    frames = np.stack([np.asarray(Image.open(file)) for file in files]).astype(float)
    wanted = (expected.video[0].permute(1, 2, 3, 0).numpy() / 2 + 0.5) * 255
    assert np.abs(frames - wanted).max() < 1.1

    track = read_sound(comfy.base / "output" / entry["outputs"]["track"]["audio"][0]["filename"]).clip
    assert expected.audio is not None
    assert (track.waveform - expected.audio.waveform).abs().max() < 1e-3
