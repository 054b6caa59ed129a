"""The node that takes the frames of a video that show a face best."""

from __future__ import annotations

import numpy as np
import torch

from ..wan_core.errors import FaceError, InputError
from ..wan_core.identity.detectors import DETECTORS
from ..wan_core.identity.video_faces import TimedFrame, choose_video_faces
from ..wan_core.identity.views import MAX_PHOTOS
from . import host
from .convert import photos_from_image
from .host import io, ui


class ChooseFrames(io.ComfyNode):
    """Frontal, sharp and large faces of a video, as photos."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_ChooseFrames",
            display_name="Choose Frames (Wan R2V)",
            category="Wan R2V/Identity",
            description="Takes the frames of a video in which a face is seen best: frontal, sharp and large. Use "
            "them as photos in Encode Face or Encode Identity.",
            inputs=[
                io.Image.Input(
                    "frames", tooltip="Of a video that shows one person, from Get Video Components."
                ),
                io.Float.Input(
                    "fps",
                    default=24.0,
                    min=0.1,
                    max=1000.0,
                    step=0.01,
                    tooltip="Frames per second of the video.",
                ),
                io.Int.Input(
                    "count", default=4, min=1, max=MAX_PHOTOS, tooltip="How many frames to take at most."
                ),
                io.Combo.Input(
                    "face",
                    options=["auto", "1", "2", "3", "4", "5"],
                    tooltip="auto: the largest. 1, 2, ...: by size.",
                ),
                io.Combo.Input(
                    "detector",
                    options=list(DETECTORS),
                    default="auto",
                    tooltip="auto: scrfd where it is installed, else the cascade. scrfd: insightface's, for research "
                    "only. yunet: OpenCV's. cascade: bundled, frontal faces.",
                ),
                io.Int.Input(
                    "every",
                    default=4,
                    min=1,
                    max=1000,
                    tooltip="Looks at every n-th frame; looking takes time.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="photos", tooltip="The frames that were taken, best first."),
                io.Image.Output(display_name="seen", tooltip="The same with faces, times and sharpness."),
                io.String.Output(display_name="notes", tooltip="Which frames were taken."),
            ],
        )

    @classmethod
    def execute(
        cls, frames: torch.Tensor, fps: float, count: int, face: str, detector: str, every: int
    ) -> io.NodeOutput:
        """Look, and choose."""
        timed = [
            TimedFrame(every * number, every * number / fps, picture.numpy())
            for number, picture in enumerate(photos_from_image(frames[::every]))
        ]
        number = int(face) if face.isdigit() else None
        try:
            found = choose_video_faces(timed, host.face_detector(detector), number, count)
        except FaceError as error:
            raise InputError(f"{error} What was seen: {host.keep_picture(error.picture)}") from error
        photos = torch.from_numpy(np.stack(found.pictures)).float() / 255
        seen = host.intermediate(torch.from_numpy(found.seen.copy())[None].float() / 255)
        return io.NodeOutput(host.intermediate(photos), seen, found.note(), ui=ui.PreviewImage(seen))
