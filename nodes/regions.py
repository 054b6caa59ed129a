"""The node that says where in the clip a character's face acts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..wan_core.identity.regions import Region, mask_weights, region_weights
from .host import io

RegionSocket = io.Custom("WANR2V_REGION")


@dataclass(frozen=True, eq=False)
class ActiveRegion:
    """Where in the clip references of one person act.

    boxes: with times.   masks: (F, H, W) each, in [0, 1].
    """

    boxes: tuple[Region, ...] = ()
    masks: tuple[torch.Tensor, ...] = ()

    def weights(self, grid: tuple[int, int, int]) -> torch.Tensor:
        """A weight for each token of a clip of `grid` (latent frames, rows, columns): the largest of all parts."""
        parts = [region_weights(self.boxes, grid)] if self.boxes else []
        return torch.stack([*parts, *(mask_weights(mask, grid) for mask in self.masks)]).amax(dim=0)


class IdentityRegion(io.ComfyNode):
    """A box with a time, or a mask."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_IdentityRegion",
            display_name="Identity Region (Wan R2V)",
            category="Wan R2V/Identity",
            description="Lets a face act in a part of the picture and of the clip: a box, boxes over time, or a "
            "mask. Give each of several people a region of their own.",
            inputs=[
                _share("left", 0.0, "Left edge of the box, as a share of the width."),
                _share("top", 0.0, "Upper edge of the box, as a share of the height."),
                _share("right", 1.0, "Right edge of the box, as a share of the width."),
                _share("bottom", 1.0, "Lower edge of the box, as a share of the height."),
                _share("start", 0.0, "When the box begins, as a share of the clip."),
                _share("end", 1.0, "When the box ends, as a share of the clip."),
                RegionSocket.Input(
                    "region",
                    optional=True,
                    tooltip="More boxes of the same person, for other times or places.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White where it acts, one for the clip or one a frame; then the box is not used.",
                ),
            ],
            outputs=[RegionSocket.Output(display_name="region")],
        )

    @classmethod
    def execute(
        cls,
        left: float,
        top: float,
        right: float,
        bottom: float,
        start: float,
        end: float,
        region: ActiveRegion | None = None,
        mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        """Add a box or a mask."""
        before = ActiveRegion() if region is None else region
        if mask is not None:
            return io.NodeOutput(ActiveRegion(before.boxes, (*before.masks, mask.detach().cpu())))
        box = Region(left=left, top=top, right=right, bottom=bottom, start=start, end=end)
        return io.NodeOutput(ActiveRegion((*before.boxes, box), before.masks))


def _share(name: str, default: float, tooltip: str) -> Any:
    return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.01, tooltip=tooltip)
