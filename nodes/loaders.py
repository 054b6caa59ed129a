"""The node that loads the model and everything that belongs to it."""

from __future__ import annotations

from typing import Any

import torch

from ..wan_core.pipelines.bundle import load_bundle
from ..wan_core.pipelines.defaults import NanoDefaults
from . import host
from .host import io
from .parts import HostAudioCodec, HostTextEncoder, HostVideoCodec
from .sockets import AdapterSocket, Encoders

EMBEDDED = "nano (embedded)"
FOLDER = "wan_r2v"


class LoadDiT(io.ComfyNode):
    """nano, as ComfyUI's MODEL, CLIP and VAE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_LoadDiT",
            display_name="Load Wan R2V",
            category="Wan R2V",
            description="Loads the model with its text encoder, its codecs and its encoders of faces and voices.",
            inputs=[
                io.Combo.Input(
                    "weights",
                    options=[EMBEDDED, *host.model_folders(FOLDER, "dit.safetensors")],
                    tooltip="nano (embedded) ships with the pack; others are folders in models/wan_r2v.",
                )
            ],
            outputs=[
                io.Model.Output(display_name="model"),
                io.Clip.Output(display_name="clip"),
                io.Vae.Output(display_name="vae"),
                io.Vae.Output(display_name="audio_vae"),
                AdapterSocket.Output(display_name="encoders"),
            ],
        )

    @classmethod
    def execute(cls, weights: str) -> io.NodeOutput:
        """Load all parts."""
        bundle = load_bundle(None if weights == EMBEDDED else host.model_folder(FOLDER, weights))
        defaults = NanoDefaults()
        vae = HostVideoCodec(host.manage(bundle.vae), defaults)

        def preview(latents: torch.Tensor) -> torch.Tensor:
            return bundle.vae.decode(latents.to(bundle.vae.image_basis.device)).flip(2)

        parts: tuple[Any, ...] = (
            host.wrap_joint(bundle.dit, shift=defaults.shift, preview=preview),
            HostTextEncoder(host.manage(bundle.text)),
            vae,
            HostAudioCodec(host.manage(bundle.audio)),
            Encoders(
                identity=host.manage(bundle.identity),
                identity_layers=host.manage(bundle.identity_adapter),
                voice=host.manage(bundle.voice),
                voice_layers=host.manage(bundle.voice_adapter),
            ),
        )
        return io.NodeOutput(*parts)
