"""The nodes that look at a photo and listen to a voice."""

from __future__ import annotations

from typing import Any

import torch

from ..wan_core.errors import FaceError, InputError
from ..wan_core.identity.detectors import DETECTORS
from ..wan_core.media import prepare_voice, resample
from ..wan_core.pipelines.references import encode_faces, encode_voice, read_faces
from ..wan_core.pipelines.request import MAX_PHOTOS
from ..wan_core.report.voice_card import draw_voice_card
from . import host
from .convert import clip_from_audio, image_from_video, photos_from_image
from .host import io, ui
from .judges import read_face
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
                io.Combo.Input(
                    "detector",
                    options=list(DETECTORS),
                    default="auto",
                    optional=True,
                    tooltip="cascade: bundled, frontal faces. scrfd: insightface's, also turned faces; for "
                    "research only. yunet: OpenCV's, for any use. auto: the cascade, then scrfd where it is there.",
                ),
                io.Image.Input(
                    "more_photos",
                    optional=True,
                    tooltip="Photos of the same person of another size; 8 in all.",
                ),
            ],
            outputs=[
                IdentitySocket.Output(display_name="identity"),
                io.Image.Output(display_name="seen", tooltip="What the encoder saw."),
                io.String.Output(
                    display_name="notes",
                    tooltip="Which face was used, and how much the photos resemble each other.",
                ),
                io.Image.Output(
                    display_name="photos", tooltip="The photos with all faces marked, those used in green."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        encoders: Encoders,
        image: torch.Tensor,
        face: str,
        detector: str = "auto",
        more_photos: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        """Find, cut out and encode."""
        if not isinstance(encoders, Encoders):
            raise InputError("encoders: expected those of nano, got an adapter of Lynx. Use Encode Face.")
        photos = [*photos_from_image(image), *(() if more_photos is None else photos_from_image(more_photos))]
        if len(photos) > MAX_PHOTOS:
            raise InputError(
                f"image: expected at most {MAX_PHOTOS} photos, got {len(photos)}. Give the best ones."
            )
        host.place(encoders.identity)
        model = encoders.identity.model
        try:
            read = read_faces(model, photos, read_face(face), host.face_detector(detector))
        except FaceError as error:
            raise InputError(f"{error} What was seen: {host.keep_picture(error.picture)}") from error
        tokens, more = encode_faces(model, read.faces)
        seen = image_from_video(read.faces[:, :, None])
        marked = host.intermediate(torch.from_numpy(read.seen.copy())[None].float() / 255)
        return io.NodeOutput(
            ReferenceTokens(host.intermediate(tokens), encoders.identity_layers),
            seen,
            "\n".join((*read.notes, *more)),
            marked,
            ui=ui.PreviewImage(marked, cls=cls),
        )


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
