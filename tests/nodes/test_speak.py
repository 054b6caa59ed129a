"""Speech, the voice card and the mark of synthetic media, in a real ComfyUI."""

from __future__ import annotations

import numpy as np
import pytest
from comfy_server import ComfyServer, failure_of
from PIL import Image
from prompts import Prompt, model_and_text, node
from tiny_speech import write_speech_model

pytestmark = pytest.mark.comfy


def graph(comfy: ComfyServer, script: str, **changes: object) -> Prompt:
    """A voice, a script and a tiny speech model; the sound is saved."""
    folder = comfy.base / "models" / "tts" / "tiny"
    if not folder.exists():
        write_speech_model(folder)
    inputs = {
        "speech": ["model", 0],
        "script": script,
        "consent": "own",
        "seed": 3,
        "character1": ["sound", 0],
    }
    return {
        "sound": node("LoadAudio", audio="voice.wav"),
        "model": node("WanR2V_LoadSpeechModel", folder="tiny"),
        "speech": node("WanR2V_Speak", **{**inputs, **changes}),
        "track": node("SaveAudio", audio=["speech", 0], filename_prefix="speech"),
        "turns": node("PreviewAny", source=["speech", 1]),
    }


def test_a_script_becomes_sound(comfy: ComfyServer) -> None:
    entry = comfy.run(graph(comfy, 'character1 says: "Hi." [pause 0.5 s] character1 says: "Bye."'))
    from wan_core.media import read_sound

    track = comfy.base / "output" / entry["outputs"]["track"]["audio"][0]["filename"]
    clip = read_sound(track, sample_rate=24000).clip
    assert clip.waveform.shape[1] > 24000 and clip.waveform.abs().max() > 0
    lines = entry["outputs"]["turns"]["text"][0].splitlines()
    assert [line.split(" s ")[1] for line in lines] == ["character1: Hi.", "character1: Bye."]


@pytest.mark.parametrize(
    ("script", "changes", "message"),
    [
        ('character2 says: "Hi."', {}, "expected a voice for everybody who speaks, got none for character2"),
        ("Hi.", {"consent": "choose"}, "voices: expected a consent of own, written, fictional, got none"),
    ],
)
def test_bad_scripts(comfy: ComfyServer, script: str, changes: dict[str, object], message: str) -> None:
    entry = comfy.wait(comfy.queue(graph(comfy, script, **changes)))
    assert "WanR2V_Speak" in failure_of(entry) and message in failure_of(entry)


def test_encode_voice_shows_the_card(comfy: ComfyServer) -> None:
    prompt = {
        **model_and_text(),
        "sound": node("LoadAudio", audio="voice.wav"),
        "voice": node("WanR2V_EncodeVoice", encoders=["model", 4], audio=["sound", 0]),
        "card": node("SaveImage", images=["voice", 2], filename_prefix="card"),
        "notes": node("PreviewAny", source=["voice", 1]),
    }
    entry = comfy.run(prompt)
    card = comfy.base / "output" / entry["outputs"]["card"]["images"][0]["filename"]
    assert Image.open(card).size == (960, 720)
    assert entry["outputs"]["voice"]["images"]
    assert "rhythm: " in entry["outputs"]["notes"]["text"][0]


def test_the_mark_is_put_in_and_found(comfy: ComfyServer) -> None:
    smooth = np.random.default_rng(0).integers(90, 160, (12, 12, 3), dtype=np.uint8)
    picture = Image.fromarray(smooth).resize((192, 192), Image.Resampling.BICUBIC)
    picture.save(comfy.base / "input" / "smooth.png")
    prompt = {
        "picture": node("LoadImage", image="smooth.png"),
        "marked": node("WanR2V_Watermark", images=["picture", 0]),
        "yes": node("WanR2V_Verify", images=["marked", 0]),
        "no": node("WanR2V_Verify", images=["picture", 0]),
        "yes_text": node("PreviewAny", source=["yes", 0]),
        "no_text": node("PreviewAny", source=["no", 0]),
    }
    outputs = comfy.run(prompt)["outputs"]
    assert "the mark of synthetic media is in the picture" in outputs["yes_text"]["text"][0]
    assert "no mark of synthetic media was found" in outputs["no_text"]["text"][0]
