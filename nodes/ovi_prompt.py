"""Prompts as Ovi and DreamID-Omni take them."""

from __future__ import annotations

from typing import Any

from ..wan_core.pipelines.ovi_prompt import people_in, prepare_prompt
from . import host
from .host import io


class OviPrompt(io.ComfyNode):
    """Prompt and negative prompts of both modalities as CONDITIONING."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_OviPrompt",
            display_name="Encode Ovi Prompt (Wan R2V)",
            category="Wan R2V/Ovi",
            description="Puts the tags of the model around speech, sounds and characters, and encodes the prompt.",
            inputs=[
                io.Model.Input("model", tooltip="Model, from Load Ovi."),
                io.Clip.Input("clip", tooltip="umT5, from Load Wan Text Encoder (Wan R2V)."),
                io.String.Input(
                    "prompt",
                    multiline=True,
                    tooltip="What is seen; spoken words in quotes; Audio: and what is heard at the end. DreamID-Omni: "
                    "people as character1 and character2.",
                ),
                io.String.Input(
                    "negative_prompt",
                    default="jitter, bad hands, blur, distortion",
                    tooltip="What the picture leads away from.",
                ),
                io.String.Input(
                    "negative_sound",
                    default="robotic, muffled, echo, distorted",
                    tooltip="What the sound leads away from.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive"),
                io.Conditioning.Output(display_name="negative"),
            ],
        )

    @classmethod
    def execute(
        cls, model: Any, clip: Any, prompt: str, negative_prompt: str, negative_sound: str
    ) -> io.NodeOutput:
        """Rewrite and encode."""
        family = host.ovi_family(model)
        count = people_in(prompt) if family.takes_references else 0
        slots = list(range(1, count + 1))
        names = [f"character{slot}" for slot in slots]
        text = prepare_prompt(prompt, family, names, slots)
        positive, video, audio = (
            clip.encode_from_tokens_scheduled(clip.tokenize(words))
            for words in (text, negative_prompt, negative_sound)
        )
        negative = host.set_in_conditioning(video, {host.AUDIO_CONTEXT: audio[0][0]})
        return io.NodeOutput(host.set_in_conditioning(positive, {host.NAMED: tuple(names)}), negative)
