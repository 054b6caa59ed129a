"""Ovi and DreamID-Omni inside ComfyUI: tiny random weights of the true layout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from comfy_server import ComfyServer, failure_of
from prompts import Prompt, node
from safetensors.torch import load_file, save_file
from tiny_mmaudio import write_codec
from tiny_ovi import ovi_state
from workflow_api import to_api

from wan_core.media.photos import read_photo
from wan_core.media.sound import read_sound
from wan_core.media.video_file import read_video
from wan_core.pipelines.ovi_files import OviFiles
from wan_core.pipelines.ovi_generate import generate_ovi
from wan_core.pipelines.ovi_request import OviRequest
from wan_core.pipelines.request import Character

pytestmark = pytest.mark.comfy

TEXT_DIM = 4096
SMALL = {"width": 64, "height": 64, "length": 5, "steps": 1}
SPOKEN = 'character1 sits on the beach and says "a cat"'


@pytest.fixture(scope="module")
def models(comfy: ComfyServer) -> Path:
    """The folder of models, with a joint model and its codec under the names of the published files."""
    folder = comfy.base / "models"
    save_file(ovi_state(TEXT_DIM), folder / "diffusion_models" / "dreamid_omni.safetensors")
    write_codec(folder / "vae")
    for kind, tiny, name in (
        ("vae", "tiny_vae22", "wan2.2_vae"),
        ("text_encoders", "tiny_umt5", "umt5_xxl_fp8_e4m3fn_scaled"),
    ):
        shutil.copy(folder / kind / f"{tiny}.safetensors", folder / kind / f"{name}.safetensors")
    return folder


def graph(variant: str, text: str) -> Prompt:
    """Model, codecs, prompt and latents of a small clip."""
    return {
        "model": node("WanR2V_LoadOvi", unet_name="dreamid_omni.safetensors", variant=variant),
        "clip": node("WanR2V_LoadWanText", clip_name="tiny_umt5.safetensors", weight_dtype="bfloat16"),
        "vae": node("WanR2V_LoadWanVAE", vae_name="tiny_vae22.safetensors"),
        "codec": node("WanR2V_LoadMMAudio", vae_name="v1-16.pth", vocoder_name="best_netG.pt"),
        "prompt": node(
            "WanR2V_OviPrompt", model=["model", 0], clip=["clip", 0], prompt=text,
            negative_prompt="the dog", negative_sound="a dog",
        ),
        "latent": node("WanR2V_OviLatent", model=["model", 0], vae=["vae", 0], width=64, height=64, length=5),
        "decoded": node("WanR2V_OviDecode", latent=["samples", 0], vae=["vae", 0], audio_vae=["codec", 0]),
        "track": node("SaveAudio", audio=["decoded", 1], filename_prefix=f"ovi_{variant}"),
    }  # fmt: skip


def own_sampler(positive: list[Any], negative: list[Any], **changes: Any) -> dict[str, Any]:
    return node(
        "WanR2V_OviSampler", model=["model", 0], positive=positive, negative=negative, latent=["latent", 0],
        **{
            "seed": 7, "steps": 2, "shift": 5.0, "solver": "unipc", "official_guidance": True, "text_scale": 1.0,
            "audio_text_scale": 1.0, "face_scale": 1.0, "voice_scale": 1.0, "preview": True, **changes,
        },
    )  # fmt: skip


def sound_of(comfy: ComfyServer, entry: dict[str, Any]) -> torch.Tensor:
    (saved,) = entry["outputs"]["track"]["audio"]
    return read_sound(comfy.base / "output" / saved["subfolder"] / saved["filename"]).clip.waveform


@pytest.mark.parametrize("name", ["dreamid_omni", "dreamid_omni_two"])
def test_workflow_makes_a_clip_with_sound(comfy: ComfyServer, models: Path, root: Path, name: str) -> None:
    """As saved but for the size and the steps."""
    examples = root / "wan_core" / "assets" / "examples"
    shutil.copy(examples / "portrait.png", comfy.base / "input" / "wan_r2v_portrait.png")
    shutil.copy(examples / "voice.wav", comfy.base / "input" / "wan_r2v_voice.wav")
    workflow = json.loads((root / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    prompt = to_api(workflow, comfy.get("/object_info"))
    for entry in prompt.values():
        entry["inputs"].update({key: value for key, value in SMALL.items() if key in entry["inputs"]})
    found = comfy.run(prompt, 500)
    if name == "dreamid_omni":  # loaders that have run before say nothing again
        text = str(found["outputs"])
        assert "academic research" in text and "CC-BY-NC" in text
    (saved,) = (comfy.base / "output" / "wan_r2v").glob(f"{name}_0*.mp4")
    clip = read_video(saved)
    assert clip.frames.shape == (5, 64, 64, 3) and clip.fps == 24
    sound = read_sound(saved).clip.waveform
    assert abs(sound.shape[1] / 16000 - 5 / 24) < 2048 / 16000


def test_clip_is_the_one_that_the_engine_makes(comfy: ComfyServer, models: Path) -> None:
    prompt = graph("dreamid-omni", SPOKEN)
    prompt["photo"] = node("LoadImage", image="picture.png")
    prompt["voice"] = node("LoadAudio", audio="voice.wav")
    prompt["people"] = node(
        "WanR2V_DreamIDReferences", positive=["prompt", 0], negative=["prompt", 1], latent=["latent", 0],
        vae=["vae", 0], audio_vae=["codec", 0], face1=["photo", 0], voice1=["voice", 0], consent="fictional",
        crop="whole", voice_span="best",
    )  # fmt: skip
    prompt["samples"] = own_sampler(["people", 0], ["people", 1])
    prompt["save"] = node("KitSave", name="ovi_engine", image=["decoded", 0])
    entry = comfy.run(prompt, 500)
    person = Character(
        name="character1",
        photos=(read_photo(comfy.base / "input" / "picture.png").pixels,),
        voice=read_sound(comfy.base / "input" / "voice.wav").clip,
        face="whole",
    )
    request = OviRequest(
        prompt=SPOKEN,
        negative_prompt="the dog",
        negative_sound="a dog",
        characters=(person,),
        size=(64, 64),
        frames=5,
        steps=2,
        seed=7,
    )
    files = OviFiles(
        model=models / "diffusion_models" / "dreamid_omni.safetensors",
        vae=models / "vae" / "tiny_vae22.safetensors",
        text_encoder=models / "text_encoders" / "tiny_umt5.safetensors",
        audio_vae=models / "vae" / "v1-16.pth",
        vocoder=models / "vae" / "best_netG.pt",
    )
    expected = generate_ovi(request, files)
    images = load_file(comfy.base / "output" / "ovi_engine.safetensors")["values"]
    wanted = expected.video[0].permute(1, 2, 3, 0) / 2 + 0.5
    assert images.shape == (5, 64, 64, 3) and float(images.std()) > 0.01
    assert float((images - wanted.clamp(0, 1)).abs().max()) < 1e-3
    assert float((sound_of(comfy, entry) - expected.audio.waveform).abs().max()) < 1e-3


@pytest.mark.parametrize("has_picture", [False, True], ids=["t2av", "i2av"])
def test_cores_sampler_takes_the_nested_latents(comfy: ComfyServer, models: Path, has_picture: bool) -> None:
    prompt = graph("ovi-960", 'a cat says "on the beach"')
    if has_picture:
        prompt["photo"] = node("LoadImage", image="picture.png")
        prompt["latent"]["inputs"]["first_frame"] = ["photo", 0]
    prompt["samples"] = node(
        "KSampler", model=["model", 0], positive=["prompt", 0], negative=["prompt", 1],
        latent_image=["latent", 0], seed=3, steps=2, cfg=3.0, sampler_name="euler", scheduler="simple", denoise=1.0,
    )  # fmt: skip
    prompt["save"] = node("KitSave", name=f"ovi_core_{has_picture}", image=["decoded", 0])
    entry = comfy.run(prompt, 500)
    images = load_file(comfy.base / "output" / f"ovi_core_{has_picture}.safetensors")["values"]
    assert (
        images.shape == (5, 64, 64, 3) and bool(torch.isfinite(images).all()) and float(images.std()) > 0.01
    )
    assert abs(sound_of(comfy, entry).shape[1] - 5 / 24 * 16000) < 2


def test_fp8_file_stays_packed_and_samples_near_the_whole_weights(comfy: ComfyServer, models: Path) -> None:
    eight = {
        key: tensor.to(torch.float8_e4m3fn)
        if ".blocks." in key and key.endswith("weight") and tensor.ndim == 2
        else tensor
        for key, tensor in ovi_state(TEXT_DIM).items()
    }
    save_file(eight, models / "diffusion_models" / "ovi_fp8.safetensors")
    pictures: list[torch.Tensor] = []
    for file in ("dreamid_omni", "ovi_fp8"):
        prompt = graph("ovi-960", "a cat on the beach")
        prompt["model"]["inputs"]["unet_name"] = f"{file}.safetensors"
        prompt["samples"] = own_sampler(["prompt", 0], ["prompt", 1], steps=1, preview=False)
        prompt["save"] = node("KitSave", name=f"packed_{file}", image=["decoded", 0])
        comfy.run(prompt, 500)
        pictures.append(load_file(comfy.base / "output" / f"packed_{file}.safetensors")["values"])
    whole, packed = pictures
    assert 0 < float((whole - packed).norm() / whole.norm()) < 0.2


def test_references_and_models_that_do_not_fit(comfy: ComfyServer, models: Path) -> None:
    prompt = graph("dreamid-omni", SPOKEN)
    prompt["samples"] = own_sampler(["prompt", 0], ["prompt", 1])
    entry = comfy.wait(comfy.queue(prompt))
    message = failure_of(entry)
    assert "expected faces and voices for DreamID-Omni alone, got none for DreamID-Omni" in message
    prompt = graph("dreamid-omni", f"{SPOKEN} to character2")
    prompt["photo"] = node("LoadImage", image="picture.png")
    prompt["voice"] = node("LoadAudio", audio="voice.wav")
    prompt["people"] = node(
        "WanR2V_DreamIDReferences", positive=["prompt", 0], negative=["prompt", 1], latent=["latent", 0],
        vae=["vae", 0], audio_vae=["codec", 0], face1=["photo", 0], voice1=["voice", 0], consent="own",
        crop="whole", voice_span="best",
    )  # fmt: skip
    prompt["samples"] = own_sampler(["people", 0], ["people", 1])
    assert "expected a reference for every character it names, got none for character2" in failure_of(
        comfy.wait(comfy.queue(prompt))
    )
    prompt["people"]["inputs"]["consent"] = "choose"
    assert "consent: expected own, written, fictional" in failure_of(comfy.wait(comfy.queue(prompt)))
    prompt = graph("ovi-960", SPOKEN)
    prompt["samples"] = own_sampler(["prompt", 0], ["prompt", 1])
    message = failure_of(comfy.wait(comfy.queue(prompt)))
    assert "got none for character1" in message
