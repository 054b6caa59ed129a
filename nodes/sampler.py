"""The whole sampling loop in one node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..wan_core.sampling import AVTimesteps, StepInfo, av_noise, flow_sigmas, lead_audio, sample
from ..wan_core.sampling.guard import NumberGuard
from ..wan_core.types import AVLatents
from . import host
from .convert import both_of, given_frames_of, latent_from
from .guidance import (
    DEFAULTS,
    condition_inputs,
    guidance_inputs,
    make_chain,
    references_of,
    schedule_inputs,
    single,
)
from .host import io
from .sockets import References


@dataclass(frozen=True)
class Condition:
    """A prompt's context (1, L, D) and the references that go with it."""

    context: torch.Tensor
    references: References | None


class Sampler(io.ComfyNode):
    """The engine's whole sampling loop."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_Sampler",
            display_name="Sampler (Wan R2V)",
            category="Wan R2V",
            description="Samples picture and sound together, the sound a little ahead so that the lips can follow it.",
            inputs=[
                *condition_inputs(),
                io.Latent.Input(
                    "latent", tooltip="Size and length, and a first frame if any, from Empty Latent."
                ),
                *schedule_inputs(DEFAULTS.steps, DEFAULTS.shift),
                io.Int.Input(
                    "audio_lead",
                    default=DEFAULTS.audio_lead,
                    min=0,
                    max=100,
                    tooltip="Steps that the sound is ahead.",
                ),
                *guidance_inputs(),
                io.Boolean.Input("preview", default=True, tooltip="Show the picture while it is being made."),
            ],
            outputs=[io.Latent.Output(display_name="latent")],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        positive: list[Any],
        negative: list[Any],
        latent: dict[str, Any],
        seed: int,
        steps: int,
        shift: float,
        audio_lead: int,
        text_scale: float,
        identity_scale: float,
        audio_text_scale: float,
        voice_scale: float,
        preview: bool,
    ) -> io.NodeOutput:
        """Run the loop."""
        device = host.place(model)
        transformer = host.joint_model(model)
        video, audio = both_of(latent, "Use Empty Latent (Wan R2V).")
        noise = av_noise(tuple(video.shape), tuple(audio.shape), seed)
        grid = flow_sigmas(steps, shift)
        sigmas = lead_audio(grid, grid, audio_lead)
        report = host.make_callback(model, len(sigmas.video) - 1, preview)

        def denoise(latents: AVLatents, timesteps: AVTimesteps, condition: Condition) -> AVLatents:
            return transformer.velocity(
                latents,
                timesteps,
                condition.context,
                condition.references,
                options={"sample_sigmas": grid},
            )

        def progress(step: StepInfo) -> None:
            report(step.index, step.denoised.video if step.is_moving[0] else None)

        references = references_of(positive)
        context = single(positive, "positive")[0].to(device)
        nothing = single(negative, "negative")[0].to(device)
        chain = make_chain(
            Condition(nothing, None),
            Condition(nothing, references),
            Condition(context, references),
            (text_scale, identity_scale, audio_text_scale, voice_scale),
        )
        placed = AVLatents(noise.video.to(device), noise.audio.to(device))
        result = sample(
            denoise,
            placed,
            sigmas,
            chain,
            first_frame=given_frames_of(latent),
            guard=NumberGuard(model=transformer),
            callback=progress,
        )
        return io.NodeOutput(latent_from(AVLatents(*map(host.intermediate, result))))
