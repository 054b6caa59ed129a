"""Nodes for the tests that run in a real ComfyUI: conditions and latents of random numbers, without encoders."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import folder_paths
import torch
from comfy_api.latest import ComfyExtension, io
from safetensors.torch import save_file

CATEGORY = "test"


def numbers(seed: int, *shape: int) -> torch.Tensor:
    """Normal numbers, the same for the same seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class KitText(io.ComfyNode):
    """A prompt's context, zero after its true length as umT5's is."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [io.Int.Input("seed"), io.Int.Input("length"), io.Int.Input("rows", default=64)]
        return io.Schema(
            node_id="KitText", category=CATEGORY, inputs=inputs, outputs=[io.Conditioning.Output()]
        )

    @classmethod
    def execute(cls, seed: int, length: int, rows: int) -> io.NodeOutput:
        context = numbers(seed, 1, rows, 4096) * 0.2
        context[:, length:] = 0
        return io.NodeOutput([[context, {}]])


class KitClipVision(io.ComfyNode):
    """Embeddings of one image."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [io.Int.Input("seed")]
        return io.Schema(
            node_id="KitClipVision", category=CATEGORY, inputs=inputs, outputs=[io.ClipVisionOutput.Output()]
        )

    @classmethod
    def execute(cls, seed: int) -> io.NodeOutput:
        return io.NodeOutput(SimpleNamespace(penultimate_hidden_states=numbers(seed, 1, 257, 1280)))


class KitLatent(io.ComfyNode):
    """Random latents, the first `given` frames of which are to stay."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        names = ("seed", "channels", "frames", "size", "given")
        return io.Schema(
            node_id="KitLatent",
            category=CATEGORY,
            inputs=[io.Int.Input(name) for name in names],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, seed: int, channels: int, frames: int, size: int, given: int) -> io.NodeOutput:
        latent: dict[str, Any] = {"samples": numbers(seed, 1, channels, frames, size, size)}
        if given:
            latent["noise_mask"] = torch.ones(1, 1, frames, size, size)
            latent["noise_mask"][:, :, :given] = 0
        return io.NodeOutput(latent)


class KitSave(io.ComfyNode):
    """Write the numbers of a picture or of a prompt as they are."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KitSave",
            category=CATEGORY,
            is_output_node=True,
            inputs=[
                io.String.Input("name"),
                io.Image.Input("image", optional=True),
                io.Conditioning.Input("text", optional=True),
            ],
            outputs=[],
        )

    @classmethod
    def execute(cls, name: str, image: torch.Tensor | None = None, text: Any = None) -> io.NodeOutput:
        values = image if image is not None else text[0][0]
        save_file(
            {"values": values.contiguous()}, f"{folder_paths.get_output_directory()}/{name}.safetensors"
        )
        return io.NodeOutput()


class KitExtension(ComfyExtension):
    """What ComfyUI asks for the nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [KitText, KitClipVision, KitLatent, KitSave]


async def comfy_entrypoint() -> KitExtension:
    """The nodes."""
    return KitExtension()
