"""The example workflows with the shipped weights and the shipped example, from the saved file to the MP4."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from comfy_server import ComfyServer
from workflow_api import to_api

from wan_core.media.sound import read_sound
from wan_core.media.video_file import read_video

pytestmark = pytest.mark.comfy

EXAMPLES = {"portrait.png": "wan_r2v_portrait.png", "voice.wav": "wan_r2v_voice.wav"}


@pytest.fixture
def object_info(comfy: ComfyServer, root: Path) -> dict[str, Any]:
    """The server's nodes, after the example files that the workflows name were put into its input folder."""
    for source, target in EXAMPLES.items():
        shutil.copy(root / "wan_core" / "assets" / "examples" / source, comfy.base / "input" / target)
    return comfy.get("/object_info")


@pytest.mark.parametrize("name", ["nano_r2v", "nano_t2v", "nano_i2v"])
def test_workflow_makes_a_clip_with_sound(
    comfy: ComfyServer, object_info: dict[str, Any], root: Path, name: str
) -> None:
    workflow = json.loads((root / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    entry = comfy.run(to_api(workflow, object_info), 900)
    (saved,) = [
        files
        for node in entry["outputs"].values()
        for files in node.get("images", [])
        if "mp4" in files["filename"]
    ]
    path = comfy.base / "output" / saved["subfolder"] / saved["filename"]
    clip = read_video(path)
    assert clip.frames.shape == (17, 256, 256, 3) and float(clip.frames.float().std()) > 5 and clip.fps == 8
    sound = read_sound(path).clip.waveform
    assert abs(sound.shape[1] / 16000 - 17 / 8) < 0.15 and float(sound.std()) > 0.005


@pytest.mark.parametrize("name", ["nano_r2v", "nano_t2v", "nano_i2v"])
def test_saved_settings_are_the_defaults_of_the_command_line(
    object_info: dict[str, Any], root: Path, name: str
) -> None:
    from wan_core.pipelines.defaults import NanoDefaults

    workflow = json.loads((root / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    (sampler,) = [
        n["inputs"] for n in to_api(workflow, object_info).values() if n["class_type"] == "WanR2V_Sampler"
    ]
    defaults = NanoDefaults()
    assert sampler["steps"] == defaults.steps and sampler["shift"] == defaults.shift
    assert sampler["audio_lead"] == defaults.audio_lead
    scales = defaults.scales
    assert (sampler["text_scale"], sampler["identity_scale"]) == (scales.text_video, scales.identity)
    assert (sampler["audio_text_scale"], sampler["voice_scale"]) == (scales.text_audio, scales.voice)
