"""The published joint models, Ovi and DreamID-Omni: what tells them apart and how they are sampled by default."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import InputError

#: How a model wants sounds described: between tags, in a last line, or cut out of the caption.
SoundStyle = Literal["tags", "line", "removed"]

FPS = 24
#: Samples of sound a latent, and Hz.
LATENT_SAMPLES, SAMPLE_RATE = 512, 16_000
#: Pixels a latent cell, and what width and height must be multiples of.
STRIDE, GRID = 16, 32
LATENT_CHANNELS, AUDIO_CHANNELS = 48, 20
_NEGATIVE, _NEGATIVE_SOUND = "jitter, bad hands, blur, distortion", "robotic, muffled, echo, distorted"


@dataclass(frozen=True, slots=True, kw_only=True)
class OviFamily:
    """One published model; the files of all have the same header.

    Attributes:
        name: as published.   key: by which it is chosen.   hints: expressions for names of its files.
        frames, audio_length: usual length in frames and in latents of sound.
        size: usual width and height; the area is what counts.
        sound: see `SoundStyle`.   position_scale: latent frames of the video between two latents of the sound.
        guidance: scale of the prompt on picture and sound.   skipped: blocks that the negative pass leaves out.
        reference_guidance: scale of the faces on the picture and of the voices on the sound; None: no references.
        steps, shift: of the sampler.   licence: key of `checkpoints.licences`.
    Source: character-ai/Ovi@5b69b25 ovi/ovi_fusion_engine.py, ovi/configs/inference/inference_fusion.yaml;
        Guoxu1233/DreamID-Omni@9a9f456 dreamid_omni/dreamid_omni_engine.py, configs/inference/inference_r2av.yaml.
    """

    name: str
    key: str
    hints: tuple[str, ...]
    frames: int = 121
    audio_length: int = 157
    size: tuple[int, int]
    sound: SoundStyle
    position_scale: float = 0.19676
    guidance: tuple[float, float] = (4.0, 3.0)
    skipped: tuple[int, ...] = (11,)
    reference_guidance: tuple[float, float] | None = None
    steps: int = 50
    shift: float = 5.0
    negative_prompt: str = _NEGATIVE
    negative_sound: str = _NEGATIVE_SOUND
    licence: str = "Ovi"

    @property
    def takes_references(self) -> bool:
        """Whether it is given faces and voices; such a model takes no first frame."""
        return self.reference_guidance is not None

    def sound_latents(self, frames: int) -> int:
        """Latents of sound for a clip of 4k + 1 frames; the published length where that is asked for."""
        if frames == self.frames:
            return self.audio_length
        return max(1, round(frames / FPS * SAMPLE_RATE / LATENT_SAMPLES))


OVI_720 = OviFamily(
    name="Ovi 1.0 (720x720, 5 s)",
    key="ovi-720",
    hints=(r"720", r"^model\.safetensors$", r"^model_fp8", r"ovi[-_ ]?1[._]0"),
    size=(960, 544),
    sound="tags",
)
OVI_960 = OviFamily(
    name="Ovi 1.1 (960x960, 5 s)",
    key="ovi-960",
    hints=(r"960", r"ovi[-_ ]?1[._]1"),
    size=(1280, 704),
    sound="line",
)
OVI_960_LONG = OviFamily(
    name="Ovi 1.1 (960x960, 10 s)",
    key="ovi-960-10s",
    hints=(r"10[-_ ]?s(?![a-z])",),
    frames=241,
    audio_length=314,
    size=(1280, 704),
    sound="line",
)
DREAMID = OviFamily(
    name="DreamID-Omni",
    key="dreamid-omni",
    hints=(r"dream[-_ ]?id",),
    size=(1280, 704),
    sound="removed",
    # 31 / 157, rounded to bfloat16 as the official code has it.
    position_scale=0.197265625,
    guidance=(3.0, 4.0),
    skipped=(),
    reference_guidance=(1.5, 2.0),
    licence="DreamID-Omni",
)
#: In the order in which names of files are looked at.
OVI_FAMILIES = (DREAMID, OVI_960_LONG, OVI_960, OVI_720)


def choose_ovi(key: str | None, path: Path, *, has_references: bool) -> tuple[OviFamily, tuple[str, ...]]:
    """Which of the models a file is: as told, as its name says, or as the request needs.

    Args: key: of a family, or None.   path: of the transformer.   has_references: faces or voices are given.
    Returns: the family, and a note where it was assumed.
    Raises: InputError: an unknown key.
    """
    if key is not None:
        found = next((family for family in OVI_FAMILIES if family.key == key), None)
        if found is None:
            raise InputError(
                f"variant: expected one of {', '.join(known_keys())}, got {key!r}. Leave it out to go by the name."
            )
        return found, ()
    names = [path.name] if path.is_dir() else [path.name, path.parent.name]
    for name in names:
        for family in OVI_FAMILIES:
            if any(re.search(hint, name.lower()) for hint in family.hints):
                return family, ()
    assumed = DREAMID if has_references else OVI_960
    note = (
        f"the files of Ovi and DreamID-Omni have the same header and the name {path.name} does not tell which it is: "
        f"taken as {assumed.name}. Say --variant {' or '.join(known_keys())} if it is another."
    )
    return assumed, (note,)


def known_keys() -> Sequence[str]:
    """Keys of all families."""
    return [family.key for family in OVI_FAMILIES]
