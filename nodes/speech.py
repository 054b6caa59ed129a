"""Speech as HuMo hears it."""

from __future__ import annotations

from typing import Any

import torch

from ..wan_core.checkpoints.whisper import load_whisper
from ..wan_core.media import resample
from ..wan_core.types import AudioClip
from ..wan_core.voice.whisper import GROUPS, SAMPLE_RATE
from . import host
from .convert import clip_from_audio
from .host import io

FOLDER = "audio_encoders"


class EncodeSpeech(io.ComfyNode):
    """A recording to the output of an audio encoder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_EncodeSpeech",
            display_name="Encode Speech (Wan R2V)",
            category="Wan R2V/HuMo",
            description="Hears a recording with Whisper for HuMo, up to 10 minutes (core's encoder hears 30 seconds). "
            "The result fits core's HuMo node too.",
            inputs=[
                io.Combo.Input(
                    "audio_encoder_name",
                    options=host.weight_files(FOLDER),
                    tooltip="whisper-large-v3 in models/audio_encoders, such as whisper_large_v3_encoder_fp16.",
                ),
                io.Audio.Input("audio", tooltip="What is said: any recording, or generated speech."),
            ],
            outputs=[io.AudioEncoderOutput.Output(display_name="speech")],
        )

    @classmethod
    def execute(cls, audio_encoder_name: str, audio: dict[str, Any]) -> io.NodeOutput:
        """Encode; the layers that HuMo averages are given as their averages."""
        clip = resample(clip_from_audio(audio, "audio"), SAMPLE_RATE)
        patcher = host.manage(load_whisper(host.weight_file(FOLDER, audio_encoder_name)))
        device = host.place(patcher)
        features = patcher.model.features(AudioClip(clip.waveform.to(device), clip.sample_rate))
        averages = [host.intermediate(own)[None] for own in features.unbind(dim=1)]
        layers: list[torch.Tensor] = []
        for average, (first, last) in zip(averages, GROUPS, strict=True):
            layers += [average] * (last - first)
        return io.NodeOutput(
            {
                "encoded_audio": layers[-1],
                "encoded_audio_all_layers": layers,
                "audio_samples": clip.waveform.shape[1],
            }
        )
