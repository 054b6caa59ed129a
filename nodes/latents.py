"""Latents to start from, and back to picture and sound."""

from __future__ import annotations

from typing import Any

import torch

from ..wan_core.types import AudioClip
from .convert import audio_from_clip, both_of, latent_from, photos_from_image
from .host import io
from .parts import HostAudioCodec, HostVideoCodec, empty_latents, first_frame_latents


def clip_outputs() -> list[io.Output]:
    """Frames, sound and rate, as the Decode nodes give them."""
    return [
        io.Image.Output(display_name="images"),
        io.Audio.Output(display_name="audio"),
        io.Float.Output(display_name="fps", tooltip="Frames per second, for Create Video."),
    ]


class EmptyLatent(io.ComfyNode):
    """Nothing yet, in the right size; or a first frame that is kept."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_EmptyLatent",
            display_name="Empty Latent (Wan R2V)",
            category="Wan R2V",
            description="Picture and sound of the size and length that nano makes. With a first frame the clip begins "
            "with that picture.",
            inputs=[
                io.Vae.Input("vae", tooltip="Picture codec, from Load Wan R2V."),
                io.Vae.Input("audio_vae", tooltip="Sound codec, from Load Wan R2V."),
                io.Image.Input("first_frame", optional=True, tooltip="Picture that the clip begins with."),
            ],
            outputs=[io.Latent.Output(display_name="latent")],
        )

    @classmethod
    def execute(
        cls, vae: HostVideoCodec, audio_vae: HostAudioCodec, first_frame: torch.Tensor | None = None
    ) -> io.NodeOutput:
        """Make the latents."""
        latents = empty_latents(vae, audio_vae)
        if first_frame is None:
            return io.NodeOutput(latent_from(latents))
        given = first_frame_latents(vae, photos_from_image(first_frame)[0])
        latents.video[:, :, : given.shape[2]] = given
        return io.NodeOutput(latent_from(latents, given.shape[2]))


class Decode(io.ComfyNode):
    """Latents to pictures and sound."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_Decode",
            display_name="Decode (Wan R2V)",
            category="Wan R2V",
            description="Turns latents into frames and sound of equal length, for Create Video.",
            inputs=[
                io.Latent.Input("latent", tooltip="From Sampler (Wan R2V) or any of core's samplers."),
                io.Vae.Input("vae", tooltip="Picture codec, from Load Wan R2V."),
                io.Vae.Input("audio_vae", tooltip="Sound codec, from Load Wan R2V."),
            ],
            outputs=clip_outputs(),
        )

    @classmethod
    def execute(cls, latent: dict[str, Any], vae: HostVideoCodec, audio_vae: HostAudioCodec) -> io.NodeOutput:
        """Decode both."""
        video, audio = both_of(latent, "Use core's VAE Decode for it.")
        images = vae.decode(video)[0]
        samples = round(images.shape[0] / vae.fps * audio_vae.audio_sample_rate)
        waveform = audio_vae.decode(audio)[0, :samples, 0]
        clip = AudioClip(waveform[None], audio_vae.audio_sample_rate)
        return io.NodeOutput(images, audio_from_clip(clip), float(vae.fps))
