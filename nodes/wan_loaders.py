"""The nodes that load published Wan weights as ComfyUI's own MODEL, VAE and CLIP."""

from __future__ import annotations

from . import host
from .host import io

MODELS = "diffusion_models"


class LoadWanModel(io.ComfyNode):
    """A Wan transformer as MODEL."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_LoadWanModel",
            display_name="Load Wan Model (Wan R2V)",
            category="Wan R2V/Wan",
            description="Loads a Wan 2.1 or 2.2 transformer: safetensors in any published layout, fp8, GGUF. Use the "
            "model like that of core's Load Diffusion Model.",
            inputs=[
                io.Combo.Input(
                    "unet_name",
                    options=host.weight_files(MODELS),
                    tooltip="A file in models/diffusion_models; of a model in several files, its index.",
                ),
                io.Combo.Input(
                    "weight_dtype",
                    options=[host.DEFAULT, *host.PACKED_FORMATS],
                    tooltip="default: as stored, if the device computes in it. fp8 halves the memory of bf16 weights; "
                    "files that are quantised already stay as they are.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model")],
        )

    @classmethod
    def execute(cls, unet_name: str, weight_dtype: str) -> io.NodeOutput:
        """Load the transformer."""
        return io.NodeOutput(host.load_wan(host.weight_file(MODELS, unet_name), weight_dtype))
