"""Who is in the clip: a name with a face and a voice, and on what ground they are used."""

from __future__ import annotations

from ..wan_core.errors import InputError
from ..wan_core.provenance import CONSENT_MEANINGS
from .host import io
from .sockets import CharacterReference, CharacterSocket, IdentitySocket, ReferenceTokens, VoiceSocket

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


def consent_input(what: str) -> io.Input:
    """The choice of a consent, for a node that reads references which may show somebody."""
    return io.Combo.Input(
        "consent",
        options=[UNSAID, *CONSENT_MEANINGS],
        default=UNSAID,
        optional=True,
        tooltip=f"On what ground {what} used. "
        + "; ".join(f"{word}: {meaning}" for word, meaning in CONSENT_MEANINGS.items()),
    )


def require_consent(whose: str, consent: str) -> None:
    """Raises: InputError: nobody has said on what ground a person is shown."""
    if consent == UNSAID:
        words = ", ".join(CONSENT_MEANINGS)
        raise InputError(f"{whose}: expected a consent of {words}, got none. Choose the one that holds.")
