"""Between ComfyUI's tensors and the engine's: axes, ranges, devices."""

from __future__ import annotations

from typing import Any

import torch

from ..wan_core.errors import InputError
from ..wan_core.types import AudioClip, AVLatents
from . import host


def photos_from_image(image: torch.Tensor) -> list[torch.Tensor]:
    """IMAGE (N, H, W, 3 or 4) in [0, 1] -> N photos (H, W, 3) uint8 on the CPU."""
    pixels = (image[..., :3].detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return list(pixels)


def image_from_video(video: torch.Tensor) -> torch.Tensor:
    """Video (B, 3, F, H, W) in [-1, 1] -> IMAGE (B * F, H, W, 3) in [0, 1]."""
    frames = video.permute(0, 2, 3, 4, 1).flatten(0, 1)
    return host.intermediate((frames.float() / 2 + 0.5).clamp(0, 1))


def video_from_image(image: torch.Tensor) -> torch.Tensor:
    """IMAGE (F, H, W, 3 or 4) in [0, 1] -> video (1, 3, F, H, W) in [-1, 1]."""
    return image[..., :3].permute(3, 0, 1, 2)[None].float() * 2 - 1


def clip_from_audio(audio: dict[str, Any] | None, what: str) -> AudioClip:
    """AUDIO -> `AudioClip` of its first item.

    Raises: InputError: there is no sound (a video without a track gives None).
    """
    if audio is None:
        raise InputError(f"{what}: expected a sound, got none. Connect a file that has an audio track.")
    return AudioClip(audio["waveform"][0].detach().cpu().float(), int(audio["sample_rate"]))


def audio_from_clip(clip: AudioClip) -> dict[str, Any]:
    """`AudioClip` -> AUDIO."""
    return {"waveform": host.intermediate(clip.waveform)[None], "sample_rate": clip.sample_rate}


def latent_from(latents: AVLatents, given_frames: int = 0) -> dict[str, Any]:
    """Latents -> LATENT; the first `given_frames` latent frames of the picture are masked, so that they stay."""
    latent: dict[str, Any] = {"samples": host.nest(latents)}
    if given_frames:
        batch, _, frames, height, width = latents.video.shape
        mask = torch.ones(batch, 1, frames, height, width)
        mask[:, :, :given_frames] = 0.0
        sound = None if latents.audio is None else torch.ones(batch, 1, latents.audio.shape[-1])
        latent["noise_mask"] = host.nest(AVLatents(mask, sound))
    return latent


def latents_of(latent: dict[str, Any]) -> AVLatents:
    """LATENT -> latents."""
    return host.unnest(latent["samples"])


def both_of(latent: dict[str, Any], remedy: str) -> tuple[torch.Tensor, torch.Tensor]:
    """LATENT -> latents of picture and of sound.

    Raises: InputError: there is no sound; the remedy ends the text.
    """
    latents = latents_of(latent)
    if latents.audio is None:
        raise InputError(f"latent: expected picture and sound, got the picture alone. {remedy}")
    return latents.video, latents.audio


def given_frames_of(latent: dict[str, Any]) -> torch.Tensor | None:
    """The leading latent frames of a LATENT that its mask keeps, (B, C, K, H, W), or None."""
    if "noise_mask" not in latent:
        return None
    is_free = host.unnest(latent["noise_mask"]).video.amax(dim=(0, 1, 3, 4)) > 0
    count = int(is_free.int().argmax()) if bool(is_free.any()) else len(is_free)
    return latents_of(latent).video[:, :, :count] if count else None
