"""The workflows of HuMo from the saved file to the MP4, with tiny random weights of the true layout."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from comfy_server import ComfyServer
from reference_files import write_picture, write_voice
from safetensors.torch import save_file
from tiny_humo import FAMILIES
from tiny_speech import write_speech_model
from tiny_wan import random_state
from tiny_whisper import whisper_state
from workflow_api import to_api

from wan_core.dit.config import SpeechConfig
from wan_core.media.sound import read_sound
from wan_core.media.video_file import read_video
from wan_core.voice.whisper import WhisperConfig

pytestmark = pytest.mark.comfy

WIDTH = 64
SMALLER = {"width": 64, "height": 64, "steps": 2, "script": 'character1 says: "Hi."'}
SECONDS = 0.7


@pytest.fixture(scope="module")
def object_info(comfy: ComfyServer) -> dict[str, Any]:
    """The server's nodes, after tiny weights were put where the workflows look for theirs."""
    models = comfy.base / "models"
    config = replace(FAMILIES["humo_17b"], speech=SpeechConfig(features=WIDTH, hidden=16, width=24))
    save_file(random_state(config, 3), models / "diffusion_models" / "humo_17B_fp8_e4m3fn.safetensors")
    encoder = whisper_state(WhisperConfig(dim=WIDTH, ffn_dim=4, num_heads=1))
    (models / "audio_encoders").mkdir(exist_ok=True)
    save_file(
        {f"model.encoder.{name}": tensor.half() for name, tensor in encoder.items()},
        models / "audio_encoders" / "whisper_large_v3_encoder_fp16.safetensors",
    )
    for folder, source, target in (
        ("vae", "tiny_vae", "wan_2.1_vae"),
        ("text_encoders", "tiny_umt5", "umt5_xxl_fp8_e4m3fn_scaled"),
    ):
        shutil.copy(models / folder / f"{source}.safetensors", models / folder / f"{target}.safetensors")
    write_speech_model(models / "tts" / "pocket-tts")
    write_picture(comfy.base / "input" / "wan_r2v_portrait.png")
    return comfy.get("/object_info")


@pytest.mark.parametrize(("name", "seconds"), [("humo_speech", SECONDS), ("speak_humo", 2.0)])
def test_workflow_makes_a_clip_as_long_as_its_speech(
    comfy: ComfyServer, object_info: dict[str, Any], root: Path, name: str, seconds: float
) -> None:
    write_voice(comfy.base / "input" / "wan_r2v_voice.wav", seconds=seconds)
    workflow = json.loads((root / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    prompt = to_api(workflow, object_info)
    for entry in prompt.values():
        entry["inputs"].update({key: value for key, value in SMALLER.items() if key in entry["inputs"]})
        if entry["class_type"] == "SaveVideo":
            entry["inputs"]["filename_prefix"] = f"humo/{name}"
    comfy.run(prompt, 300)
    (saved,) = (comfy.base / "output" / "humo").glob(f"{name}*.mp4")
    clip = read_video(saved)
    assert clip.fps == 25 and clip.frames.shape[1:] == (64, 64, 3) and clip.frames.shape[0] % 4 == 1
    sound = read_sound(saved).clip.waveform
    assert abs(sound.shape[1] / 16000 - clip.frames.shape[0] / 25) < 0.2 and float(sound.std()) > 1e-4
    if name == "humo_speech":
        assert clip.frames.shape[0] == 17  # 17.5 frames of speech
