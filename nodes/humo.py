"""HuMo: speech and references on a prompt."""

from __future__ import annotations

from typing import Any

import torch

from ..wan_core.errors import InputError
from ..wan_core.identity.streams import letterbox
from ..wan_core.pipelines.humo_request import MOST_PICTURES
from ..wan_core.voice.speech_windows import speech_windows
from ..wan_core.voice.whisper import FRAME_SAMPLES, group_layers, regroup_rate
from . import host
from .characters import UNSAID, consent_input, require_consent
from .convert import photos_from_image
from .host import io

CHANNELS, STRIDE = 16, 8


class HumoConditioning(io.ComfyNode):
    """Puts a recording and pictures on a prompt."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        size = {"min": 16, "max": 8192, "step": 16}
        return io.Schema(
            node_id="WanR2V_HumoConditioning",
            display_name="HuMo Conditioning (Wan R2V)",
            category="Wan R2V/HuMo",
            description="Puts speech and pictures of people on the prompts, as HuMo's own code does: pictures are "
            "fitted in with white around, several are possible, and the clip is as long as the speech.",
            inputs=[
                io.Conditioning.Input("positive", tooltip="Prompt, from CLIP Text Encode."),
                io.Conditioning.Input("negative", tooltip="Negative prompt, from CLIP Text Encode."),
                io.Vae.Input("vae", tooltip="Wan 2.1 VAE."),
                io.AudioEncoderOutput.Input(
                    "speech", tooltip="From Encode Speech, or core's Audio Encoder Encode (its first 30 s)."
                ),
                io.Int.Input("width", default=832, **size, tooltip="Of the clip, pixels."),
                io.Int.Input("height", default=480, **size, tooltip="Of the clip, pixels."),
                io.Int.Input(
                    "length",
                    default=0,
                    min=0,
                    max=4001,
                    step=1,
                    tooltip="Frames, rounded up to 4k + 1; 25 make a second. 0: as long as the speech. HuMo was "
                    "trained on 97 and gets worse beyond.",
                ),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip=f"1 to {MOST_PICTURES} people or things; a batch holds several.",
                ),
                consent_input("voice and pictures are"),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive"),
                io.Conditioning.Output(display_name="negative"),
                io.Latent.Output(display_name="latent", tooltip="Empty, of the clip's size and length."),
            ],
        )

    @classmethod
    def execute(
        cls,
        positive: list[Any],
        negative: list[Any],
        vae: Any,
        speech: dict[str, Any],
        width: int,
        height: int,
        length: int,
        images: torch.Tensor | None = None,
        consent: str = UNSAID,
    ) -> io.NodeOutput:
        """Cut the windows of speech, encode the pictures."""
        require_consent("voice and pictures", consent)
        count = int(speech["audio_samples"]) // FRAME_SAMPLES
        features = group_layers(speech["encoded_audio_all_layers"])
        frames = 4 * -(-((length or count) - 1) // 4) + 1
        windows = speech_windows(regroup_rate(features[: 2 * count].cpu(), count), frames)[None]
        latents = torch.zeros(1, CHANNELS, (frames - 1) // 4 + 1, height // STRIDE, width // STRIDE)
        references = torch.zeros_like(latents[:, :, :1])
        if images is not None:
            photos = photos_from_image(images)
            if len(photos) > MOST_PICTURES:
                raise InputError(
                    f"images: expected at most {MOST_PICTURES} pictures, got {len(photos)}. Leave some out."
                )
            fitted = [torch.from_numpy(letterbox(photo.numpy(), width, height)) for photo in photos]
            references = torch.cat([vae.encode(own[None].float() / 255).cpu() for own in fitted], dim=2)
        told = {host.REFERENCE_LATENTS: [references], host.SPEECH: windows}
        silent = {
            host.REFERENCE_LATENTS: [torch.zeros_like(references)],
            host.SPEECH: torch.zeros_like(windows),
        }
        return io.NodeOutput(
            host.set_in_conditioning(positive, told),
            host.set_in_conditioning(negative, silent),
            {"samples": host.intermediate(latents)},
        )
