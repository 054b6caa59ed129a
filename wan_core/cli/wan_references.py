"""References of `wan-r2v generate --model`: photos and videos, how strongly they act, what is said of them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..errors import ConfigError, InputError
from ..identity.strength import Strength, preset, slide
from ..media import read_video
from ..media.video_frames import VIDEO_SUFFIXES
from ..pipelines import Character
from ..pipelines.memory import file_bytes
from ..pipelines.memory_phases import GB
from ..pipelines.wan_methods import BERNINI
from ..pipelines.wan_plan import WanPlan
from .arguments import parse_face, parse_named_files
from .faces import check_regions, read_detector, read_person, read_regions
from .wan_options import parse_numbers

#: Options that say how references act: attribute -> option.
STRENGTH_OPTIONS = {
    "identity_scale": "--identity-scale",
    "identity_preset": "--identity-preset",
    "identity_slider": "--identity-slider",
    "identity_window": "--identity-window",
    "reference_guidance": "--reference-guidance",
}


def read_characters(options: argparse.Namespace) -> tuple[tuple[Character, ...], list[str]]:
    """Read the files that --reference names; a video becomes frames at the rate of Bernini-R.

    Returns: characters in the order of their names' first mention, and notes for the user.
    Raises: InputError: a file that can not be read, or an argument of another form.
    """
    regions = read_regions(options.region)
    face, detector = parse_face(options.face or "auto"), read_detector(options)
    characters: list[Character] = []
    notes: list[str] = []
    for name, paths in parse_named_files("--reference", options.reference).items():
        # Lynx reads a face: of a video, the frames that show it best. Bernini-R reads the video itself.
        is_video = [path.suffix.lower() in VIDEO_SUFFIXES and not options.adapter for path in paths]
        videos = [_read_frames(path) for path, is_it in zip(paths, is_video, strict=True) if is_it]
        person = read_person(
            [path for path, is_it in zip(paths, is_video, strict=True) if not is_it], detector, face
        )
        notes += [f"{name}: {note}" for note in person.notes]
        characters.append(
            Character(
                name=name,
                photos=person.photos,
                videos=tuple(videos),
                identity=person.identity,
                face=face,
                detector=detector,
                regions=regions.get(name, ()),
            )
        )
    check_regions(regions, [own.name for own in characters])
    return tuple(characters), notes


def read_strength(options: argparse.Namespace) -> Strength:
    """How strongly references act: a preset or a place on the slider, times a scale, in a window of noise levels.

    Raises: InputError: an option without references, a preset and a slider, or values that can not be used.
    """
    given = [option for name, option in STRENGTH_OPTIONS.items() if getattr(options, name) is not None]
    if given and not options.reference:
        raise InputError(
            f"{given[0]}: expected a --reference with it, got none. Name a photo, or leave it out."
        )
    if options.identity_preset is not None and options.identity_slider is not None:
        raise InputError(
            "--identity-slider: expected it without --identity-preset, got both. Leave one of them out."
        )
    try:
        return _shaped_strength(options)
    except ConfigError as error:
        raise InputError(str(error)) from error


def _shaped_strength(options: argparse.Namespace) -> Strength:
    strength = Strength()
    if options.identity_preset is not None:
        strength = preset(options.identity_preset)
    elif options.identity_slider is not None:
        strength = slide(options.identity_slider)
    if options.identity_scale is not None:
        strength = replace(strength, scale=strength.scale * options.identity_scale)
    if options.identity_window is not None:
        numbers = parse_numbers(options.identity_window)
        if len(numbers) != 2:
            raise InputError(
                "--identity-window: expected LOW,HIGH such as 0.2,1, got "
                f"{options.identity_window!r}. Write two noise levels from 0 to 1."
            )
        strength = replace(strength, low=numbers[0], high=numbers[1])
    return strength


def describe_references(plan: WanPlan) -> list[str]:
    """Lines about the references of a plan, before the first weight is read."""
    characters = plan.request.characters
    if not characters:
        return []
    people = ", ".join(f"{own.name} ({_count(own)})" for own in characters)
    if not plan.has_references:
        return [f"references: {people}; their strength is 0, so they are not read"]
    lines = [f"references: {people} by {plan.model.family.method}"]
    scales = plan.settings.reference_guidance
    if scales is not None:
        low, high = scales
        both = f"{low:g} and {high:g} (low and high noise)" if low != high else f"{low:g}"
        lines.append(
            f"guidance by the references: {both}; {len(plan.recipe.evaluations)} evaluations a step at most"
        )
    if plan.model.adapter is not None:
        size = plan.options.work_dtype
        weights = file_bytes(plan.model.adapter.header, size) / GB
        kept = plan.references.key_values * size.itemsize / GB
        lines.append(
            f"identity adapter: {weights:.2f} GB in main memory while it is read, then {kept:.2f} GB of keys and values"
        )
    factors = [factor for table in plan.strengths for row in table.rows for factor in row]
    if any(factor != 1.0 for factor in factors):
        lines.append(f"strength: {min(factors):.2f} to {max(factors):.2f} of what was trained")
    return lines


def _count(character: Character) -> str:
    parts = {"photo": len(character.photos), "video": len(character.videos)}
    return ", ".join(
        f"{number} {what}{'s' if number > 1 else ''}" for what, number in parts.items() if number
    )


def _read_frames(path: Path) -> Tensor:
    """Frames of a video at the rate of Bernini-R's clips, (F, H, W, 3) uint8: the nearest in time of each."""
    clip = read_video(path)
    rate = clip.fps if clip.fps > 0 else float(BERNINI.fps)
    seconds = clip.frames.shape[0] / rate
    count = max(1, round(seconds * BERNINI.fps))
    places = (torch.arange(count) * rate / BERNINI.fps).round().long().clamp(max=clip.frames.shape[0] - 1)
    return clip.frames[places]
