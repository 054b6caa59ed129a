"""The pack's MODEL, VAE and CLIP in the pack's own sampler and in ComfyUI's, on a real server."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from comfy_server import ComfyServer, failure_of
from comfy_socket import ComfySocket
from numpy.typing import NDArray
from PIL import Image
from prompts import TEXT, Prompt, character, core_sampler, model_and_text, node, sampler, save

pytestmark = pytest.mark.comfy


def run(comfy: ComfyServer, prefix: str, *parts: Prompt) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Frames (F, H, W, 3) of a prompt, and its history entry."""
    prompt: Prompt = {}
    for part in (*parts, save(prefix)):
        prompt.update(part)
    entry = comfy.run(prompt)
    files = [comfy.base / "output" / image["filename"] for image in entry["outputs"]["frames"]["images"]]
    return np.stack([np.asarray(Image.open(file)) for file in files]), entry


def test_sampler_gives_picture_and_sound_of_equal_length(comfy: ComfyServer) -> None:
    frames, entry = run(comfy, "own", model_and_text(), sampler())
    assert frames.shape == (17, 64, 64, 3) and frames.std() > 1
    track = comfy.base / "output" / entry["outputs"]["track"]["audio"][0]["filename"]
    from wan_core.media.sound import read_sound

    assert read_sound(track).clip.waveform.shape[1] == 17 * 16000 // 8


def test_seed_decides(comfy: ComfyServer) -> None:
    first, _ = run(comfy, "seed_a", model_and_text(), sampler(seed=1))
    again, _ = run(comfy, "seed_b", model_and_text(), sampler(seed=1, shift=1.50))
    other, _ = run(comfy, "seed_c", model_and_text(), sampler(seed=2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_character_changes_the_clip_and_strength_0_does_not(comfy: ComfyServer) -> None:
    plain, _ = run(comfy, "plain", model_and_text(), sampler())
    with_character, _ = run(comfy, "with", model_and_text(), character(), sampler(with_character=True))
    switched_off, _ = run(comfy, "off", model_and_text(), character(0.0), sampler(with_character=True))
    assert not np.array_equal(plain, with_character)
    assert np.array_equal(plain, switched_off)


def test_shape_and_region_reach_core_samplers(comfy: ComfyServer) -> None:
    """The steps of the run are core's: a curve of zeros is the clip without the face, the right half another one."""

    def made(prefix: str, factor: float, **shape: Any) -> NDArray[np.uint8]:
        person = character(factor)
        person["applied"]["inputs"] |= {"voice_strength": 0.0, **{name: [name, 0] for name in shape}}
        guider = node(
            "CFGGuider", model=["applied", 0], positive=["applied", 1], negative=["nothing", 0], cfg=2.5
        )
        return run(comfy, prefix, model_and_text(), person, shape, core_sampler(guider))[0].astype(int)

    curves = {"preset": "slider", "likeness": 0.0, "scale": 1.0, "start": 1.0, "end": 0.0, "layers_curve": ""}
    zeros = node("WanR2V_IdentityStrength", steps_curve="0:0", **curves)
    half = {"left": 0.5, "top": 0.0, "right": 1.0, "bottom": 1.0, "start": 0.0, "end": 1.0}
    whole, off = made("face_whole", 1.0), made("face_off", 0.0)
    assert np.abs(made("face_zeros", 1.0, strength=zeros) - off).max() <= 1
    right = made("face_right", 1.0, region=node("WanR2V_IdentityRegion", **half))
    full = node("WanR2V_IdentityRegion", **{**half, "left": 0.0})
    assert np.abs(made("face_full", 1.0, region=full) - whole).max() <= 1
    assert np.abs(right - whole).max() > 1 and np.abs(right - off).max() > 1 and np.abs(whole - off).max() > 1


def test_core_sampler_with_the_packs_guider(comfy: ComfyServer) -> None:
    scales = {"text_scale": 2.0, "identity_scale": 1.5, "audio_text_scale": 1.6, "voice_scale": 1.2}
    guider = node(
        "WanR2V_Guider", model=["applied", 0], positive=["applied", 1], negative=["nothing", 0], **scales
    )
    frames, _ = run(comfy, "guider", model_and_text(), character(), core_sampler(guider))
    assert frames.shape == (17, 64, 64, 3) and frames.std() > 1


def test_chain_with_equal_scales_is_plain_guidance(comfy: ComfyServer) -> None:
    """With one scale for all, the chain collapses to what core's CFGGuider computes."""
    same = {"text_scale": 2.5, "identity_scale": 2.5, "audio_text_scale": 2.5, "voice_scale": 2.5}
    conditions = {"model": ["applied", 0], "positive": ["applied", 1], "negative": ["nothing", 0]}
    ours, _ = run(
        comfy,
        "chain",
        model_and_text(),
        character(),
        core_sampler(node("WanR2V_Guider", **conditions, **same)),
    )
    core, _ = run(
        comfy, "cfg", model_and_text(), character(), core_sampler(node("CFGGuider", **conditions, cfg=2.5))
    )
    assert np.abs(ours.astype(int) - core.astype(int)).max() <= 1


def test_core_nodes_take_clip_vae_and_audio_vae(comfy: ComfyServer) -> None:
    prompt = model_and_text()
    prompt["prompt"] = node("CLIPTextEncode", clip=["model", 1], text=TEXT)
    prompt["samples"] = node(
        "KSampler",
        model=["model", 0],
        positive=["prompt", 0],
        negative=["nothing", 0],
        latent_image=["latent", 0],
        seed=7,
        steps=2,
        cfg=2.0,
        sampler_name="uni_pc",
        scheduler="simple",
        denoise=1.0,
    )
    prompt["images"] = node("VAEDecode", samples=["samples", 0], vae=["model", 2])
    prompt["sound"] = node("VAEDecodeAudio", samples=["samples", 0], vae=["model", 3])
    prompt["again"] = node("VAEEncode", pixels=["images", 0], vae=["model", 2])
    prompt["twice"] = node("VAEDecode", samples=["again", 0], vae=["model", 2])
    prompt["sound_latents"] = node("VAEEncodeAudio", audio=["sound", 0], vae=["model", 3])
    prompt["sound_again"] = node("VAEDecodeAudio", samples=["sound_latents", 0], vae=["model", 3])
    prompt["frames"] = node("SaveImage", images=["twice", 0], filename_prefix="core")
    prompt["track"] = node("SaveAudio", audio=["sound_again", 0], filename_prefix="core")
    entry = comfy.run(prompt)
    assert len(entry["outputs"]["frames"]["images"]) == 17 and entry["outputs"]["track"]["audio"]


def test_lora_changes_the_clip_and_only_its_own(comfy: ComfyServer) -> None:
    """A LoRA at strength 1 acts in both samplers, at 0 not at all, and the model without it stays as it was."""

    def lora(strength: float) -> Prompt:
        loader = node(
            "LoraLoaderModelOnly", model=["model", 0], lora_name="random.safetensors", strength_model=strength
        )
        return {"lora": loader}

    plain, _ = run(comfy, "no_lora", model_and_text(), sampler(seed=21))
    strong, _ = run(comfy, "lora", model_and_text(), lora(1.0), sampler(seed=21, model=["lora", 0]))
    zero, _ = run(comfy, "lora_zero", model_and_text(), lora(0.0), sampler(seed=21, model=["lora", 0]))
    after, _ = run(comfy, "after_lora", model_and_text(), sampler(seed=21, preview=True))
    assert not np.array_equal(plain, strong)
    assert np.array_equal(plain, zero) and np.array_equal(plain, after)


def test_first_frame_is_kept(comfy: ComfyServer) -> None:
    """The clip begins with the picture as the codec draws it; a core sampler keeps it as well."""
    start: Prompt = {
        "photo": node("LoadImage", image="picture.png"),
        "latent": node(
            "WanR2V_EmptyLatent", vae=["model", 2], audio_vae=["model", 3], first_frame=["photo", 0]
        ),
    }
    own, _ = run(comfy, "i2v", model_and_text(), start, sampler())
    other, _ = run(comfy, "i2v_other", model_and_text(), start, sampler(seed=8))
    guider = node("CFGGuider", model=["model", 0], positive=["prompt", 0], negative=["nothing", 0], cfg=2.0)
    core, _ = run(comfy, "i2v_core", model_and_text(), start, core_sampler(guider))
    free, _ = run(comfy, "i2v_free", model_and_text(), sampler())
    assert np.array_equal(own[0], other[0]) and not np.array_equal(own[-1], other[-1])
    assert np.abs(own[0].astype(int) - core[0].astype(int)).max() <= 1
    assert not np.array_equal(own[0], free[0])


def test_progress_and_previews_arrive(comfy: ComfyServer) -> None:
    """Three steps and one of lead: four progress messages of the sampler, a JPEG with each but the lead's."""
    client = "watcher"
    prompt = {**model_and_text(), **sampler(steps=3, seed=50, preview=True), **save("watched")}
    values, pictures = [], 0
    with ComfySocket(comfy.port, client) as stream:
        comfy.queue(prompt, client)
        while True:
            message = stream.read()
            if isinstance(message, bytes):
                pictures += b"\xff\xd8\xff" in message[:200]
            elif message["type"] == "progress":
                values.append((message["data"]["value"], message["data"]["max"]))
            elif message["type"].startswith("execution_") and message["type"] not in (
                "execution_start",
                "execution_cached",
            ):
                assert message["type"] == "execution_success"
                break
    assert [value for value in values if value[1] == 4] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert pictures == 3


def test_interrupt_ends_the_run_and_leaves_no_file(comfy: ComfyServer) -> None:
    prompt = {**model_and_text(), **sampler(steps=1000), **save("interrupted")}
    prompt_id = comfy.queue(prompt)
    deadline = time.monotonic() + 60
    while not comfy.get("/queue")["queue_running"] and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    comfy.post("/interrupt", {})
    entry = comfy.wait(prompt_id, 60)
    assert entry["status"]["status_str"] == "error" and "execution_interrupted" in failure_of(entry)
    assert not list((comfy.base / "output").glob("interrupted*"))
    run(comfy, "after", model_and_text(), sampler(seed=99))
