"""Faces and voices for DreamID-Omni."""

from __future__ import annotations

from typing import Any

import torch

from ..wan_core.errors import InputError
from ..wan_core.media.sound import resample
from ..wan_core.pipelines.ovi_family import SAMPLE_RATE, STRIDE
from ..wan_core.pipelines.ovi_references import face_picture, face_stream, voice_second, voice_stream
from ..wan_core.provenance import CONSENT_MEANINGS
from ..wan_core.text.characters import check_names
from . import host
from .characters import UNSAID
from .convert import clip_from_audio, latents_of, photos_from_image
from .guidance import single
from .host import io
from .parts import HostAudioCodec
from .sockets import JointStreams
from .wan_vae import HostWanVAE


class DreamIDReferences(io.ComfyNode):
    """Faces and voices on both prompts."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_DreamIDReferences",
            display_name="DreamID References (Wan R2V)",
            category="Wan R2V/Ovi",
            description="Gives DreamID-Omni one or two people: a face and a voice each.",
            inputs=[
                io.Conditioning.Input("positive", tooltip="Prompt, from Encode Ovi Prompt."),
                io.Conditioning.Input("negative", tooltip="Negative prompt, from Encode Ovi Prompt."),
                io.Latent.Input("latent", tooltip="From Empty Ovi Latent; the faces get its size."),
                io.Vae.Input("vae", tooltip="Wan 2.2 codec, from Load Wan VAE (Wan R2V)."),
                io.Vae.Input("audio_vae", tooltip="Sound codec, from Load MMAudio Codec."),
                io.Image.Input("face1", tooltip="Photo of character1."),
                io.Audio.Input("voice1", tooltip="Recording of character1, two seconds or more."),
                io.Combo.Input(
                    "consent",
                    options=[UNSAID, *CONSENT_MEANINGS],
                    tooltip="On what ground faces and voices are used. "
                    + "; ".join(f"{word}: {meaning}" for word, meaning in CONSENT_MEANINGS.items()),
                ),
                io.Combo.Input(
                    "crop",
                    options=["face", "whole"],
                    tooltip="face: the largest face is cut out; whole: photos are taken as they are.",
                ),
                io.Combo.Input(
                    "voice_span",
                    options=["best", "official"],
                    tooltip="Second of the recording: best has the most voice in it; official is from 1 to 2 s.",
                ),
                io.Image.Input("face2", optional=True, tooltip="Photo of character2."),
                io.Audio.Input("voice2", optional=True, tooltip="Recording of character2."),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive"),
                io.Conditioning.Output(display_name="negative"),
            ],
        )

    @classmethod
    def execute(
        cls,
        positive: list[Any],
        negative: list[Any],
        latent: dict[str, Any],
        vae: HostWanVAE,
        audio_vae: HostAudioCodec,
        face1: torch.Tensor,
        voice1: dict[str, Any],
        consent: str,
        crop: str,
        voice_span: str,
        face2: torch.Tensor | None = None,
        voice2: dict[str, Any] | None = None,
    ) -> io.NodeOutput:
        """Encode and bind."""
        if consent == UNSAID:
            raise InputError(
                f"consent: expected {', '.join(CONSENT_MEANINGS)}, got no choice. Say on what ground faces and voices "
                "are used."
            )
        if (face2 is None) != (voice2 is None):
            raise InputError(
                "character2: expected a face and a voice, got one of them. Connect both or neither."
            )
        people = [(face1, voice1)] + ([] if face2 is None or voice2 is None else [(face2, voice2)])
        names = tuple(f"character{slot}" for slot in range(1, len(people) + 1))
        check_names(names, single(positive, "positive")[1].get(host.NAMED, names))
        height, width = (STRIDE * side for side in latents_of(latent).video.shape[3:])
        faces, voices = [], []
        for slot, (face, voice) in enumerate(people, start=1):
            choice = "auto" if crop == "face" else "whole"
            picture, _ = face_picture(photos_from_image(face)[0], choice, (width, height))
            image = (picture / 2 + 0.5).permute(1, 2, 0)[None]
            faces.append(face_stream(host.normalised_latents(vae.encode(image)), slot))
            recording = resample(clip_from_audio(voice, f"voice{slot}"), SAMPLE_RATE)
            second, _ = voice_second(recording, "best" if voice_span == "best" else "official")
            voices.append(voice_stream(audio_vae.encode(second[..., None]), slot))
        carried = {host.STREAMS: JointStreams(tuple(faces), tuple(voices))}
        return io.NodeOutput(
            host.set_in_conditioning(positive, carried), host.set_in_conditioning(negative, carried)
        )
