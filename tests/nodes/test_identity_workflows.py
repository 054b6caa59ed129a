"""The workflows of Lynx, Phantom and Bernini-R from the saved file to the clip, through both model loaders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from comfy_server import ComfyServer
from safetensors.torch import load_file
from tiny_adapter import write_lynx, write_recogniser
from workflow_api import to_api

from wan_core.media.video_file import read_video

pytestmark = pytest.mark.comfy

TINY = {"diffusion_models": "tiny_t2v", "vae": "tiny_vae", "text_encoders": "tiny_umt5"}
SMALLER = {"width": 64, "height": 64, "length": 9, "steps": 4, "ref_max_size": 64, "face": "aligned"}
SAMPLERS = ("KSampler", "SamplerCustomAdvanced")


@pytest.fixture(scope="module")
def adapters(comfy: ComfyServer, root: Path) -> Path:
    """Adapters and the recogniser under the names of the workflows, and the photo."""
    folder = comfy.base / "models" / "wan_r2v"
    for variant in ("full", "lite"):
        write_lynx(folder / f"lynx_{variant}", variant)
    written = write_recogniser(comfy.base / "arcface.safetensors")
    torch.save(load_file(written), folder / "recognition_arcface_ir_se50.pth")
    photo = root / "wan_core" / "assets" / "examples" / "portrait.png"
    shutil.copy(photo, comfy.base / "input" / "wan_r2v_portrait.png")
    return folder


def write_models(comfy: ComfyServer, workflow: dict[str, Any]) -> None:
    """Tiny weights under the names of the real files."""
    for node in workflow["nodes"]:
        for model in node["properties"].get("models", []):
            folder = comfy.base / "models" / model["directory"]
            source = folder / f"{TINY[model['directory']]}.safetensors"
            if model["name"].endswith(".pth"):
                torch.save(load_file(source), folder / model["name"])
            else:
                shutil.copy(source, folder / model["name"])


@pytest.mark.parametrize("name", ["lynx_full", "lynx_lite", "phantom_1_3b", "bernini_1_3b"])
def test_workflow_gives_the_same_latents_with_both_loaders(
    comfy: ComfyServer, adapters: Path, root: Path, name: str
) -> None:
    """A small size, few steps, a face that fills the photo (ComfyUI's Python has no detector); else as saved."""
    object_info = comfy.get("/object_info")
    if name == "bernini_1_3b" and "BerniniConditioning" not in object_info:
        pytest.skip("this ComfyUI has no Bernini Conditioning")
    workflow = json.loads((root / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    write_models(comfy, workflow)
    latents: list[torch.Tensor] = []
    for loader in ("WanR2V_LoadWanModel", "UNETLoader"):
        prompt = to_api(workflow, object_info)
        for entry in prompt.values():
            entry["inputs"].update({key: value for key, value in SMALLER.items() if key in entry["inputs"]})
            if entry["class_type"] == "WanR2V_LoadWanModel":
                entry["class_type"] = loader
            if entry["class_type"] == "SaveVideo":
                entry["inputs"]["filename_prefix"] = f"identity/{loader}_{name}"
        (sampler,) = [key for key, entry in prompt.items() if entry["class_type"] in SAMPLERS]
        prompt["save"] = {
            "class_type": "SaveLatent",
            "inputs": {"samples": [sampler, 0], "filename_prefix": f"identity/{loader}_{name}"},
        }
        (saved,) = comfy.run(prompt, 300)["outputs"]["save"]["latents"]
        latents.append(
            load_file(comfy.base / "output" / saved["subfolder"] / saved["filename"])["latent_tensor"]
        )
        (clip_file,) = (comfy.base / "output" / "identity").glob(f"{loader}_{name}*.mp4")
        clip = read_video(clip_file)
        assert clip.frames.shape == (9, 64, 64, 3) and clip.fps == (24 if name == "lynx_lite" else 16)
    ours, core = latents
    assert ours.isfinite().all() and float(ours.std()) > 0.5
    assert float((ours - core).norm() / core.norm()) < 1e-4
