"""`wan-r2v speak`: a script and recordings to speech."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from ..media import encode_wav, plan_output, read_sound, read_voice, write_bytes
from ..pipelines.speak import speak
from ..provenance import SyntheticTag, check_consent, to_metadata
from ..types import AudioClip
from ..voice.speak import LONGEST_REFERENCE, load_speech_model
from .arguments import parse_named_files
from .console import Console
from .output import package_version
from .wan_options import parse_device


def run_speak(options: argparse.Namespace, console: Console) -> None:
    """Speak the script that the options name, write the sound, and say who speaks when.

    Args:
        options: of `parser.build_parser`.   console: where to say it.
    Raises:
        InputError: the script or a voice can't be used.   OutputError: the sound can't be written.
        CheckpointError: the model is missing, damaged or of another kind.
    """
    consent = check_consent(options.consent, has_references=True)
    script = _read_script(options)
    output: Path = options.output or Path("speech.wav")
    if output.suffix.lower() != ".wav":
        raise InputError(f"--output: expected a .wav file, got {output.name}. Change the name.")
    output = plan_output(output, overwrite=options.overwrite, number=options.output is None)
    voices, notes = read_voices(options.voice)
    speech = load_speech_model(options.model, device=parse_device(options.device))
    bar = console.bar()
    spoken = speak(
        script,
        voices,
        speech,
        seed=options.seed,
        progress=lambda done, total: bar.update("speak", done, total),
    )
    tag = SyntheticTag(model="pocket_tts", consent=consent, seed=options.seed, version=package_version())
    path = write_bytes(
        output, encode_wav(spoken.audio, metadata=to_metadata(tag)), overwrite=options.overwrite
    )
    seconds = spoken.audio.waveform.shape[1] / spoken.audio.sample_rate
    notes += spoken.notes
    lines = [
        *(f"{turn.start:.2f}-{turn.end:.2f} s {turn.name}: {turn.words}" for turn in spoken.turns),
        *(f"note: {note}" for note in notes),
        f"made {path}: {seconds:.2f} s at {spoken.audio.sample_rate} Hz; its comment says that it is synthetic.",
    ]
    turns = [
        {"name": turn.name, "words": turn.words, "start": round(turn.start, 3), "end": round(turn.end, 3)}
        for turn in spoken.turns
    ]
    content = {"output": str(path), "seconds": round(seconds, 3), "turns": turns, "notes": notes}
    console.show(lines, content)


def _read_script(options: argparse.Namespace) -> str:
    """The script itself, or the content of the file."""
    if (options.script is None) == (options.script_file is None):
        got = "neither" if options.script is None else "both"
        raise InputError(f"script: expected --script or --script-file, got {got}. Give one of them.")
    if options.script is not None:
        return options.script
    try:
        return options.script_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"script: expected a text file, got {type(error).__name__} at {options.script_file}. Check the path."
        ) from error


def read_voices(texts: list[str]) -> tuple[dict[str, AudioClip], list[str]]:
    """Recordings by name; a single one without a name is character1's. And notes about them.

    Raises: InputError: several recordings of one name, or one that holds no usable voice.
    """
    if len(texts) == 1 and "=" not in texts[0]:
        texts = [f"character1={texts[0]}"]
    voices: dict[str, AudioClip] = {}
    notes: list[str] = []
    for name, files in parse_named_files("--voice", texts).items():
        if len(files) > 1:
            raise InputError(
                f"--voice: expected one recording of {name}, got {len(files)}. Give the best one."
            )
        sound = read_voice(files[0])
        # Checked and trimmed at 16 kHz; the model itself listens at 24 kHz.
        voices[name] = sound.clip
        if not sound.notes:
            voices[name] = read_sound(files[0], LONGEST_REFERENCE, 24_000).clip
        notes += [f"{name}: {note}" for note in sound.notes]
    return voices, notes
