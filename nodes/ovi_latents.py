"""Latents of picture and sound for Ovi and DreamID-Omni, and back to frames and samples."""

from __future__ import annotations

from typing import Any

import torch

from ..wan_core.errors import InputError
from ..wan_core.pipelines.ovi_family import AUDIO_CHANNELS, FPS, GRID, LATENT_CHANNELS, STRIDE
from ..wan_core.pipelines.ovi_generate import fit_sound
from ..wan_core.types import AudioClip, AVLatents
from . import host
from .convert import audio_from_clip, both_of, latent_from
from .host import io
from .latents import clip_outputs
from .parts import HostAudioCodec
from .wan_vae import HostWanVAE


class OviLatent(io.ComfyNode):
    """Nothing yet, in the right size; or a first frame that is kept."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_OviLatent",
            display_name="Empty Ovi Latent (Wan R2V)",
            category="Wan R2V/Ovi",
            description="Picture and sound of a size and length. With a first frame Ovi's clip begins with it.",
            inputs=[
                io.Model.Input("model", tooltip="Model, from Load Ovi."),
                io.Int.Input("width", default=1280, min=GRID, max=4096, step=GRID, tooltip="Pixels."),
                io.Int.Input("height", default=704, min=GRID, max=4096, step=GRID, tooltip="Pixels."),
                io.Int.Input(
                    "length",
                    default=121,
                    min=5,
                    max=961,
                    step=4,
                    tooltip="Frames, 24 a second: 121 for 5 s, 241 for the model of 10 s.",
                ),
                io.Vae.Input("vae", optional=True, tooltip="Wan 2.2 codec; only a first frame needs it."),
                io.Image.Input(
                    "first_frame",
                    optional=True,
                    tooltip="Picture that the clip begins with (Ovi); it is stretched.",
                ),
            ],
            outputs=[io.Latent.Output(display_name="latent")],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        width: int,
        height: int,
        length: int,
        vae: HostWanVAE | None = None,
        first_frame: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        """Make the latents."""
        family = host.ovi_family(model)
        frames = 4 * ((length - 1) // 4) + 1
        video = torch.zeros(1, LATENT_CHANNELS, (frames - 1) // 4 + 1, height // STRIDE, width // STRIDE)
        latents = AVLatents(video, torch.zeros(1, AUDIO_CHANNELS, family.sound_latents(frames)))
        if first_frame is None:
            return io.NodeOutput(latent_from(latents))
        if family.takes_references or vae is None:
            got = "no codec" if vae is None else f"one for {family.name}"
            raise InputError(
                f"first_frame: expected one for Ovi, with its VAE, got {got}. Leave it out or connect vae."
            )
        pixels = first_frame[:1, ..., :3].movedim(-1, 1)
        pixels = torch.nn.functional.interpolate(pixels, (height, width), mode="bicubic").clamp(0, 1)
        video[:, :, :1] = host.normalised_latents(vae.encode(pixels.movedim(1, -1)))
        return io.NodeOutput(latent_from(latents, 1))


class OviDecode(io.ComfyNode):
    """Latents to pictures and sound."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_OviDecode",
            display_name="Decode Ovi (Wan R2V)",
            category="Wan R2V/Ovi",
            description="Turns latents of Ovi or DreamID-Omni into frames and sound of equal length, for Create Video.",
            inputs=[
                io.Latent.Input("latent", tooltip="From Sampler Ovi or any of core's samplers."),
                io.Vae.Input("vae", tooltip="Wan 2.2 codec, from Load Wan VAE (Wan R2V)."),
                io.Vae.Input("audio_vae", tooltip="Sound codec, from Load MMAudio Codec."),
            ],
            outputs=clip_outputs(),
        )

    @classmethod
    def execute(cls, latent: dict[str, Any], vae: HostWanVAE, audio_vae: HostAudioCodec) -> io.NodeOutput:
        """Decode both."""
        video, audio = both_of(latent, "Use core's VAE Decode for it.")
        images = vae.decode(host.raw_latents(video))[0]
        waveform = audio_vae.decode(audio)[0, :, 0]
        clip = fit_sound(AudioClip(waveform[None], audio_vae.audio_sample_rate), images.shape[0])
        return io.NodeOutput(images, audio_from_clip(clip), float(FPS))
