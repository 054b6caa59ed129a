"""The nodes that speak a script in the voices of recordings."""

from __future__ import annotations

from typing import Any

from ..wan_core.errors import InputError
from ..wan_core.media import prepare_voice, resample
from ..wan_core.pipelines.speak import speak
from ..wan_core.provenance import CONSENT_MEANINGS
from ..wan_core.sampling.noise import MAX_SEED
from ..wan_core.types import AudioClip
from ..wan_core.voice.speak import SpeechModel, load_speech_model
from . import host
from .characters import NAMES, UNSAID
from .convert import audio_from_clip, clip_from_audio
from .host import io
from .sockets import SpeechSocket

FOLDER = "tts"
NO_MODEL = "put Pocket TTS into models/tts"


class LoadSpeechModel(io.ComfyNode):
    """A speech model from a folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_LoadSpeechModel",
            display_name="Load Speech Model (Wan R2V)",
            category="Wan R2V",
            description="Loads Pocket TTS in transformers' format, 100 million parameters, from models/tts. Runs on "
            "the CPU. Weights: CC-BY-4.0, Kyutai; consent of the person is a condition of their use.",
            inputs=[
                io.Combo.Input(
                    "folder",
                    options=host.model_folders(FOLDER, "processor_config.json") or [NO_MODEL],
                    tooltip="Folder in models/tts with config.json, the weights and the codec in audio_tokenizer.",
                )
            ],
            outputs=[SpeechSocket.Output(display_name="speech")],
        )

    @classmethod
    def execute(cls, folder: str) -> io.NodeOutput:
        """Load."""
        return io.NodeOutput(load_speech_model(host.model_folder(FOLDER, folder)))


class Speak(io.ComfyNode):
    """A script and voices to speech."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_Speak",
            display_name="Speak (Wan R2V)",
            category="Wan R2V",
            description="Speaks a script, each line in its character's voice, one after another.",
            inputs=[
                SpeechSocket.Input("speech", tooltip="Model, from Load Speech Model."),
                io.String.Input(
                    "script",
                    multiline=True,
                    default='character1 says: "Hello."',
                    tooltip='Lines such as character1 says: "Hello." [pause 1 s] before a line is silence, [2.5 s] its '
                    "time. A text without names and quotes is spoken by the only voice.",
                ),
                io.Combo.Input(
                    "consent",
                    options=[UNSAID, *CONSENT_MEANINGS],
                    tooltip="On what ground the voices are used. "
                    + "; ".join(f"{word}: {meaning}" for word, meaning in CONSENT_MEANINGS.items()),
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=MAX_SEED,
                    control_after_generate=True,
                    tooltip="Of the noise; another seed says it another way.",
                ),
                *(
                    io.Audio.Input(name, optional=True, tooltip=f"Recording of {name}'s voice, 5 to 20 s.")
                    for name in NAMES
                ),
            ],
            outputs=[
                io.Audio.Output(display_name="audio"),
                io.String.Output(display_name="turns", tooltip="Who speaks from when to when, a line each."),
                io.String.Output(display_name="notes", tooltip="What was noticed about voices and speech."),
            ],
        )

    @classmethod
    def execute(
        cls,
        speech: SpeechModel,
        script: str,
        consent: str,
        seed: int,
        character1: dict[str, Any] | None = None,
        character2: dict[str, Any] | None = None,
        character3: dict[str, Any] | None = None,
        character4: dict[str, Any] | None = None,
        character5: dict[str, Any] | None = None,
    ) -> io.NodeOutput:
        """Check the voices and speak."""
        if consent == UNSAID:
            words = ", ".join(CONSENT_MEANINGS)
            raise InputError(f"voices: expected a consent of {words}, got none. Choose the one that holds.")
        voices: dict[str, AudioClip] = {}
        notes: list[str] = []
        given = (character1, character2, character3, character4, character5)
        for name, audio in zip(NAMES, given, strict=True):
            if audio is not None:
                voices[name], said = prepare_voice(resample(clip_from_audio(audio, name)), f" for {name}")
                notes += [f"{name}: {note}" for note in said]
        bars: list[Any] = []

        def show(done: int, total: int) -> None:
            host.check_interrupted()
            if not bars:
                bars.append(host.progress_bar(total))
            elif done:
                bars[0].update(1)

        spoken = speak(script, voices, speech, seed=seed, progress=show)
        turns = "\n".join(f"{t.start:.2f}-{t.end:.2f} s {t.name}: {t.words}" for t in spoken.turns)
        return io.NodeOutput(audio_from_clip(spoken.audio), turns, "\n".join((*notes, *spoken.notes)))
