"""The nodes that load published Wan weights as ComfyUI's own MODEL, VAE and CLIP."""

from __future__ import annotations

import torch

from ..wan_core.checkpoints.load import load_text_encoder, load_vae
from ..wan_core.errors import InputError
from ..wan_core.text.umt5_encoder import UMT5TextEncoder
from ..wan_core.vae.wan_vae import WanVAE
from . import host
from .host import io
from .wan_text import HostWanText
from .wan_vae import HostWanVAE

MODELS, CODECS, TEXT_ENCODERS = "diffusion_models", "vae", "text_encoders"
TEXT_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


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


class LoadWanVAE(io.ComfyNode):
    """Wan's video codec as VAE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_LoadWanVAE",
            display_name="Load Wan VAE (Wan R2V)",
            category="Wan R2V/Wan",
            description="Loads the video codec of Wan 2.1 (16 channels) or 2.2 TI2V (48 channels). It decodes "
            "clips as a stream, so memory does not grow with their length, and tiles without seams.",
            inputs=[
                io.Combo.Input(
                    "vae_name",
                    options=host.weight_files(CODECS),
                    tooltip="A file in models/vae: safetensors or .pth.",
                )
            ],
            outputs=[io.Vae.Output(display_name="vae")],
        )

    @classmethod
    def execute(cls, vae_name: str) -> io.NodeOutput:
        """Load the codec."""
        vae = load_vae(host.weight_file(CODECS, vae_name), dtype=host.codec_dtype())
        if not isinstance(vae, WanVAE):
            raise InputError(
                f"vae: expected a codec of Wan 2.1 or 2.2, got {type(vae).__name__}. Use Load Wan R2V."
            )
        return io.NodeOutput(HostWanVAE(host.manage(vae)))


class LoadWanText(io.ComfyNode):
    """umT5 as CLIP."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_LoadWanText",
            display_name="Load Wan Text Encoder (Wan R2V)",
            category="Wan R2V/Wan",
            description="Loads umT5-xxl for CLIP Text Encode. Prompts are cleaned and padded as by the official "
            "code.",
            inputs=[
                io.Combo.Input(
                    "clip_name",
                    options=host.weight_files(TEXT_ENCODERS),
                    tooltip="A file in models/text_encoders: safetensors, fp8, GGUF or .pth.",
                ),
                io.Combo.Input(
                    "weight_dtype",
                    options=list(TEXT_DTYPES),
                    tooltip="bfloat16 as the official code. Quantised weights stay quantised and compute in it.",
                ),
            ],
            outputs=[io.Clip.Output(display_name="clip")],
        )

    @classmethod
    def execute(cls, clip_name: str, weight_dtype: str) -> io.NodeOutput:
        """Load the text encoder."""
        text = load_text_encoder(host.weight_file(TEXT_ENCODERS, clip_name), dtype=TEXT_DTYPES[weight_dtype])
        if not isinstance(text, UMT5TextEncoder):
            raise InputError(f"clip: expected umT5, got {type(text).__name__}. Use Load Wan R2V.")
        return io.NodeOutput(HostWanText(host.manage(text, is_text=True)))
