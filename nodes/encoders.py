"""The nodes that look at a photo and listen to a voice."""

from __future__ import annotations

from typing import Any

import torch

from ..wan_core.errors import InputError
from ..wan_core.media import prepare_voice, resample
from ..wan_core.pipelines.references import encode_faces, encode_voice, read_faces
from ..wan_core.pipelines.request import MAX_PHOTOS
from ..wan_core.report.voice_card import draw_voice_card
from . import host
from .convert import clip_from_audio, image_from_video, photos_from_image
from .host import io, ui
from .sockets import AdapterSocket, Encoders, IdentitySocket, ReferenceTokens, VoiceSocket


class EncodeIdentity(io.ComfyNode):
    """Photos of a person to identity tokens."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_EncodeIdentity",
            display_name="Encode Identity (Wan R2V)",
            category="Wan R2V",
            description="Finds the face in a photo and encodes it. Several photos of one person make one identity.",
            inputs=[
                AdapterSocket.Input("encoders", tooltip="Encoders of faces and voices, from Load Wan R2V."),
                io.Image.Input("image", tooltip="A photo, or a batch of up to 8 photos of the same person."),
                io.Combo.Input(
                    "face",
                    options=["auto", "whole", "1", "2", "3", "4", "5"],
                    tooltip="auto: the largest face. 1, 2, ...: that one, by size. whole: the whole picture is the "
                    "face (for drawings and close-ups).",
                ),
            ],
            outputs=[
                IdentitySocket.Output(display_name="identity"),
                io.Image.Output(display_name="seen", tooltip="What the encoder saw."),
                io.String.Output(display_name="notes", tooltip="Which face was used."),
            ],
        )

    @classmethod
    def execute(cls, encoders: Encoders, image: torch.Tensor, face: str) -> io.NodeOutput:
        """Find, cut out and encode."""
        if image.shape[0] > MAX_PHOTOS:
            raise InputError(
                f"image: expected at most {MAX_PHOTOS} photos, got {image.shape[0]}. Give the best ones."
            )
        choice = int(face) if face.isdigit() else face
        host.place(encoders.identity)
        faces, notes = read_faces(encoders.identity.model, photos_from_image(image), choice)
        tokens = host.intermediate(encode_faces(encoders.identity.model, faces))
        seen = image_from_video(faces[:, :, None])
        return io.NodeOutput(ReferenceTokens(tokens, encoders.identity_layers), seen, "\n".join(notes))


class EncodeVoice(io.ComfyNode):
    """A voice clip to voice tokens."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_EncodeVoice",
            display_name="Encode Voice (Wan R2V)",
            category="Wan R2V",
            description="Encodes timbre, intonation and rhythm of a voice clip; what is said in it does not matter.",
            inputs=[
                AdapterSocket.Input("encoders", tooltip="Encoders of faces and voices, from Load Wan R2V."),
                io.Audio.Input("audio", tooltip="Speech of one person, half a second of voice or more."),
            ],
            outputs=[
                VoiceSocket.Output(display_name="voice"),
                io.String.Output(
                    display_name="notes", tooltip="What was noticed about the clip, and figures of the voice."
                ),
                io.Image.Output(
                    display_name="card", tooltip="What was heard: voice, spectrogram, pitch, rhythm."
                ),
            ],
        )

    @classmethod
    def execute(cls, encoders: Encoders, audio: dict[str, Any] | None) -> io.NodeOutput:
        """Check and encode."""
        clip, notes = prepare_voice(resample(clip_from_audio(audio, "voice")))
        host.place(encoders.voice)
        tokens = host.intermediate(encode_voice(encoders.voice.model, clip))
        pixels, facts = draw_voice_card(clip, "Voice", notes)
        card = host.intermediate(torch.from_numpy(pixels.copy())[None].float() / 255)
        text = "\n".join((*notes, *facts.lines()))
        return io.NodeOutput(
            ReferenceTokens(tokens, encoders.voice_layers), text, card, ui=ui.PreviewImage(card, cls=cls)
        )
