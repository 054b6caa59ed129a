"""What the options of `wan-r2v generate` mean for the joint models, Ovi and DreamID-Omni."""

from __future__ import annotations

import argparse

from ..errors import InputError
from ..media import read_photo
from ..media.sound import read_sound
from ..pipelines.ovi_files import OviFiles
from ..pipelines.ovi_request import OviRequest
from ..pipelines.request import Character
from .arguments import parse_face, parse_named_files, parse_size
from .faces import read_detector, read_pictures
from .wan_options import parse_guidance, parse_loras

#: Options that only a joint model understands: attribute -> option.
JOINT_ONLY = {
    "audio_vae": "--audio-vae",
    "vocoder": "--vocoder",
    "variant": "--variant",
    "voice_span": "--voice-span",
    "negative_sound": "--negative-sound",
}
#: Attributes of the options that a joint model understands beside these.
UNDERSTOOD = frozenset(
    (
        *JOINT_ONLY,
        *("command", "json", "debug", "output", "overwrite", "seed", "steps", "size", "duration", "frames"),
        *("prompt", "negative_prompt", "first_frame", "reference", "voice", "face", "consent", "audio"),
        *("model", "vae", "text_encoder", "tokenizer", "guidance", "reference_guidance", "solver", "shift"),
        *("detector", "detector_model", "watermark", "vram", "device", "dtype", "safe"),
        *("report", "recogniser", "lora"),
    )
)


def refuse_joint_options(options: argparse.Namespace) -> None:
    """Refuse what only a joint model understands.

    Raises: InputError: one was given.
    """
    for name, option in JOINT_ONLY.items():
        if getattr(options, name) is not None:
            raise InputError(
                f"{option}: expected it with Ovi or DreamID-Omni alone, got it with another model. Leave it out."
            )


def refuse_other_options(options: argparse.Namespace) -> None:
    """Refuse what a joint model does not understand.

    Raises: InputError: one was given.
    """
    for name, value in vars(options).items():
        if name in UNDERSTOOD or value is None or value is False or value == []:
            continue
        option = f"--{name.replace('_', '-')}"
        raise InputError(f"{option}: expected none with Ovi and DreamID-Omni, got one. Leave it out.")
    if options.recogniser is not None and not options.report:
        raise InputError("--recogniser: expected --report with it, got none. Add --report, or leave it out.")


def read_ovi_files(options: argparse.Namespace) -> OviFiles:
    """Files that the options name."""
    return OviFiles(
        model=options.model,
        vae=options.vae,
        text_encoder=options.text_encoder,
        tokenizer=options.tokenizer,
        audio_vae=options.audio_vae,
        vocoder=options.vocoder,
        variant=options.variant,
        loras=parse_loras("--lora", options.lora),
    )


def read_ovi_request(options: argparse.Namespace) -> tuple[OviRequest, list[str]]:
    """The request that the options describe, and notes about how photos and recordings were read.

    Raises: InputError: something given can't be used.
    """
    characters, notes = _read_characters(options)
    first_frame = None
    if options.first_frame is not None:
        picture = read_photo(options.first_frame)
        first_frame = picture.pixels
        notes += picture.notes
    references: float | None = vars(options).get("reference_guidance")
    request = OviRequest(
        prompt=options.prompt,
        negative_prompt=options.negative_prompt,
        negative_sound=options.negative_sound,
        characters=characters,
        first_frame=first_frame,
        size=None if options.size is None else parse_size(options.size),
        frames=options.frames,
        duration=options.duration,
        seed=options.seed,
        steps=options.steps,
        shift=options.shift,
        solver=options.solver,
        guidance=parse_guidance(options.guidance),
        reference_guidance=None if references is None else (references, references),
        voice_span=options.voice_span or "best",
    )
    return request, notes


def _read_characters(options: argparse.Namespace) -> tuple[tuple[Character, ...], list[str]]:
    """Photos and whole recordings; which second of a recording counts is decided later."""
    photos = parse_named_files("--reference", options.reference)
    voices = parse_named_files("--voice", options.voice)
    face, detector = parse_face(options.face or "auto"), read_detector(options)
    characters: list[Character] = []
    notes: list[str] = []
    for name in dict.fromkeys((*photos, *voices)):
        encoded = [path.name for path in photos.get(name, []) if path.suffix == ".safetensors"]
        if encoded:
            raise InputError(
                f"--reference: expected photos or videos for DreamID-Omni, got the encoded face {encoded[0]}. "
                "It takes the picture itself."
            )
        pictures = read_pictures(photos.get(name, []), detector, face)
        recordings = voices.get(name, [])
        if len(recordings) > 1:
            notes.append(f"{name}: {len(recordings)} recordings given; {recordings[0].name} is used.")
        sound = read_sound(recordings[0]) if recordings else None
        told = [note for read in (pictures, sound) if read is not None for note in read.notes]
        notes += [f"{name}: {note}" for note in told]
        characters.append(
            Character(
                name=name,
                photos=pictures.photos,
                voice=None if sound is None else sound.clip,
                face=face,
                detector=detector,
            )
        )
    return tuple(characters), notes
