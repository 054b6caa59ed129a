"""The node that measures a clip against the person it was made from."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch

from ..wan_core.errors import InputError
from ..wan_core.media.sound import resample
from ..wan_core.pipelines.likeness import NanoVoices, PersonReference, report_on
from ..wan_core.report import draw_report, to_json
from ..wan_core.types import AudioClip
from . import host
from .characters import NAMES
from .convert import clip_from_audio, photos_from_image
from .host import io, ui
from .judges import CASCADE, DRAWN, LANDMARKS, encoders_input, face_input, open_recogniser, read_face
from .sockets import Encoders, FaceAdapter


class LikenessReport(io.ComfyNode):
    """Likeness, lips and voice of one person in a clip."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_LikenessReport",
            display_name="Likeness Report (Wan R2V)",
            category="Wan R2V",
            description="Measures a clip: likeness of the face frame by frame, drift, head pose and copy-paste, lips "
            "against the sound, and the voice.",
            is_output_node=True,
            inputs=[
                encoders_input(),
                io.Combo.Input("name", options=list(NAMES), tooltip="What the report calls the person."),
                io.Combo.Input(
                    "faces",
                    options=[DRAWN, CASCADE, LANDMARKS],
                    tooltip="Where faces are. drawn: where nano draws them. cascade: found in photographic frames, "
                    "from the front, for nano's encoder. landmarks: found by insightface, for ArcFace.",
                ),
                face_input(),
                io.Float.Input(
                    "fps",
                    default=8.0,
                    min=1.0,
                    max=120.0,
                    tooltip="Frames a second of images; a video knows its own.",
                ),
                io.Image.Input(
                    "images", optional=True, tooltip="The clip's frames; or connect a video instead."
                ),
                io.Video.Input(
                    "video", optional=True, tooltip="The clip; its sound is used unless audio is connected."
                ),
                io.Audio.Input("audio", optional=True, tooltip="The clip's sound."),
                io.Image.Input("reference", optional=True, tooltip="Photos of the person."),
                io.Audio.Input("voice", optional=True, tooltip="Recording of the person's voice."),
            ],
            outputs=[
                io.Image.Output(display_name="report", tooltip="Frames, curves and figures."),
                io.String.Output(display_name="json", tooltip="Every figure and curve as JSON."),
                io.Float.Output(
                    display_name="score",
                    tooltip="Mean of likeness and lips, 0 to 1; -1 where neither was measured.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        encoders: Encoders | FaceAdapter,
        name: str,
        faces: str,
        face: str,
        fps: float,
        images: torch.Tensor | None = None,
        video: Any = None,
        audio: dict[str, Any] | None = None,
        reference: torch.Tensor | None = None,
        voice: dict[str, Any] | None = None,
    ) -> io.NodeOutput:
        """Measure and draw."""
        if (images is None) == (video is None):
            got = "neither" if images is None else "both"
            raise InputError(f"clip: expected images or a video, got {got}. Connect one of them.")
        rate = Fraction(fps)
        if video is not None:
            parts = video.get_components()
            images, rate = parts.images, parts.frame_rate
            audio = parts.audio if audio is None else audio
        photos = () if reference is None else tuple(photos_from_image(reference))
        spoken = None if voice is None else _sound(voice, "voice")
        person = PersonReference(photos=photos, face=read_face(face), voice=spoken)
        frames = torch.stack(photos_from_image(images))
        report = report_on(
            frames,
            float(rate),
            None if audio is None else _sound(audio, "audio"),
            people={name: person} if photos or spoken else {},
            recogniser=open_recogniser(encoders, faces),
            speakers=NanoVoices(encoders.voice.model) if isinstance(encoders, Encoders) else None,
        )
        found = report.measurements
        sheet = torch.from_numpy(draw_report(frames, found, report.faces))[None].float() / 255
        score = -1.0 if found.score is None else found.score
        return io.NodeOutput(
            host.intermediate(sheet), to_json(found), score, ui=ui.PreviewImage(sheet, cls=cls)
        )


def _sound(audio: dict[str, Any], what: str) -> AudioClip:
    """AUDIO as mono 16 kHz."""
    return resample(clip_from_audio(audio, what))
