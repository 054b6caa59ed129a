"""`wan-r2v encode-voice`: a recording to a file of voice tokens and the card of the voice."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..checkpoints.nano import load_part
from ..media import plan_output, read_voice, write_bytes
from ..pipelines.bundle import default_folder
from ..pipelines.references import encode_voice
from ..pipelines.voice_file import SUFFIX, VoiceInfo, encoder_fingerprint, voice_to_bytes
from ..provenance import check_consent
from ..report.voice_card import draw_voice_card, encode_png
from ..voice.encoder import VoiceEncoder
from .console import Console


def run_encode_voice(options: argparse.Namespace, console: Console) -> None:
    """Encode the recording that the options name; write tokens and card, and say what was heard.

    Args:
        options: of `parser.build_parser`.   console: where to say it.
    Raises:
        InputError: no usable voice in the recording.   OutputError: a file can't be written.
        CheckpointError: the voice encoder is missing or damaged.
    """
    check_consent(options.consent, has_references=True)
    source: Path = options.sound
    output = plan_output(
        options.output or Path(f"{source.stem}{SUFFIX}"),
        overwrite=options.overwrite,
        number=options.output is None,
    )
    picture = plan_output(card_path(output), overwrite=options.overwrite)
    sound = read_voice(source)
    folder = default_folder() if options.weights is None else options.weights
    encoder: VoiceEncoder = load_part(folder / "voice.safetensors", "voice")
    seconds = sound.clip.waveform.shape[1] / sound.clip.sample_rate
    info = VoiceInfo(encoder=encoder_fingerprint(encoder), source=source.name, seconds=seconds)
    card, facts = draw_voice_card(sound.clip, f"Voice of {source.name}", sound.notes)
    data = voice_to_bytes(encode_voice(encoder, sound.clip), info)
    written = write_bytes(output, data, overwrite=options.overwrite)
    shown = write_bytes(picture, encode_png(card), overwrite=options.overwrite)
    lines = [
        *facts.lines(),
        *(f"note: {note}" for note in sound.notes),
        f"made {written}: use it as --voice character1={written}",
        f"card: {shown}",
    ]
    content = {
        "output": str(written),
        "card": str(shown),
        "seconds": round(seconds, 3),
        "voiced_seconds": round(facts.voiced_seconds, 3),
        "median_pitch": round(facts.median_pitch, 2),
        "pitch_range": round(facts.pitch_range, 2),
        "syllable_rate": round(facts.syllable_rate, 2),
        "pauses": [round(pause, 3) for pause in facts.pauses],
        "notes": list(sound.notes),
    }
    console.show(lines, content)


def card_path(tokens: Path) -> Path:
    """Where the card of me.voice.safetensors goes: me.voice.png."""
    return tokens.with_name(f"{tokens.name.removesuffix(tokens.suffix)}.png")
