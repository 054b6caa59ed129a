"""The node that shapes how much references count that are tokens of the clip."""

from __future__ import annotations

from typing import Any

from . import host
from .host import io
from .sockets import ShapedStrength, StrengthSocket


class WeighReferences(io.ComfyNode):
    """Shapes references that are tokens of the clip."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_WeighReferences",
            display_name="Weigh References (Wan R2V)",
            category="Wan R2V/Identity",
            description="Lets the references of Phantom and Bernini-R count more or less, over steps and blocks.",
            inputs=[
                io.Model.Input("model", tooltip="From Load Wan Model."),
                StrengthSocket.Input("strength", tooltip="From Identity Strength; 0 as if there were none."),
            ],
            outputs=[io.Model.Output(display_name="model")],
        )

    @classmethod
    def execute(cls, model: Any, strength: ShapedStrength) -> io.NodeOutput:
        """Put the strength on a clone of the model."""
        return io.NodeOutput(host.weigh_streams(model, strength.strength))
