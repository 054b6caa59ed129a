"""What the options of `wan-r2v generate` mean for HuMo."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..media import read_photo, read_sound, resample
from ..media.video_file import AAC_RATE
from ..pipelines import Character
from ..pipelines.humo_request import HumoRequest
from ..pipelines.speak import SpeakProgress, speak
from ..pipelines.wan_request import WanRequest
from ..types import AudioClip
from ..voice.speak import load_speech_model
from ..voice.whisper import LONGEST_SECONDS, SAMPLE_RATE
from .arguments import parse_named_files, parse_size
from .speak import read_voices
from .wan_options import parse_device, parse_interval

#: Options that only HuMo understands, and those that it does not: attribute -> option.
HUMO_ONLY = {
    "speech": "--speech",
    "whisper": "--whisper",
    "say": "--say",
    "speech_model": "--speech-model",
}
NOT_HUMO = {
    "model_low": "--model-low",
    "clip_vision": "--clip-vision",
    "lora_high": "--lora-high",
    "lora_low": "--lora-low",
    "guidance": "--guidance",
    "preset": "--preset",
    "first_frame": "--first-frame",
    "last_frame": "--last-frame",
    "method": "--method",
    "adapter": "--adapter",
    "reference_guidance": "--reference-guidance",
    "identity_preset": "--identity-preset",
    "identity_slider": "--identity-slider",
    "identity_window": "--identity-window",
    "region": "--region",
    "face": "--face",
    "shot_type": "--shot-type",
    "weights": "--weights",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HumoJob:
    """A clip to make: the request, its sound, its pictures by name, and notes about how files were read."""

    request: HumoRequest
    sound: AudioClip
    characters: tuple[Character, ...]
    notes: tuple[str, ...]


def refuse_speech_options(options: argparse.Namespace) -> None:
    """Refuse what only HuMo understands.

    Raises: InputError: one was given.
    """
    for name, option in HUMO_ONLY.items():
        if getattr(options, name) is not None:
            raise InputError(
                f"{option}: expected it with a HuMo model alone, got it without one. Leave it out."
            )


def refuse_other_options(options: argparse.Namespace) -> None:
    """Refuse what HuMo does not understand.

    Raises: InputError: one was given.
    """
    for name, option in NOT_HUMO.items():
        value = getattr(options, name)
        if value is not None and value is not False and value != []:
            raise InputError(f"{option}: expected none with HuMo, got one. Leave it out.")


def read_whisper(options: argparse.Namespace) -> Path:
    """Where Whisper is.

    Raises: InputError: it was not named.
    """
    path: Path | None = options.whisper
    if path is None:
        raise InputError(
            "Whisper: expected whisper-large-v3 for HuMo, got none. Name its folder, or "
            "whisper_large_v3_encoder_fp16.safetensors, with --whisper."
        )
    return path


def read_speech(
    options: argparse.Namespace, progress: SpeakProgress
) -> tuple[AudioClip, AudioClip, list[str]]:
    """What is said: a recording, or words that are spoken first.

    Returns: mono at 16 kHz as HuMo hears it; the sound of the clip; notes.
    Raises: InputError: neither or both, or a recording, script or voice that can't be used.
        CheckpointError: the speech model is missing or damaged.
    """
    path: Path | None = options.speech
    if (path is None) == (options.say is None):
        got = "none" if path is None else "both"
        raise InputError(
            f"speech: expected a recording (--speech) or words (--say) for HuMo, got {got}. Give one of them."
        )
    if path is not None:
        for name, option in (("voice", "--voice"), ("speech_model", "--speech-model")):
            if getattr(options, name):
                raise InputError(
                    f"{option}: expected it with --say alone, got it with --speech. Leave it out."
                )
        heard = read_sound(path, LONGEST_SECONDS)
        return heard.clip, read_sound(path, LONGEST_SECONDS, AAC_RATE).clip, list(heard.notes)
    if options.speech_model is None or not options.voice:
        missing = "--speech-model" if options.speech_model is None else "--voice"
        raise InputError(
            f"{missing}: expected it with --say, got none. Words need a speech model and a voice's recording."
        )
    voices, notes = read_voices(options.voice)
    model = load_speech_model(options.speech_model, device=parse_device(options.device))
    spoken = speak(options.say, voices, model, seed=options.seed, progress=progress)
    return resample(spoken.audio, SAMPLE_RATE), spoken.audio, [*notes, *spoken.notes]


def read_humo_request(options: argparse.Namespace, progress: SpeakProgress) -> HumoJob:
    """The clip that the options describe.

    Args: progress: told while words are spoken.
    Raises: as `read_speech`; InputError: a picture that can't be used.
    """
    heard, sound, notes = read_speech(options, progress)
    pictures = [
        (name, read_photo(photo))
        for name, photos in parse_named_files("--reference", options.reference).items()
        for photo in photos
    ]
    notes += [f"{name}: {note}" for name, picture in pictures for note in picture.notes]
    clip = WanRequest(
        prompt=options.prompt,
        negative_prompt=options.negative_prompt,
        size=None if options.size is None else parse_size(options.size),
        frames=options.frames,
        duration=options.duration,
        seed=options.seed,
        steps=options.steps,
        shift=options.shift,
        solver=options.solver,
        rule=options.guidance_rule or "plain",
        interval=parse_interval(options.guidance_interval),
    )
    people = {name: [own.pixels for given, own in pictures if given == name] for name, _ in pictures}
    characters = tuple(Character(name=name, photos=tuple(photos)) for name, photos in people.items())
    request = HumoRequest(
        clip=clip,
        speech=heard,
        pictures=tuple(picture.pixels for _, picture in pictures),
        text=options.text_scale,
        voice=options.voice_scale,
        likeness=options.identity_scale,
    )
    return HumoJob(request=request, sound=sound, characters=characters, notes=tuple(notes))
