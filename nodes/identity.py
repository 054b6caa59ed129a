"""The node that puts a face into a Wan MODEL."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..wan_core.errors import InputError
from ..wan_core.identity.strength import Strength
from . import host
from .host import io
from .lynx import prepare_face, read_pictures
from .regions import ActiveRegion, RegionSocket
from .sockets import FaceReference, IdentitySocket, ShapedStrength, StrengthSocket

SETS = ("face", "nobody")


class ApplyIdentity(io.ComfyNode):
    """A face in every block of a Wan transformer."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        scale = {"default": 1.0, "min": 0.0, "max": 3.0, "step": 0.05}
        return io.Schema(
            node_id="WanR2V_ApplyIdentity",
            display_name="Apply Identity (Wan R2V)",
            category="Wan R2V/Identity",
            description="Prepares the keys and values of a face once, and adds them to a Wan model: that of Load Wan "
            "Model or of core's loaders.",
            inputs=[
                io.Model.Input(
                    "model", tooltip="Wan 2.1 T2V 14B, with its LoRAs, from Load Wan Model or core."
                ),
                io.Conditioning.Input("positive", tooltip="Prompt; it is marked to be about the face."),
                io.Conditioning.Input(
                    "negative", tooltip="Negative prompt; it is marked to be about nobody."
                ),
                IdentitySocket.Input("identity", tooltip="Face, from Encode Face."),
                io.Float.Input(
                    "identity_scale", **scale, tooltip="Strength of the face; 0 off, 1 as trained."
                ),
                io.Float.Input(
                    "reference_scale",
                    **scale,
                    tooltip="Strength of its picture (full only); 0 off, 1 as trained.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**64 - 2,
                    tooltip="For the picture's latents (full only): that of the sampler, as the official code does.",
                ),
                io.Vae.Input("vae", optional=True, tooltip="Wan 2.1's VAE; full needs it."),
                io.Clip.Input("clip", optional=True, tooltip="umT5; full needs it for its own short prompt."),
                StrengthSocket.Input("strength", optional=True, tooltip="From Identity Strength."),
                RegionSocket.Input("region", optional=True, tooltip="Where it acts, from Identity Region."),
            ],
            outputs=[
                io.Model.Output(display_name="model"),
                io.Conditioning.Output(display_name="positive"),
                io.Conditioning.Output(display_name="negative"),
                io.String.Output(display_name="notes", tooltip="Memory before and after."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        positive: list[Any],
        negative: list[Any],
        identity: FaceReference,
        identity_scale: float,
        reference_scale: float,
        seed: int,
        vae: Any = None,
        clip: Any = None,
        strength: ShapedStrength | None = None,
        region: ActiveRegion | None = None,
    ) -> io.NodeOutput:
        """Prepare, and put the result on a clone of the model."""
        if not isinstance(identity, FaceReference):
            raise InputError(
                "identity: expected a face of Encode Face, got one of nano. Use Apply Characters."
            )
        shape = Strength() if strength is None else strength.strength
        config = identity.adapter.config
        own_scale = reference_scale if config.has_reference else 0.0
        cross, own = (replace(shape, scale=shape.scale * value) for value in (identity_scale, own_scale))
        if cross.scale == 0.0 and own.scale == 0.0:
            return io.NodeOutput(model, positive, negative, "identity: off, the model is as it was.")
        tower, notes = host.wan_tower(model), list[str]()
        pictures = read_pictures(identity, vae, clip, seed, notes) if config.has_reference else None
        prepared = prepare_face(model, tower, identity, pictures)
        sets = {
            name: host.HeldReferences(branch.identity, branch.reference)
            for name, branch in zip(SETS, (prepared.face, prepared.nobody), strict=True)
        }
        result = host.apply_identity(
            model,
            sets,
            cross,
            own,
            is_bound=config.variant == "full",
            region=None if region is None else region.weights,
        )
        marked = host.mark(positive, SETS[0]), host.mark(negative, SETS[1])
        return io.NodeOutput(result, *marked, "\n".join([prepared.memory_note(), *notes]))
