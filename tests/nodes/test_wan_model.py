"""Our MODEL of published Wan weights against ComfyUI's own, with the same weights and seed, on a real server."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from comfy_server import ComfyServer
from packed_files import write_comfy_quant, write_scaled_fp8
from prompts import Prompt, node
from safetensors.torch import load_file
from tiny_wan import FAMILIES, random_state
from torch import Tensor

pytestmark = pytest.mark.comfy

OURS, CORE = "WanR2V_LoadWanModel", "UNETLoader"
TOLERANCE = 1e-4


def loader(kind: str, family: str, dtype: str = "default") -> dict[str, Any]:
    """A loader; both have the same inputs."""
    return node(kind, unet_name=f"tiny_{family}.safetensors", weight_dtype=dtype)


def conditions(family: str) -> Prompt:
    """`positive`, `negative` and `latent` as core's own nodes make them for a family."""
    prompt: Prompt = {
        "prompt": node("KitText", seed=1, length=9, rows=64),
        "nothing": node("KitText", seed=2, length=3, rows=64),
    }
    size = {"width": 64, "height": 64, "length": 9, "batch_size": 1}
    if family in ("t2v", "ti2v"):
        prompt["positive"], prompt["negative"] = prompt.pop("prompt"), prompt.pop("nothing")
        channels, given = (16, 0) if family == "t2v" else (48, 1)
        prompt["latent"] = node("KitLatent", seed=3, channels=channels, frames=3, size=8, given=given)
        return prompt
    prompt["vae"] = node("VAELoader", vae_name="tiny_vae.safetensors")
    prompt["photo"] = node("LoadImage", image="picture.png")
    prompt["clip_start"], prompt["clip_end"] = node("KitClipVision", seed=4), node("KitClipVision", seed=5)
    common = {
        "positive": ["prompt", 0],
        "negative": ["nothing", 0],
        "vae": ["vae", 0],
        "start_image": ["photo", 0],
        **size,
    }
    if family == "flf2v":
        frames = {
            "end_image": ["photo", 0],
            "clip_vision_start_image": ["clip_start", 0],
            "clip_vision_end_image": ["clip_end", 0],
        }
        prompt["made"] = node("WanFirstLastFrameToVideo", **common, **frames)
    elif family == "i2v":
        prompt["made"] = node("WanImageToVideo", **common, clip_vision_output=["clip_start", 0])
    else:
        prompt["made"] = node("WanImageToVideo", **common)
    return prompt


def sampler(model: list[Any], made: bool, **changes: Any) -> dict[str, Any]:
    """Core's KSampler on `conditions`."""
    sources = [
        ["made", slot] if made else [name, 0] for slot, name in enumerate(("positive", "negative", "latent"))
    ]
    inputs = {
        "model": model, "positive": sources[0], "negative": sources[1], "latent_image": sources[2], "seed": 7,
        "steps": 3, "cfg": 4.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0,
    }  # fmt: skip
    return node("KSampler", **{**inputs, **changes})


def run(comfy: ComfyServer, prompt: Prompt, *results: str) -> list[Tensor]:
    """Run a prompt and read the latents of the nodes named in `results`."""
    for name in results:
        prompt[f"save_{name}"] = node("SaveLatent", samples=[name, 0], filename_prefix=f"wan/{name}")
    outputs = comfy.run(prompt)["outputs"]
    saved = [outputs[f"save_{name}"]["latents"][0] for name in results]
    return [
        load_file(comfy.base / "output" / entry["subfolder"] / entry["filename"])["latent_tensor"]
        for entry in saved
    ]


def both(comfy: ComfyServer, family: str, patch: Any = None, **changes: Any) -> tuple[Tensor, Tensor]:
    """Latents from our MODEL and from core's; `patch`: loader's link -> a node between loader and sampler."""
    prompt = conditions(family)
    for name, kind in (("ours", OURS), ("core", CORE)):
        prompt[f"load_{name}"] = loader(kind, family)
        model = [f"load_{name}", 0]
        if patch is not None:
            prompt[f"patch_{name}"] = patch(model)
            model = [f"patch_{name}", 0]
        prompt[name] = sampler(model, "made" in prompt, **changes)
    ours, core = run(comfy, prompt, "ours", "core")
    return ours, core


def difference(first: Tensor, second: Tensor) -> float:
    assert first.shape == second.shape and first.isfinite().all() and first.std() > 0.5
    return float((first - second).abs().max())


@pytest.mark.parametrize("family", ["t2v", "i2v", "flf2v", "i2v_a14b", "ti2v"])
def test_same_latents_as_core(comfy: ComfyServer, family: str) -> None:
    ours, core = both(comfy, family)
    assert difference(ours, core) < TOLERANCE


@pytest.mark.parametrize("name", ["uni_pc", "dpmpp_2m"])
def test_same_latents_with_other_solvers(comfy: ComfyServer, name: str) -> None:
    ours, core = both(comfy, "t2v", sampler_name=name, scheduler="beta", steps=4)
    assert difference(ours, core) < TOLERANCE


def test_first_frame_of_ti2v_is_kept(comfy: ComfyServer) -> None:
    prompt = {**conditions("ti2v"), "load": loader(OURS, "ti2v")}
    prompt["made_latents"] = sampler(["load", 0], made=False)
    made, given = run(comfy, prompt, "made_latents", "latent")
    assert difference(made[:, :, :1], given[:, :, :1]) < 1e-5 < difference(made[:, :, 1:], given[:, :, 1:])


def test_lora_changes_the_latents_as_in_core(comfy: ComfyServer) -> None:
    def lora(strength: float) -> Any:
        return lambda model: node(
            "LoraLoaderModelOnly", model=model, lora_name="wan.safetensors", strength_model=strength
        )

    plain, _ = both(comfy, "t2v")
    ours, core = both(comfy, "t2v", lora(0.8))
    assert difference(ours, core) < TOLERANCE and difference(ours, plain) > 0.1
    off, _ = both(comfy, "t2v", lora(0.0))
    assert torch.equal(off, plain)


def test_shift_is_that_of_the_model_sampling_node(comfy: ComfyServer) -> None:
    def shift(value: float) -> Any:
        return lambda model: node("ModelSamplingSD3", model=model, shift=value)

    plain, _ = both(comfy, "t2v")
    ours, core = both(comfy, "t2v", shift(3.0))
    assert difference(ours, core) < TOLERANCE and difference(ours, plain) > 0.01
    same, _ = both(comfy, "t2v", shift(8.0))
    assert torch.equal(same, plain)


@pytest.mark.parametrize("family", ["t2v", "i2v_a14b"])
def test_two_experts_one_after_the_other(comfy: ComfyServer, family: str) -> None:
    prompt = conditions(family)
    for name, kind in (("ours", OURS), ("core", CORE)):
        prompt[f"{name}_high"], prompt[f"{name}_low"] = loader(kind, family), loader(kind, f"{family}_low")
        base = sampler([f"{name}_high", 0], "made" in prompt)["inputs"]
        steps = {key: base[key] for key in base if key not in ("seed", "denoise")}
        steps |= {"noise_seed": 7, "steps": 4, "start_at_step": 0, "end_at_step": 2, "add_noise": "enable"}
        steps["return_with_leftover_noise"] = "enable"
        prompt[f"{name}_first"] = node("KSamplerAdvanced", **steps)
        steps |= {"model": [f"{name}_low", 0], "latent_image": [f"{name}_first", 0], "start_at_step": 2}
        steps |= {"end_at_step": 1000, "add_noise": "disable", "return_with_leftover_noise": "disable"}
        prompt[name] = node("KSamplerAdvanced", **steps)
    ours, core, first = run(comfy, prompt, "ours", "core", "ours_first")
    assert difference(ours, core) < TOLERANCE and difference(ours, first) > 0.1


def test_custom_sampler_with_a_batch(comfy: ComfyServer) -> None:
    prompt = conditions("t2v")
    prompt["two"] = node("RepeatLatentBatch", samples=["latent", 0], amount=2)
    for name, kind in (("ours", OURS), ("core", CORE)):
        prompt[f"load_{name}"] = loader(kind, "t2v")
        prompt[f"guider_{name}"] = node(
            "CFGGuider",
            model=[f"load_{name}", 0],
            positive=["positive", 0],
            negative=["negative", 0],
            cfg=3.0,
        )
        prompt[f"sigmas_{name}"] = node(
            "BasicScheduler", model=[f"load_{name}", 0], scheduler="simple", steps=3, denoise=1.0
        )
        prompt["solver"], prompt["noise"] = (
            node("KSamplerSelect", sampler_name="euler"),
            node("RandomNoise", noise_seed=5),
        )
        links = {"noise": ["noise", 0], "sampler": ["solver", 0], "latent_image": ["two", 0]}
        own = {"guider": [f"guider_{name}", 0], "sigmas": [f"sigmas_{name}", 0]}
        prompt[name] = node("SamplerCustomAdvanced", **links, **own)
    ours, core = run(comfy, prompt, "ours", "core")
    assert ours.shape[0] == 2 and difference(ours, core) < TOLERANCE and difference(ours[:1], ours[1:]) > 0.1


@pytest.mark.parametrize("dtype", ["fp8_e4m3fn", "fp8_e5m2"])
def test_fp8_stays_near_the_whole_weights(comfy: ComfyServer, dtype: str) -> None:
    """Weights of the blocks in 8 bits; core rounds every tensor, so it is no reference."""
    prompt = {**conditions("t2v"), "load": loader(OURS, "t2v", dtype), "whole": loader(OURS, "t2v")}
    prompt["packed"], prompt["plain"] = sampler(["load", 0], made=False), sampler(["whole", 0], made=False)
    packed, plain = run(comfy, prompt, "packed", "plain")
    assert 0 < float((packed - plain).norm() / plain.norm()) < 0.3


@pytest.mark.parametrize("kind", ["WanPhantomSubjectToVideo", "BerniniConditioning"])
def test_references_that_core_puts_beside_the_latents(comfy: ComfyServer, kind: str) -> None:
    """Clean latents after the noisy ones in time, and streams of their own, reach the transformer as in core."""
    if kind not in comfy.get("/object_info"):
        pytest.skip(f"this ComfyUI has no {kind}")
    prompt = {**conditions("t2v"), "photo": node("LoadImage", image="picture.png")}
    prompt["vae"] = node("VAELoader", vae_name="tiny_vae.safetensors")
    images = {"images": ["photo", 0]}
    if kind == "BerniniConditioning":
        images = {"source_video": ["photo", 0], "reference_video": ["photo", 0], "ref_max_size": 48}
    size = {"width": 64, "height": 64, "length": 9, "batch_size": 1}
    links = {"positive": ["positive", 0], "negative": ["negative", 0], "vae": ["vae", 0]}
    prompt["references"] = node(kind, **links, **size, **images)
    for name, loader_kind in (("ours", OURS), ("core", CORE)):
        prompt[f"load_{name}"] = loader(loader_kind, "t2v")
        own = {"positive": ["references", 0], "negative": ["references", 1]}
        prompt[name] = sampler([f"load_{name}", 0], made=False, **own)
    prompt["plain"] = sampler(["load_ours", 0], made=False)
    ours, core, plain = run(comfy, prompt, "ours", "core", "plain")
    assert difference(ours, core) < TOLERANCE and difference(ours, plain) > 0.01


def test_lora_hook_on_one_of_the_conditions(comfy: ComfyServer) -> None:
    """Weights change during the run, so keys and values of that prompt must not be those of the plain weights."""
    prompt = conditions("t2v")
    prompt["hook"] = node(
        "CreateHookLora", lora_name="wan.safetensors", strength_model=1.0, strength_clip=0.0
    )
    prompt["hooked"] = node(
        "ConditioningSetProperties",
        cond_NEW=["positive", 0],
        strength=1.0,
        set_cond_area="default",
        hooks=["hook", 0],
    )
    for name, kind in (("ours", OURS), ("core", CORE)):
        prompt[f"load_{name}"] = loader(kind, "t2v")
        prompt[name] = sampler([f"load_{name}", 0], made=False, positive=["hooked", 0])
    prompt["plain"] = sampler(["load_ours", 0], made=False)
    ours, core, plain = run(comfy, prompt, "ours", "core", "plain")
    assert difference(ours, core) < TOLERANCE and difference(ours, plain) > 0.01


@pytest.mark.parametrize("layout", ["scaled", "comfy_quant"])
def test_scaled_fp8_files_give_cores_latents(comfy: ComfyServer, layout: str) -> None:
    """Both unpack the same numbers; ours adds a LoRA to them, core rounds the sum to 8 bits again."""
    path = comfy.base / "models" / "diffusion_models" / f"tiny_fp8_{layout}.safetensors"
    state = random_state(FAMILIES["t2v"], 0)
    if layout == "scaled":
        write_scaled_fp8(path, state, prefix="model.diffusion_model.")
    else:
        write_comfy_quant(path, state)
    prompt = conditions("t2v")
    for name, kind in (("ours", OURS), ("core", CORE)):
        prompt[f"load_{name}"] = loader(kind, f"fp8_{layout}")
        prompt[name] = sampler([f"load_{name}", 0], made=False)
        link = [f"load_{name}", 0]
        prompt[f"lora_{name}"] = node(
            "LoraLoaderModelOnly", model=link, lora_name="wan.safetensors", strength_model=1.0
        )
        prompt[f"{name}_lora"] = sampler([f"lora_{name}", 0], made=False)
    ours, core, ours_lora, core_lora = run(comfy, prompt, "ours", "core", "ours_lora", "core_lora")
    assert difference(ours, core) < TOLERANCE
    change = float((ours_lora - ours).norm())
    assert 0 < float((ours_lora - core_lora).norm()) < 0.3 * change
