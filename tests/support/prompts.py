"""Prompts in API format that the ComfyUI tests run, built from a few shared parts."""

from __future__ import annotations

from typing import Any

TEXT = 'waves at the beach and says "hello everyone"'
Prompt = dict[str, dict[str, Any]]


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    """One node; links are [id, slot]."""
    return {"class_type": kind, "inputs": inputs}


def model_and_text(weights: str = "random") -> Prompt:
    """Model, prompt, empty prompt and empty latents."""
    return {
        "model": node("WanR2V_LoadDiT", weights=weights),
        "prompt": node("WanR2V_EncodePrompt", clip=["model", 1], prompt=TEXT),
        "nothing": node("WanR2V_EncodePrompt", clip=["model", 1], prompt=""),
        "latent": node("WanR2V_EmptyLatent", vae=["model", 2], audio_vae=["model", 3]),
    }


def character(strength: float = 1.0, voice: str = "voice.wav", face: str = "whole") -> Prompt:
    """A character from the test files, applied to `prompt`."""
    return {
        "photo": node("LoadImage", image="picture.png"),
        "sound": node("LoadAudio", audio=voice),
        "identity": node("WanR2V_EncodeIdentity", encoders=["model", 4], image=["photo", 0], face=face),
        "voice": node("WanR2V_EncodeVoice", encoders=["model", 4], audio=["sound", 0]),
        "character": node(
            "WanR2V_Character",
            name="character1",
            consent="fictional",
            identity=["identity", 0],
            voice=["voice", 0],
        ),
        "applied": node(
            "WanR2V_ApplyCharacters",
            model=["model", 0],
            positive=["prompt", 0],
            character=["character", 0],
            identity_strength=strength,
            voice_strength=strength,
        ),
    }


def sampler(steps: int = 2, seed: int = 7, *, with_character: bool = False, **changes: Any) -> Prompt:
    """The pack's own sampler."""
    inputs = {
        "model": ["applied", 0] if with_character else ["model", 0],
        "positive": ["applied", 1] if with_character else ["prompt", 0],
        "negative": ["nothing", 0],
        "latent": ["latent", 0],
        "seed": seed,
        "steps": steps,
        "shift": 1.5,
        "audio_lead": 1,
        "text_scale": 2.0,
        "identity_scale": 1.5,
        "audio_text_scale": 1.6,
        "voice_scale": 1.2,
        "preview": False,
    }
    return {"samples": node("WanR2V_Sampler", **{**inputs, **changes})}


def core_sampler(guider: dict[str, Any], steps: int = 2, seed: int = 7) -> Prompt:
    """Core's SamplerCustomAdvanced with a guider."""
    return {
        "guider": guider,
        "noise": node("RandomNoise", noise_seed=seed),
        "solver": node("KSamplerSelect", sampler_name="euler"),
        "sigmas": node("BasicScheduler", model=["model", 0], scheduler="simple", steps=steps, denoise=1.0),
        "samples": node(
            "SamplerCustomAdvanced",
            noise=["noise", 0],
            guider=["guider", 0],
            sampler=["solver", 0],
            sigmas=["sigmas", 0],
            latent_image=["latent", 0],
        ),
    }


def save(prefix: str) -> Prompt:
    """Decode `samples`; keep the frames as PNG and the sound as FLAC, both without loss."""
    return {
        "clip": node("WanR2V_Decode", latent=["samples", 0], vae=["model", 2], audio_vae=["model", 3]),
        "frames": node("SaveImage", images=["clip", 0], filename_prefix=prefix),
        "track": node("SaveAudio", audio=["clip", 1], filename_prefix=prefix),
    }
