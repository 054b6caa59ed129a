"""The nodes that mark a clip as synthetic and look for the mark."""

from __future__ import annotations

import torch

from ..wan_core.provenance.watermark import detect_mark, mark_video
from . import host
from .convert import image_from_video, photos_from_image, video_from_image
from .host import io


class Watermark(io.ComfyNode):
    """Frames to marked frames."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_Watermark",
            display_name="Watermark (Wan R2V)",
            category="Wan R2V/provenance",
            description="Puts an invisible mark into every frame that says that the clip is synthetic. Verify finds "
            "it, also after encoding and scaling.",
            inputs=[
                io.Image.Input("images", tooltip="Frames of the finished clip, 64 pixels or more a side.")
            ],
            outputs=[io.Image.Output(display_name="images", tooltip="To Create Video or Save Video.")],
        )

    @classmethod
    def execute(cls, images: torch.Tensor) -> io.NodeOutput:
        """Mark."""
        return io.NodeOutput(image_from_video(mark_video(video_from_image(images))))


class Verify(io.ComfyNode):
    """Frames to a statement about the mark."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_Verify",
            display_name="Verify (Wan R2V)",
            category="Wan R2V/provenance",
            description="Says whether frames carry the mark of Watermark, and how sure that is.",
            inputs=[
                io.Image.Input("images", tooltip="Frames of a clip, as many as there are; or one picture.")
            ],
            outputs=[
                io.String.Output(display_name="text", tooltip="A sentence."),
                io.Float.Output(
                    display_name="p_value",
                    tooltip="How often chance would give such a score; below 0.000001 the mark is there.",
                ),
            ],
        )

    @classmethod
    def execute(cls, images: torch.Tensor) -> io.NodeOutput:
        """Look for the mark."""
        found = detect_mark(torch.stack(photos_from_image(images)))
        host.check_interrupted()
        return io.NodeOutput(found.describe(), found.p_value)
