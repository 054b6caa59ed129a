"""Running a Wan MODEL in a real ComfyUI: previews, interruption, core's loader in its place, bad input."""

from __future__ import annotations

import pickle
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from comfy_server import ComfyServer, failure_of
from comfy_socket import ComfySocket
from packed_files import write_gguf
from prompts import Prompt, node
from safetensors.torch import save_file
from tiny_wan import FAMILIES, random_state

pytestmark = pytest.mark.comfy


def sampling(family: str = "t2v", **changes: Any) -> Prompt:
    """Our MODEL of a family in core's KSampler, without conditions of an image."""
    channels = FAMILIES[family].out_channels
    inputs = {
        "model": ["model", 0], "positive": ["text", 0], "negative": ["text", 0], "latent_image": ["latent", 0],
        "seed": 1, "steps": 3, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0,
    }  # fmt: skip
    return {
        "model": load_model(f"tiny_{family}.safetensors"),
        "text": node("KitText", seed=1, length=5, rows=40),
        "latent": node("KitLatent", seed=2, channels=channels, frames=2, size=8, given=0),
        "samples": node("KSampler", **{**inputs, **changes}),
        "save": node("SaveLatent", samples=["samples", 0], filename_prefix="bad/wan"),
    }


def load_model(name: str) -> dict[str, Any]:
    return node("WanR2V_LoadWanModel", unet_name=name, weight_dtype="default")


def fail(comfy: ComfyServer, prompt: Prompt) -> str:
    """The one line that a prompt fails with."""
    entry = comfy.wait(comfy.queue(prompt))
    assert entry["status"]["status_str"] == "error"
    message = failure_of(entry)
    assert "\n" not in message.strip() and "expected" in message and "got" in message
    return message


def models(comfy: ComfyServer, folder: str = "diffusion_models") -> Path:
    return comfy.base / "models" / folder


def test_previews_and_progress_of_core(comfy: ComfyServer) -> None:
    """Three steps: three progress messages, and with core's latent2rgb method a JPEG with each."""
    values, pictures = [], 0
    with ComfySocket(comfy.port, "wan-watcher") as stream:
        body = {
            "prompt": sampling(seed=11),
            "client_id": "wan-watcher",
            "extra_data": {"preview_method": "latent2rgb"},
        }
        assert "prompt_id" in comfy.post("/prompt", body)
        while True:
            message = stream.read()
            if isinstance(message, bytes):
                pictures += b"\xff\xd8\xff" in message[:400]
            elif message["type"] == "progress":
                values.append((message["data"]["value"], message["data"]["max"]))
            elif message["type"] in ("execution_success", "execution_error", "execution_interrupted"):
                assert message["type"] == "execution_success"
                break
    assert [value for value in values if value[1] == 3] == [(1, 3), (2, 3), (3, 3)]
    assert pictures == 3


def test_interrupt_ends_the_run_and_the_next_one_works(comfy: ComfyServer) -> None:
    prompt = sampling(steps=1000, seed=12)
    prompt_id = comfy.queue(prompt)
    deadline = time.monotonic() + 60
    while not comfy.get("/queue")["queue_running"] and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    comfy.post("/interrupt", {})
    entry = comfy.wait(prompt_id, 60)
    assert "execution_interrupted" in failure_of(entry)
    comfy.run(sampling(seed=13))


def test_cores_loader_takes_the_place_of_ours(comfy: ComfyServer) -> None:
    """The same saved prompt with the node's class exchanged, nothing else."""
    prompt = sampling(seed=14)
    comfy.run(prompt)
    prompt["model"]["class_type"] = "UNETLoader"
    comfy.run(prompt)


def test_gguf_file_is_listed_and_samples_near_the_whole_weights(comfy: ComfyServer) -> None:
    write_gguf(models(comfy) / "tiny_t2v_q8.gguf", random_state(FAMILIES["t2v"], 0), "Q8_0")
    prompt = sampling(seed=15)
    prompt["packed"] = load_model("tiny_t2v_q8.gguf")
    prompt["packed_samples"] = node("KSampler", **{**prompt["samples"]["inputs"], "model": ["packed", 0]})
    prompt["save_packed"] = node("SaveLatent", samples=["packed_samples", 0], filename_prefix="packed")
    outputs = comfy.run(prompt)["outputs"]
    from safetensors.torch import load_file

    whole, packed = (
        load_file(comfy.base / "output" / entry["subfolder"] / entry["filename"])["latent_tensor"]
        for entry in (outputs[name]["latents"][0] for name in ("save", "save_packed"))
    )
    assert 0 < float((whole - packed).norm() / whole.norm()) < 0.02


def test_image_model_without_clip_embeddings(comfy: ComfyServer) -> None:
    message = fail(comfy, sampling("i2v"))
    assert (
        "clip_vision_output: expected CLIP embeddings" in message and "connect CLIP Vision Encode" in message
    )


def test_patches_of_inner_layers_are_refused(comfy: ComfyServer) -> None:
    prompt = sampling(cfg=3.0)
    prompt["skip"] = node(
        "SkipLayerGuidanceDiT", model=["model", 0], double_layers="1", single_layers="", scale=3.0,
        start_percent=0.0, end_percent=1.0, rescaling_scale=0.0,
    )  # fmt: skip
    prompt["samples"]["inputs"]["model"] = ["skip", 0]
    message = fail(comfy, prompt)
    assert "expected no patches" in message and "Load Diffusion Model" in message


def test_latents_of_another_model(comfy: ComfyServer) -> None:
    prompt = sampling("t2v")
    prompt["latent"]["inputs"]["channels"] = 48
    message = fail(comfy, prompt)
    assert "latents: expected 16 channels, got 48" in message


def test_truncated_file(comfy: ComfyServer) -> None:
    whole = (models(comfy) / "tiny_t2v.safetensors").read_bytes()
    (models(comfy) / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    message = fail(comfy, {**sampling(), "model": load_model("cut.safetensors")})
    assert "WanR2V_LoadWanModel" in message and "damaged or incomplete" in message


def test_pickled_file_runs_no_code(comfy: ComfyServer) -> None:
    """A .pth whose pickle would create a file when it is read carelessly."""
    trap = comfy.base / "output" / "trapped"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (trap,)

    torch.save({"weight": Trap()}, models(comfy) / "trap.pth", pickle_module=pickle)
    message = fail(comfy, {**sampling(), "model": load_model("trap.pth")})
    assert "WanR2V_LoadWanModel" in message and not trap.exists()


def test_damaged_gguf(comfy: ComfyServer) -> None:
    path = models(comfy) / "damaged.gguf"
    write_gguf(path, random_state(FAMILIES["t2v"], 0), "Q8_0")
    path.write_bytes(path.read_bytes()[:2000])
    message = fail(comfy, {**sampling(), "model": load_model("damaged.gguf")})
    assert "WanR2V_LoadWanModel" in message and "damaged" in message


@pytest.mark.parametrize(
    ("folder", "source", "loader", "field"),
    [
        ("diffusion_models", "vae/tiny_vae.safetensors", "WanR2V_LoadWanModel", "unet_name"),
        ("vae", "diffusion_models/tiny_t2v.safetensors", "WanR2V_LoadWanVAE", "vae_name"),
        ("text_encoders", "diffusion_models/tiny_t2v.safetensors", "WanR2V_LoadWanText", "clip_name"),
        ("diffusion_models", "wan_r2v/random/dit.safetensors", "WanR2V_LoadWanModel", "unet_name"),
        ("vae", "wan_r2v/random/vae.safetensors", "WanR2V_LoadWanVAE", "vae_name"),
        ("text_encoders", "wan_r2v/random/text.safetensors", "WanR2V_LoadWanText", "clip_name"),
    ],
)
def test_file_of_another_part(comfy: ComfyServer, folder: str, source: str, loader: str, field: str) -> None:
    name = f"wrong_{Path(source).parent.name}_{Path(source).name}"
    (models(comfy, folder) / name).write_bytes((comfy.base / "models" / source).read_bytes())
    more = (
        {"weight_dtype": "default" if folder == "diffusion_models" else "bfloat16"} if folder != "vae" else {}
    )
    prompt: Prompt = {"load": node(loader, **{field: name}, **more)}
    if folder == "vae":
        prompt["z"] = node("KitLatent", seed=2, channels=16, frames=1, size=8, given=0)
        prompt["use"] = node("VAEDecode", samples=["z", 0], vae=["load", 0])
        prompt["save"] = node("KitSave", name="wrong", image=["use", 0])
    elif folder == "text_encoders":
        prompt["use"] = node("CLIPTextEncode", clip=["load", 0], text="a cat")
        prompt["save"] = node("KitSave", name="wrong", text=["use", 0])
    else:
        prompt = {**sampling(), "model": prompt["load"]}
    assert loader in fail(comfy, prompt)


def test_clip_of_a_length_that_the_codec_has_not(comfy: ComfyServer) -> None:
    prompt: Prompt = {
        "vae": node("WanR2V_LoadWanVAE", vae_name="tiny_vae.safetensors"),
        "photo": node("LoadImage", image="picture.png"),
        "clip": node("RepeatImageBatch", image=["photo", 0], amount=6),
        "z": node("VAEEncode", pixels=["clip", 0], vae=["vae", 0]),
        "save": node("SaveLatent", samples=["z", 0], filename_prefix="bad/length"),
    }
    message = fail(comfy, prompt)
    assert "4k+1" in message and "Drop or repeat frames" in message


def test_lora_of_another_model_changes_nothing(comfy: ComfyServer) -> None:
    """Core's LoRA loader reports keys that fit nothing in its log; the MODEL stays as it was."""
    save_file(
        {"diffusion_model.blocks.99.ffn.0.lora_A.weight": torch.ones(1, 1)},
        models(comfy, "loras") / "alien.safetensors",
    )
    prompt = sampling(seed=16)
    prompt["lora"] = node(
        "LoraLoaderModelOnly", model=["model", 0], lora_name="alien.safetensors", strength_model=1.0
    )
    prompt["samples"]["inputs"]["model"] = ["lora", 0]
    comfy.run(prompt)
    assert "lora key not loaded: diffusion_model.blocks.99.ffn.0.lora_A.weight" in comfy.log()
