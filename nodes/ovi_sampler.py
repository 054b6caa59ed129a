"""The whole sampling loop of Ovi and DreamID-Omni in one node."""

from __future__ import annotations

from typing import Any

from ..wan_core.errors import InputError
from ..wan_core.pipelines.ovi_family import DREAMID, OVI_960
from ..wan_core.pipelines.ovi_transformer import POSITIVE, OviCondition, guidance_chain
from ..wan_core.sampling import AVSigmas, AVTimesteps, StepInfo, av_noise, make_schedule, sample
from ..wan_core.sampling.guard import NumberGuard
from ..wan_core.sampling.schedule import SOLVERS
from ..wan_core.types import AVLatents
from . import host
from .convert import both_of, given_frames_of, latent_from
from .guidance import schedule_inputs, single
from .host import io
from .sockets import JointStreams

_FACES, _VOICES = DREAMID.reference_guidance or (0.0, 0.0)


def _scale(name: str, default: float, tooltip: str) -> io.Input:
    return io.Float.Input(name, default=default, min=0.0, max=20.0, step=0.1, tooltip=tooltip)


class OviSampler(io.ComfyNode):
    """The engine's sampling loop with the guidance of each model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_OviSampler",
            display_name="Sampler Ovi (Wan R2V)",
            category="Wan R2V/Ovi",
            description="Samples picture and sound together with the guidance of the model's authors: scales of their "
            "own, a skipped block (Ovi), faces and voices (DreamID-Omni).",
            inputs=[
                io.Model.Input("model", tooltip="Model, from Load Ovi."),
                io.Conditioning.Input(
                    "positive", tooltip="Prompt, with DreamID References on it if there are any."
                ),
                io.Conditioning.Input("negative", tooltip="Negative prompt, from the same node."),
                io.Latent.Input("latent", tooltip="Size and length, from Empty Ovi Latent."),
                *schedule_inputs(OVI_960.steps, OVI_960.shift),
                io.Combo.Input("solver", options=list(SOLVERS), tooltip="unipc as the official code."),
                io.Boolean.Input(
                    "official_guidance",
                    default=True,
                    tooltip="The scales of the model's authors; off: the scales below.",
                ),
                _scale("text_scale", OVI_960.guidance[0], "How strictly the picture follows the prompt."),
                _scale("audio_text_scale", OVI_960.guidance[1], "How strictly the sound follows the prompt."),
                _scale("face_scale", _FACES, "How strictly the picture follows the faces (DreamID-Omni)."),
                _scale("voice_scale", _VOICES, "How strictly the sound follows the voices (DreamID-Omni)."),
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
        solver: str,
        official_guidance: bool,
        text_scale: float,
        audio_text_scale: float,
        face_scale: float,
        voice_scale: float,
        preview: bool,
    ) -> io.NodeOutput:
        """Run the loop."""
        family = host.ovi_family(model)
        context, known = single(positive, "positive")
        other, unwanted = single(negative, "negative")
        streams = known.get(host.STREAMS)
        if (streams is not None) != family.takes_references:
            got = "some" if streams is not None else "none"
            raise InputError(
                f"positive: expected faces and voices for DreamID-Omni alone, got {got} for {family.name}. Connect "
                "DreamID References, or leave them out."
            )
        video, audio = both_of(latent, "Use Empty Ovi Latent.")
        device = host.place(model)
        transformer = host.joint_model(model)
        sound = unwanted.get(host.AUDIO_CONTEXT)
        contexts = (
            transformer.prepare(context.to(device)),
            transformer.prepare(other.to(device), None if sound is None else sound.to(device)),
        )
        references = streams or JointStreams()
        schedule = make_schedule(next(name for name in SOLVERS if name == solver), steps, shift)
        report = host.make_callback(model, steps, preview)

        def denoise(latents: AVLatents, timesteps: AVTimesteps, condition: OviCondition) -> AVLatents:
            host.check_interrupted()
            shown = references.without(video=not condition.has_faces, audio=not condition.has_voices)
            which = contexts[0 if condition.prompt == POSITIVE else 1]
            return transformer.velocity(
                latents, timesteps, which, streams=shown, skip_blocks=condition.skipped
            )

        def progress(step: StepInfo) -> None:
            report(step.index, step.denoised.video)

        scales = (text_scale, audio_text_scale), (face_scale, voice_scale)
        if official_guidance:
            scales = family.guidance, family.reference_guidance or (0.0, 0.0)
        noise = av_noise(tuple(video.shape), tuple(audio.shape), seed)
        result = sample(
            denoise,
            AVLatents(noise.video.to(device), noise.audio.to(device)),
            AVSigmas(schedule.sigmas, schedule.sigmas),
            guidance_chain(family, *scales),
            solver=schedule.solver,
            model_timesteps=AVSigmas(schedule.timesteps, schedule.timesteps),
            first_frame=given_frames_of(latent),
            guard=NumberGuard(model=transformer),
            callback=progress,
        )
        return io.NodeOutput(latent_from(AVLatents(*map(host.intermediate, result))))
