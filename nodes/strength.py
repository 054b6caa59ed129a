"""The node that shapes how strongly references act: over the steps, over the blocks, and with one slider."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..wan_core.errors import InputError
from ..wan_core.identity import strength as shapes
from ..wan_core.identity.strength import PRESETS, Curve, resolve_strength, slide
from ..wan_core.identity.strength_picture import draw_table
from ..wan_core.sampling import flow_sigmas
from . import host
from .host import io, ui
from .sockets import ShapedStrength, StrengthSocket

SLIDER = "slider"
DRAWN_STEPS, DRAWN_SHIFT, DRAWN_BLOCKS = 50, 5.0, 40


class IdentityStrength(io.ComfyNode):
    """Scale x curve over steps x curve over blocks, in a window."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_IdentityStrength",
            display_name="Identity Strength (Wan R2V)",
            category="Wan R2V/Identity",
            description="Shapes the strength of a face over steps and blocks, from likeness to freedom, and shows it.",
            inputs=[
                io.Combo.Input(
                    "preset",
                    options=[SLIDER, *PRESETS],
                    tooltip="slider: the position below. The others are its places -1 (free), 0 (as trained), 1 "
                    "(likeness).",
                ),
                io.Float.Input(
                    "likeness",
                    default=0.0,
                    min=-1.0,
                    max=1.0,
                    step=0.05,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="-1 leaves pose and framing to the prompt, 0 is as trained, 1 holds on to the face.",
                ),
                io.Float.Input(
                    "scale",
                    default=1.0,
                    min=0.0,
                    max=3.0,
                    step=0.05,
                    tooltip="Times everything; 0 switches it off.",
                ),
                io.Float.Input(
                    "start",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="It acts from this sigma on, 1 is noise.",
                ),
                io.Float.Input(
                    "end",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="It acts while sigma is above this.",
                ),
                io.String.Input(
                    "steps_curve",
                    default="",
                    tooltip="Own curve over the steps in place of the preset's, as place:factor from 0 to 1: "
                    "0:0.3, 0.5:1.",
                ),
                io.String.Input(
                    "layers_curve", default="", tooltip="Own curve over the blocks, the same way: 0:1, 1:0.5."
                ),
                io.Sigmas.Input(
                    "sigmas", optional=True, tooltip="Of the run, to draw its own steps in the picture."
                ),
            ],
            outputs=[
                StrengthSocket.Output(display_name="strength"),
                io.Image.Output(
                    display_name="table", tooltip="Steps from left to right, blocks from top to bottom."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        preset: str,
        likeness: float,
        scale: float,
        start: float,
        end: float,
        steps_curve: str,
        layers_curve: str,
        sigmas: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        """Resolve it, and draw the table."""
        shape = slide(likeness) if preset == SLIDER else shapes.preset(preset)
        shape = replace(
            shape,
            scale=shape.scale * scale,
            steps=read_curve(steps_curve, "steps_curve") or shape.steps,
            layers=read_curve(layers_curve, "layers_curve") or shape.layers,
            low=end,
            high=start,
        )
        grid = flow_sigmas(DRAWN_STEPS, DRAWN_SHIFT) if sigmas is None else sigmas
        shown = [float(sigma) for sigma in grid if float(sigma) > 0.0]
        table = resolve_strength(shape, shown, DRAWN_BLOCKS)
        picture = host.intermediate(torch.from_numpy(draw_table(table)).float()[None] / 255)
        return io.NodeOutput(ShapedStrength(shape), picture, ui=ui.PreviewImage(picture))


def read_curve(text: str, what: str) -> Curve | None:
    """Points of a curve, written place:factor and divided by commas; None for an empty text.

    Raises: InputError: something else.
    """
    points: list[tuple[float, float]] = []
    for part in text.split(","):
        if not part.strip():
            continue
        place, _, factor = part.partition(":")
        try:
            points.append((float(place), float(factor)))
        except ValueError as error:
            raise InputError(
                f"{what}: expected place:factor with numbers, got '{part.strip()}'. Write for example 0:0.3, 0.5:1."
            ) from error
    return tuple(points) or None
