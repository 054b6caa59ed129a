"""The nodes that load Ovi or DreamID-Omni, and MMAudio's codec."""

from __future__ import annotations

import logging

from ..wan_core.checkpoints.licences import licences_of
from ..wan_core.checkpoints.mmaudio import load_audio_codec
from ..wan_core.pipelines.ovi_family import choose_ovi, known_keys
from . import host
from .host import io
from .parts import HostAudioCodec

MODELS, CODECS = "diffusion_models", "vae"
BY_NAME = "by the file's name"


class LoadOvi(io.ComfyNode):
    """Both towers of a joint model as MODEL."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_LoadOvi",
            display_name="Load Ovi (Wan R2V)",
            category="Wan R2V/Ovi",
            description="Loads Ovi or DreamID-Omni, which make picture and sound together. Shows the licence of the "
            "weights.",
            inputs=[
                io.Combo.Input(
                    "unet_name",
                    options=host.weight_files(MODELS),
                    tooltip="A file in models/diffusion_models, plain or fp8.",
                ),
                io.Combo.Input(
                    "variant",
                    options=[BY_NAME, *known_keys()],
                    tooltip="Which model it is; the files of all have the same layout.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model")],
        )

    @classmethod
    def execute(cls, unet_name: str, variant: str) -> io.NodeOutput:
        """Load both towers."""
        path = host.weight_file(MODELS, unet_name)
        family, notes = choose_ovi(None if variant == BY_NAME else variant, path, has_references=False)
        for note in notes:
            logging.getLogger(__name__).warning("%s", note)
        text = "\n".join((family.name, *licences_of(family.licence), *notes))
        return io.NodeOutput(host.load_ovi(path, family), ui=host.ui.PreviewText(text))


class LoadMMAudio(io.ComfyNode):
    """MMAudio's 16 kHz codec as VAE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_LoadMMAudio",
            display_name="Load MMAudio Codec (Wan R2V)",
            category="Wan R2V/Ovi",
            description="Loads the codec of Ovi's and DreamID-Omni's sound: 16 kHz, mono. Shows the licence of the "
            "weights.",
            inputs=[
                io.Combo.Input(
                    "vae_name", options=host.weight_files(CODECS), tooltip="v1-16.pth, in models/vae."
                ),
                io.Combo.Input(
                    "vocoder_name", options=host.weight_files(CODECS), tooltip="best_netG.pt, in models/vae."
                ),
            ],
            outputs=[io.Vae.Output(display_name="audio_vae")],
        )

    @classmethod
    def execute(cls, vae_name: str, vocoder_name: str) -> io.NodeOutput:
        """Load VAE and vocoder."""
        codec = load_audio_codec(host.weight_file(CODECS, vae_name), host.weight_file(CODECS, vocoder_name))
        text = "\n".join(licences_of("MMAudio"))
        return io.NodeOutput(HostAudioCodec(host.manage(codec)), ui=host.ui.PreviewText(text))
