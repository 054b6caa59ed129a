"""Who is in the clip: a name with a face and a voice, and how that reaches the model."""

from __future__ import annotations

from typing import Any

from ..wan_core.errors import InputError
from ..wan_core.pipelines.request import check_names
from ..wan_core.provenance import CONSENT_MEANINGS
from . import host
from .host import io
from .sockets import (
    CharacterReference,
    CharacterSocket,
    IdentitySocket,
    References,
    ReferenceTokens,
    VoiceSocket,
)

NAMES = ("character1", "character2", "character3", "character4", "character5")
UNSAID = "choose"


class Character(io.ComfyNode):
    """Name, face, voice and consent of one person."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_Character",
            display_name="Character (Wan R2V)",
            category="Wan R2V",
            description="Names a person for the prompt and ties a face and a voice to the name.",
            inputs=[
                io.Combo.Input("name", options=list(NAMES), tooltip="What the prompt calls the person."),
                io.Combo.Input(
                    "consent",
                    options=[UNSAID, *CONSENT_MEANINGS],
                    tooltip="On what ground face and voice are used. "
                    + "; ".join(f"{word}: {meaning}" for word, meaning in CONSENT_MEANINGS.items()),
                ),
                IdentitySocket.Input("identity", optional=True, tooltip="Face, from Encode Identity."),
                VoiceSocket.Input("voice", optional=True, tooltip="Voice, from Encode Voice."),
            ],
            outputs=[CharacterSocket.Output(display_name="character")],
        )

    @classmethod
    def execute(
        cls,
        name: str,
        consent: str,
        identity: ReferenceTokens | None = None,
        voice: ReferenceTokens | None = None,
    ) -> io.NodeOutput:
        """Check and bind."""
        if identity is None and voice is None:
            raise InputError(
                f"{name}: expected a face or a voice, got neither. Connect Encode Identity or Encode Voice."
            )
        if identity is not None and not isinstance(identity, ReferenceTokens):
            raise InputError(
                f"{name}: expected a face of Encode Identity, got one for Lynx. Use Apply Identity."
            )
        require_consent(name, consent)
        return io.NodeOutput(CharacterReference(name, identity, voice, consent))


def require_consent(whose: str, consent: str) -> None:
    """Raises: InputError: nobody has said on what ground a person is shown."""
    if consent == UNSAID:
        words = ", ".join(CONSENT_MEANINGS)
        raise InputError(f"{whose}: expected a consent of {words}, got none. Choose the one that holds.")


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
    ) -> io.NodeOutput:
        """Prepare the injections."""
        for _, settings in positive:
            check_names((character,), settings.get(host.NAMED, ()))
        towers = host.joint_model(model)
        references = References(
            _prepare(model, towers.video_model, character.identity, identity_strength),
            _prepare(model, towers.audio_model, character.voice, voice_strength),
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
