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


WAN_FILES = {
    "wan21_t2v_1_3b": {"diffusion_models": ["tiny_t2v"], "vae": "tiny_vae"},
    "wan21_i2v_14b": {"diffusion_models": ["tiny_i2v"], "vae": "tiny_vae"},
    "wan22_ti2v_5b": {"diffusion_models": ["tiny_ti2v"], "vae": "tiny_vae22"},
    "wan22_t2v_a14b": {"diffusion_models": ["tiny_t2v", "tiny_t2v_low"], "vae": "tiny_vae"},
}
SMALLER = {"width": 64, "height": 64, "length": 9, "steps": 4}


@pytest.mark.parametrize("cores", [False, True], ids=["as saved", "core's model loader"])
@pytest.mark.parametrize("name", WAN_FILES)
def test_wan_workflow_runs(
    comfy: ComfyServer, object_info: dict[str, Any], root: Path, name: str, cores: bool
) -> None:
    """Tiny weights under the names of the real files, a small size, few steps; else as saved.

    CLIP vision comes from the test kit: ComfyUI builds its own at full size only.
    """
    workflow = json.loads((root / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    tiny = {**WAN_FILES[name], "text_encoders": "tiny_umt5"}
    experts = iter(tiny["diffusion_models"])
    for node in workflow["nodes"]:
        for model in node["properties"].get("models", []):
            folder = comfy.base / "models" / model["directory"]
            source = (
                next(experts) if model["directory"] == "diffusion_models" else tiny.get(model["directory"])
            )
            if source is not None:
                shutil.copy(folder / f"{source}.safetensors", folder / model["name"])
    prompt = to_api(workflow, object_info)
    for key, entry in prompt.items():
        inputs = entry["inputs"]
        inputs.update({field: value for field, value in SMALLER.items() if field in inputs})
        if "start_at_step" in inputs:
            inputs["start_at_step"] = min(inputs["start_at_step"], 2)
            inputs["end_at_step"] = 2 if inputs["start_at_step"] == 0 else inputs["end_at_step"]
        if entry["class_type"] == "CLIPVisionEncode":
            prompt[key] = {"class_type": "KitClipVision", "inputs": {"seed": 4}}
        if cores and entry["class_type"] == "WanR2V_LoadWanModel":
            entry["class_type"] = "UNETLoader"
        if entry["class_type"] == "SaveVideo":
            inputs["filename_prefix"] = f"wan_{'core' if cores else 'ours'}/{name}"
    comfy.run({key: entry for key, entry in prompt.items() if entry["class_type"] != "CLIPVisionLoader"}, 300)
    (saved,) = (comfy.base / "output" / f"wan_{'core' if cores else 'ours'}").glob(f"{name}*.mp4")
    clip = read_video(saved)
    assert clip.frames.shape == (9, 64, 64, 3) and clip.fps == (24 if name == "wan22_ti2v_5b" else 16)
