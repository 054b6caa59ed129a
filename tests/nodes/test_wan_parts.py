"""Our VAE and CLIP of published Wan weights in core's own nodes, on a real server."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from comfy_server import ComfyServer
from prompts import Prompt, node
from safetensors.torch import load_file
from torch import Tensor

pytestmark = pytest.mark.comfy

OURS, CORE = "WanR2V_LoadWanVAE", "VAELoader"
VAE_TOLERANCE = 1e-4


def values(comfy: ComfyServer, prompt: Prompt, **links: tuple[str, list[Any]]) -> dict[str, Tensor]:
    """Run a prompt; links: name -> (input of KitSave, link), whose numbers come back under the name."""
    saves = {
        f"save_{name}": node("KitSave", name=name, **{kind: link}) for name, (kind, link) in links.items()
    }
    comfy.run({**prompt, **saves})
    return {name: load_file(comfy.base / "output" / f"{name}.safetensors")["values"] for name in links}


def codecs() -> Prompt:
    return {
        "ours": node(OURS, vae_name="tiny_vae.safetensors"),
        "core": node(CORE, vae_name="tiny_vae.safetensors"),
    }


def test_vae_decode_equals_cores(comfy: ComfyServer) -> None:
    prompt = {**codecs(), "z": node("KitLatent", seed=6, channels=16, frames=4, size=8, given=0)}
    for name in ("ours", "core"):
        prompt[f"{name}_images"] = node("VAEDecode", samples=["z", 0], vae=[name, 0])
    prompt["tiled"] = node(
        "VAEDecodeTiled",
        samples=["z", 0],
        vae=["ours", 0],
        tile_size=64,
        overlap=0,
        temporal_size=8,
        temporal_overlap=4,
    )
    made = values(
        comfy,
        prompt,
        ours=("image", ["ours_images", 0]),
        core=("image", ["core_images", 0]),
        tiled=("image", ["tiled", 0]),
    )
    assert made["ours"].shape == (13, 64, 64, 3) and made["ours"].std() > 0.05
    assert float((made["ours"] - made["core"]).abs().max()) < VAE_TOLERANCE
    assert float((made["ours"] - made["tiled"]).abs().max()) < 1e-5


def test_vae_encode_equals_cores(comfy: ComfyServer) -> None:
    """Nine frames of a size off the grid, which both cut around the middle; decoded again to compare pictures."""
    prompt = {**codecs(), "photo": node("LoadImage", image="picture.png")}
    prompt["small"] = node(
        "ImageScale", image=["photo", 0], upscale_method="bilinear", width=70, height=52, crop="disabled"
    )
    prompt["clip"] = node("RepeatImageBatch", image=["small", 0], amount=9)
    for name in ("ours", "core"):
        prompt[f"{name}_z"] = node("VAEEncode", pixels=["clip", 0], vae=[name, 0])
        prompt[f"save_{name}"] = node("SaveLatent", samples=[f"{name}_z", 0], filename_prefix=f"vae/{name}")
    prompt["tiled_z"] = node(
        "VAEEncodeTiled",
        pixels=["clip", 0],
        vae=["ours", 0],
        tile_size=64,
        overlap=0,
        temporal_size=64,
        temporal_overlap=8,
    )
    prompt["save_tiled"] = node("SaveLatent", samples=["tiled_z", 0], filename_prefix="vae/tiled")
    outputs = comfy.run(prompt)["outputs"]
    made: dict[str, Tensor] = {}
    for name in ("ours", "core", "tiled"):
        entry = outputs[f"save_{name}"]["latents"][0]
        made[name] = load_file(comfy.base / "output" / entry["subfolder"] / entry["filename"])[
            "latent_tensor"
        ]
    assert made["ours"].shape == (1, 16, 3, 6, 8) and made["ours"].std() > 0.05
    assert float((made["ours"] - made["core"]).abs().max()) < VAE_TOLERANCE
    assert float((made["ours"] - made["tiled"]).abs().max()) < 1e-5


def test_ti2v_begins_with_the_picture_that_its_codec_encodes(comfy: ComfyServer) -> None:
    prompt: Prompt = {
        "vae": node(OURS, vae_name="tiny_vae22.safetensors"),
        "model": node("WanR2V_LoadWanModel", unet_name="tiny_ti2v.safetensors", weight_dtype="default"),
        "clip": node("WanR2V_LoadWanText", clip_name="tiny_umt5.safetensors", weight_dtype="float32"),
        "positive": node("CLIPTextEncode", clip=["clip", 0], text="a cat sits on the beach"),
        "negative": node("CLIPTextEncode", clip=["clip", 0], text=""),
        "photo": node("LoadImage", image="picture.png"),
    }
    size = {"width": 64, "height": 64, "length": 9, "batch_size": 1}
    prompt["latent"] = node("Wan22ImageToVideoLatent", vae=["vae", 0], start_image=["photo", 0], **size)
    prompt["samples"] = node(
        "KSampler",
        model=["model", 0],
        positive=["positive", 0],
        negative=["negative", 0],
        latent_image=["latent", 0],
        seed=3,
        steps=2,
        cfg=3.0,
        sampler_name="euler",
        scheduler="simple",
        denoise=1.0,
    )
    for name, source in (("made", "samples"), ("given", "latent")):
        prompt[name] = node("VAEDecode", samples=[source, 0], vae=["vae", 0])
    result = values(comfy, prompt, made=("image", ["made", 0]), given=("image", ["given", 0]))
    made, given = result["made"], result["given"]
    assert made.shape == (9, 64, 64, 3)
    assert float((made[0] - given[0]).abs().max()) < 1e-4 < float((made[-1] - given[-1]).abs().max())


def test_text_is_the_engines(comfy: ComfyServer) -> None:
    """CLIP Text Encode gives what the engine gives; the LoRA loader that takes a CLIP hands on an unchanged one."""
    from wan_core import load_text_encoder

    prompt: Prompt = {
        "clip": node("WanR2V_LoadWanText", clip_name="tiny_umt5.safetensors", weight_dtype="float32"),
        "model": node("WanR2V_LoadWanModel", unet_name="tiny_t2v.safetensors", weight_dtype="default"),
    }
    prompt["lora"] = node(
        "LoraLoader",
        model=["model", 0],
        clip=["clip", 0],
        lora_name="wan.safetensors",
        strength_model=1.0,
        strength_clip=1.0,
    )
    text = "a cat,  sits on the beach"
    prompt["plain"] = node("CLIPTextEncode", clip=["clip", 0], text=text)
    prompt["after"] = node("CLIPTextEncode", clip=["lora", 1], text=text)
    made = values(comfy, prompt, plain=("text", ["plain", 0]), after=("text", ["after", 0]))
    encoder = load_text_encoder(comfy.base / "models" / "text_encoders" / "tiny_umt5.safetensors")
    expected = encoder.encode([text])
    assert made["plain"].shape == (1, 512, 4096) and float(made["plain"][:, 20:].abs().max()) == 0
    torch.testing.assert_close(made["plain"], expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(made["plain"], made["after"])
