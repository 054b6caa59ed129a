"""The node that turns a prompt into CONDITIONING."""

from __future__ import annotations

from typing import Any

from ..wan_core.text.prompt import parse_prompt
from ..wan_core.text.vocabulary import known_words
from . import host
from .host import io


class EncodePrompt(io.ComfyNode):
    """Prompt to CONDITIONING, with notes on words that the model does not know."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_EncodePrompt",
            display_name="Encode Prompt (Wan R2V)",
            category="Wan R2V",
            description="Encodes a prompt for nano and says which of its words nano does not know.",
            inputs=[
                io.Clip.Input("clip", tooltip="Text encoder, from Load Wan R2V."),
                io.String.Input(
                    "prompt",
                    multiline=True,
                    default='character1 waves at the beach and says "hello everyone"',
                    tooltip="Place, movement, and in quotes what is said; empty for the unconditional prompt. "
                    f"Nano knows: {known_words()}",
                ),
            ],
            outputs=[
                io.Conditioning.Output(display_name="conditioning"),
                io.String.Output(display_name="notes", tooltip="How the prompt was read."),
            ],
        )

    @classmethod
    def execute(cls, clip: Any, prompt: str) -> io.NodeOutput:
        """Encode the prompt."""
        parsed = parse_prompt(prompt)
        conditioning = clip.encode_from_tokens_scheduled(clip.tokenize(prompt))
        named = host.set_in_conditioning(conditioning, {host.NAMED: parsed.characters})
        return io.NodeOutput(named, "\n".join(parsed.notes))
