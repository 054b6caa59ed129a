"""What a user asks a joint model for, and what it comes to once the model is known."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from ..errors import InputError
from ..sampling.schedule import Schedule, SolverName, make_schedule
from .ovi_family import FPS, GRID, OviFamily
from .request import Character, check_once
from .request_checks import check_length, check_picture, check_sampling

VoiceSpan = Literal["best", "official"]
MAX_FRAMES = 961
#: Faces and voices that DreamID-Omni was trained with.
MAX_PEOPLE = 2
#: How far an area may be from the published one before the user is told.
_AREA_SLACK = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OviRequest:
    """A clip with sound; None takes the model's official value everywhere.

    Attributes:
        prompt: see `ovi_prompt.prepare_prompt`.   negative_prompt, negative_sound: what picture and sound avoid.
        characters: DreamID-Omni's references, one or two, each with a photo and a voice.
        first_frame: Ovi's picture that the clip begins with, (H, W, 3) uint8 RGB.
        size: width and height, multiples of 32. With a first frame it is the area; the shape is the picture's.
        frames: 4k + 1.   duration: seconds, instead of `frames`.   seed: 0 to 2**64 - 1.
        steps, shift: of the sampler.   solver: "unipc", "dpm++" or "euler".
        guidance, reference_guidance: scales on picture and sound, of the prompt and of the references.
        voice_span: which second of a recording is taken: "best", the one with most voice, or "official", from 1 to 2 s.
    Raises: InputError: a value that no model could use.
    """

    prompt: str = ""
    negative_prompt: str | None = None
    negative_sound: str | None = None
    characters: tuple[Character, ...] = ()
    first_frame: Tensor | None = None
    size: tuple[int, int] | None = None
    frames: int | None = None
    duration: float | None = None
    seed: int = 0
    steps: int | None = None
    shift: float | None = None
    solver: SolverName | None = None
    guidance: tuple[float, float] | None = None
    reference_guidance: tuple[float, float] | None = None
    voice_span: VoiceSpan = "best"

    def __post_init__(self) -> None:
        check_sampling(self.seed, self.steps, self.shift, self.solver)
        check_length(self.frames, self.duration)
        check_picture("first frame", self.first_frame)
        scales = (*(self.guidance or ()), *(self.reference_guidance or ()))
        if not all(math.isfinite(scale) and scale >= 0 for scale in scales):
            raise InputError(
                f"guidance: expected numbers of 0 or more, got {scales}. Leave them out for the default."
            )
        if self.voice_span not in ("best", "official"):
            raise InputError(
                f"voice span: expected best or official, got {self.voice_span!r}. Choose one of them."
            )
        check_once([character.name for character in self.characters])


@dataclass(frozen=True, slots=True, kw_only=True)
class OviSettings:
    """A request with every value decided; attributes as of `OviRequest`.

    size: of the clip.   audio_length: latents of sound.   slots: number of each character's picture, from 1.
    notes: for the user.
    """

    family: OviFamily
    negative_prompt: str
    negative_sound: str
    size: tuple[int, int]
    frames: int
    audio_length: int
    steps: int
    shift: float
    solver: SolverName
    guidance: tuple[float, float]
    reference_guidance: tuple[float, float]
    slots: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def latent_frames(self) -> int:
        """Latent frames of the video."""
        return (self.frames - 1) // 4 + 1

    def schedule(self) -> Schedule:
        """Solver, sigmas and timesteps, the same for both modalities."""
        return make_schedule(self.solver, self.steps, self.shift)


def resolve_ovi(request: OviRequest, family: OviFamily) -> OviSettings:
    """Decide what the request leaves open, and refuse what the model can not make.

    Raises: InputError: frames, size, pictures or characters that do not fit it.
    """
    _check_references(request, family)
    return _settings(request, family)


def usual_settings(family: OviFamily) -> OviSettings:
    """Settings of a clip of the family's usual size and length, with one person where it takes references."""
    settings = _settings(OviRequest(), family)
    return replace(settings, slots=(1,)) if family.takes_references else settings


def _settings(request: OviRequest, family: OviFamily) -> OviSettings:
    size = request.size or family.size
    if min(size) < GRID or any(side % GRID for side in size):
        near = "*".join(str(max(1, round(side / GRID)) * GRID) for side in size)
        raise InputError(
            f"size: expected multiples of {GRID} for {family.name}, got {size[0]}*{size[1]}. Use {near}."
        )
    if request.first_frame is not None:
        height, width = request.first_frame.shape[:2]
        size = picture_size(width, height, size[0] * size[1])
    frames = _frames(request, family)
    return OviSettings(
        family=family,
        negative_prompt=family.negative_prompt
        if request.negative_prompt is None
        else request.negative_prompt,
        negative_sound=family.negative_sound if request.negative_sound is None else request.negative_sound,
        size=size,
        frames=frames,
        audio_length=family.sound_latents(frames),
        steps=request.steps or family.steps,
        shift=request.shift or family.shift,
        solver=request.solver or "unipc",
        guidance=request.guidance or family.guidance,
        reference_guidance=request.reference_guidance or family.reference_guidance or (0.0, 0.0),
        slots=tuple(range(1, len(request.characters) + 1)),
        notes=tuple(_notes(size, frames, family)),
    )


def picture_size(width: int, height: int, area: int) -> tuple[int, int]:
    """Width and height on the grid that come nearest to an area, in about the shape of a picture.

    Source: character-ai/Ovi@5b69b25 ovi/utils/processing_utils.py preprocess_image_tensor.
    """
    ratio = width / height
    start = max(1, round(math.sqrt(max(1, area // GRID**2) / ratio)))
    found: list[tuple[int, int]] = []
    for rows in (max(1, start + step) for step in range(-3, 4)):
        found.append((max(1, round(rows * ratio)) * GRID, rows * GRID))
    scale = math.sqrt(area / (width * height)) / GRID
    found.append((max(1, round(width * scale)) * GRID, max(1, round(height * scale)) * GRID))
    return min(found, key=lambda size: (abs(size[0] * size[1] - area), abs(size[0] / size[1] - ratio)))


def area_size(size: tuple[int, int], area: int) -> tuple[int, int]:
    """Width and height scaled to an area, each to the nearest multiple of 32.

    Source: character-ai/Ovi@5b69b25 ovi/utils/processing_utils.py snap_hw_to_multiple_of_32.
    """
    scale = math.sqrt(area / (size[0] * size[1]))
    width, height = (max(1, round(round(side * scale) / GRID)) * GRID for side in size)
    return width, height


def _frames(request: OviRequest, family: OviFamily) -> int:
    frames = request.frames
    if frames is None and request.duration is not None:
        if not 0.0 < request.duration * FPS < MAX_FRAMES:
            raise InputError(
                f"duration: expected more than 0 and at most {(MAX_FRAMES - 1) / FPS:g} seconds, got "
                f"{request.duration:g}. {family.name} was made for {family.frames / FPS:.0f} seconds."
            )
        frames = 4 * round(request.duration * FPS / 4) + 1
    frames = family.frames if frames is None else frames
    if not 5 <= frames <= MAX_FRAMES or frames % 4 != 1:
        near = min(MAX_FRAMES, 4 * max(1, round((frames - 1) / 4)) + 1)
        raise InputError(f"frames: expected 4k + 1 (5, 9, ... {MAX_FRAMES}), got {frames}. Use {near}.")
    return frames


def _notes(size: tuple[int, int], frames: int, family: OviFamily) -> list[str]:
    area, usual = size[0] * size[1], family.size[0] * family.size[1]
    notes: list[str] = []
    if abs(area / usual - 1) > _AREA_SLACK and not family.takes_references:
        better = area_size(size, usual)
        notes.append(
            f"{family.name} was trained on pictures of about {usual / 1e6:.2f} million pixels; {size[0]}x{size[1]} has "
            f"{area / 1e6:.2f}. {better[0]}*{better[1]} is the same shape at its size."
        )
    if frames != family.frames:
        notes.append(
            f"{family.name} was trained on {family.frames} frames; {frames} may sound and look worse."
        )
    return notes


def _check_references(request: OviRequest, family: OviFamily) -> None:
    people = request.characters
    if not family.takes_references:
        if people:
            raise InputError(
                f"references: expected none for {family.name}, got {people[0].name}. Faces and voices are taken by "
                "DreamID-Omni: name its file, or say --variant dreamid-omni if this is it."
            )
        return
    if request.first_frame is not None:
        raise InputError(f"first frame: expected none for {family.name}, got one. It takes faces and voices.")
    if not 1 <= len(people) <= MAX_PEOPLE:
        raise InputError(
            f"references: expected one or two characters for {family.name}, got {len(people)}. Give each a photo and a "
            "voice."
        )
    for person in people:
        if not person.photos or person.voice is None:
            lacks = "no photo" if not person.photos else "no voice"
            raise InputError(
                f"{person.name}: expected a photo and a voice for {family.name}, got {lacks}. It was trained with both."
            )
