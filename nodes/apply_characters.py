"""How a character of nano reaches the model: injections on the prompt, as strong and where they are to act."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..wan_core.errors import InputError
from ..wan_core.identity.strength import Strength
from ..wan_core.pipelines.request import check_names
from . import host
from .host import io
from .regions import ActiveRegion, RegionSocket
from .sockets import (
    CharacterReference,
    CharacterSocket,
    References,
    ReferenceTokens,
    ShapedStrength,
    StrengthSocket,
)


class ApplyCharacters(io.ComfyNode):
    """Characters to injections on the CONDITIONING."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_ApplyCharacters",
            display_name="Apply Characters (Wan R2V)",
            category="Wan R2V",
            description="Prepares the keys and values of a character once, for all steps, and puts them on the prompt.",
            inputs=[
                io.Model.Input("model", tooltip="Model, from Load Wan R2V."),
                io.Conditioning.Input("positive", tooltip="Prompt that names the character."),
                CharacterSocket.Input("character", tooltip="Person, from Character."),
                io.Float.Input(
                    "identity_strength",
                    default=1.0,
                    min=0.0,
                    max=3.0,
                    step=0.05,
                    tooltip="Strength of the face; 0 leaves the model exactly as it is, 1 is as trained.",
                ),
                io.Float.Input(
                    "voice_strength",
                    default=1.0,
                    min=0.0,
                    max=3.0,
                    step=0.05,
                    tooltip="Strength of the voice; 0 leaves the model exactly as it is, 1 is as trained.",
                ),
                StrengthSocket.Input(
                    "strength", optional=True, tooltip="Shape of the face's strength, from Identity Strength."
                ),
                RegionSocket.Input(
                    "region", optional=True, tooltip="Where the face acts, from Identity Region."
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model"),
                io.Conditioning.Output(
                    display_name="positive", tooltip="Leave the negative prompt without characters."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        positive: list[Any],
        character: CharacterReference,
        identity_strength: float,
        voice_strength: float,
        strength: ShapedStrength | None = None,
        region: ActiveRegion | None = None,
    ) -> io.NodeOutput:
        """Prepare the injections."""
        for _, settings in positive:
            check_names((character,), settings.get(host.NAMED, ()))
        for what, given in (("strength", strength), ("region", region)):
            if given is not None and character.identity is None:
                raise InputError(
                    f"{what}: expected a face of {character.name} to shape, got a voice alone, which is heard "
                    "everywhere. Connect Encode Identity to Character, or leave it out."
                )
        shape = Strength() if strength is None else strength.strength
        factor = identity_strength * shape.scale
        towers = host.joint_model(model)
        is_plain = replace(shape, scale=1.0) == Strength() and region is None
        references = References(
            _prepare(model, towers.video_model, character.identity, factor),
            _prepare(model, towers.audio_model, character.voice, voice_strength),
            None
            if is_plain
            else host.FaceShape(replace(shape, scale=1.0), None if region is None else region.weights),
        )
        carried = references if references.video or references.audio else None
        return io.NodeOutput(
            model.clone(), host.set_in_conditioning(positive, {host.REFERENCES: carried, host.NAMED: ()})
        )


def _prepare(model: Any, tower: Any, reference: ReferenceTokens | None, strength: float) -> tuple[Any, ...]:
    """Injection of one reference into a tower; none where there is no reference or no strength."""
    if reference is None or strength == 0.0:
        return ()
    device = host.place(model, reference.layers)
    injection = reference.layers.model.prepare(
        reference.tokens.to(device), tower.key_norms(), tower.config.num_heads
    )
    return (injection.with_scale(strength).to(host.intermediate(reference.tokens).device),)
