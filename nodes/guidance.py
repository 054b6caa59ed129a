"""The guidance chain: text, face and voice with scales of their own."""

from __future__ import annotations

from typing import Any

from ..wan_core.errors import InputError
from ..wan_core.pipelines.defaults import NanoDefaults
from ..wan_core.pipelines.request import check_names
from ..wan_core.sampling import GuidanceChain, GuidanceTerm
from . import host
from .host import io
from .sockets import References

DEFAULTS = NanoDefaults()
SCALES = {
    "text_scale": (DEFAULTS.scales.text_video, "How strictly the picture follows the prompt"),
    "identity_scale": (DEFAULTS.scales.identity, "How strictly the picture follows the face"),
    "audio_text_scale": (DEFAULTS.scales.text_audio, "How strictly the sound follows the words"),
    "voice_scale": (DEFAULTS.scales.voice, "How strictly the sound follows the voice"),
}


def guidance_inputs() -> list[io.Input]:
    """The scales that Guider and Sampler share."""
    return [
        io.Float.Input(
            name,
            default=default,
            min=0.0,
            max=20.0,
            step=0.1,
            tooltip=f"{what}: 1 as trained, more exaggerates, 0 off.",
        )
        for name, (default, what) in SCALES.items()
    ]


def condition_inputs() -> list[io.Input]:
    """The model and its prompts, as Guider and Sampler take them."""
    return [
        io.Model.Input("model", tooltip="Model, from Load Wan R2V or Apply Characters."),
        io.Conditioning.Input("positive", tooltip="Prompt, with the character on it if there is one."),
        io.Conditioning.Input("negative", tooltip="What guidance leads away from: an empty prompt."),
    ]


def schedule_inputs(steps: int, shift: float) -> list[io.Input]:
    """Noise and steps, as the Samplers take them; steps and shift are defaults."""
    return [
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=2**64 - 1,
            control_after_generate=True,
            tooltip="Noise to start from; the same seed gives the same clip on the same machine.",
        ),
        io.Int.Input("steps", default=steps, min=1, max=1000, tooltip="Steps of the picture."),
        io.Float.Input(
            "shift", default=shift, min=0.1, max=20.0, step=0.1, tooltip="Above 1 spends more steps on noise."
        ),
    ]


def single(conditioning: list[Any], what: str) -> tuple[Any, dict[str, Any]]:
    """Context and settings of a CONDITIONING that holds one prompt.

    Raises: InputError: several prompts were combined.
    """
    if len(conditioning) != 1:
        raise InputError(
            f"{what}: expected one prompt, got {len(conditioning)} combined. Use one, or a core sampler."
        )
    return conditioning[0][0], conditioning[0][1]


def references_of(positive: list[Any]) -> References | None:
    """The references that a prompt carries, None where it carries none.

    Raises: InputError: the prompt names a character that was not applied to it, or several prompts were combined.
    """
    _, settings = single(positive, "positive")
    check_names((), settings.get(host.NAMED, ()))
    return settings.get(host.REFERENCES)


def make_chain(
    nothing: Any, references: Any, everything: Any, scales: tuple[float, float, float, float]
) -> GuidanceChain[Any]:
    """Nothing, then the references, then the prompt too; scales: picture's text and face, sound's text and voice."""
    text, identity, audio_text, voice = scales
    return GuidanceChain(
        nothing,
        [
            GuidanceTerm(condition=references, video=identity, audio=voice),
            GuidanceTerm(condition=everything, video=text, audio=audio_text),
        ],
    )


class Guider(io.ComfyNode):
    """Guidance chain as a GUIDER for SamplerCustomAdvanced."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_Guider",
            display_name="Guider (Wan R2V)",
            category="Wan R2V",
            description="Guides text, face and voice with scales of their own, for core's Sampler Custom Advanced.",
            inputs=[*condition_inputs(), *guidance_inputs()],
            outputs=[io.Guider.Output(display_name="guider")],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        positive: list[Any],
        negative: list[Any],
        text_scale: float,
        identity_scale: float,
        audio_text_scale: float,
        voice_scale: float,
    ) -> io.NodeOutput:
        """Make the guider."""
        scales = (text_scale, identity_scale, audio_text_scale, voice_scale)
        references = references_of(positive)
        conditions = {"nothing": negative, "everything": positive}
        if references is not None:
            conditions["references"] = host.set_in_conditioning(negative, {host.REFERENCES: references})
        guider = host.ChainGuider(model)
        second = "nothing" if references is None else "references"
        guider.set_chain(make_chain("nothing", second, "everything", scales), conditions)
        return io.NodeOutput(guider)
