"""What a user asks a Wan model for, and what it comes to once the family is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from ..errors import InputError
from ..identity.strength import Strength
from ..sampling.guidance_rules import GuidanceRule, Projected, SigmaWindow, ZeroStar
from ..sampling.presets import DISTIL_PRESETS, DistilPreset
from ..sampling.schedule import Schedule, SolverName, make_schedule
from .request import Character, check_once
from .request_checks import check_length, check_picture, check_sampling
from .wan_family import WanFamily
from .wan_reference_plan import check_characters, full_prompt

GuidanceName = Literal["plain", "zero-star", "apg"]
GUIDANCE_RULES: tuple[GuidanceName, ...] = get_args(GuidanceName)
#: Name of a preset that means: the first one of the family.
ANY_DISTIL = "distil"
MAX_FRAMES = 4001


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WanRequest:
    """A clip to make with a published Wan model; None takes the family's official value everywhere.

    Attributes:
        prompt: any text.   negative_prompt: what to lead away from; "" is kept as an empty prompt.
        first_frame, last_frame: pictures that the clip begins and ends with, (H, W, 3) uint8 RGB.
        size: width and height in pixels. With a first frame it is the area; the shape is that of the picture, as in
            the official code.
        frames: 4k + 1.   duration: seconds, instead of `frames`.
        seed: 0 to 2**64 - 1.   steps, shift: of the sampler.   solver: "unipc", "dpm++" or "euler".
        guidance: scale of the prompt, for the low-noise and the high-noise expert (equal for a single model); 1 leaves
            the negative prompt out and halves the time.
        preset: settings of a step-distilled LoRA or model instead of steps, shift and solver: a key of
            `DISTIL_PRESETS`, or "distil" for the family's.
        rule: how guidance is computed: "plain" (as the official code), "zero-star" (CFG-Zero-star) or "apg" (adaptive
            projected guidance); "plain" keeps the rule that a reference method brings along.
        interval: noise levels low < sigma <= high at which guidance acts, in [0, 1].
        characters: references, for families and adapters that take some; each is named in the prompt.
        strength: how strongly they act; a scale of 0 is bit for bit the clip without them.
        reference_guidance: scale of the references in the chain of guidance, for both experts. None: the official one,
            or 1 where `guidance` is set to 1.
    Raises: InputError: a value that no model could use.
    """

    prompt: str = ""
    negative_prompt: str | None = None
    first_frame: Tensor | None = None
    last_frame: Tensor | None = None
    size: tuple[int, int] | None = None
    frames: int | None = None
    duration: float | None = None
    seed: int = 0
    steps: int | None = None
    shift: float | None = None
    solver: SolverName | None = None
    guidance: tuple[float, float] | None = None
    preset: str | None = None
    rule: GuidanceName = "plain"
    interval: tuple[float, float] | None = None
    characters: tuple[Character, ...] = ()
    strength: Strength = Strength()
    reference_guidance: float | None = None

    def __post_init__(self) -> None:
        check_sampling(self.seed, self.steps, self.shift, self.solver)
        check_length(self.frames, self.duration)
        if self.guidance is not None and not all(0.0 <= scale < math.inf for scale in self.guidance):
            raise InputError(
                f"guidance: expected 0 or more, got {self.guidance}. 1 follows the prompt alone."
            )
        if self.reference_guidance is not None and not 0.0 <= self.reference_guidance < math.inf:
            raise InputError(
                f"reference guidance: expected 0 or more, got {self.reference_guidance}. Leave it out for the default."
            )
        if self.rule not in GUIDANCE_RULES:
            raise InputError(
                f"guidance rule: expected one of {', '.join(GUIDANCE_RULES)}, got {self.rule!r}. Wan's own is plain."
            )
        if self.interval is not None and not 0.0 <= self.interval[0] < self.interval[1] <= 1.0:
            raise InputError(
                f"guidance interval: expected 0 <= low < high <= 1, got {self.interval}. Leave it out for all levels."
            )
        if self.preset is not None and (self.steps, self.shift, self.solver) != (None, None, None):
            raise InputError(
                f"preset: expected it alone, got {self.preset} with steps, shift or solver. Leave one or the other out."
            )
        check_once([own.name for own in self.characters])
        check_picture("first frame", self.first_frame)
        check_picture("last frame", self.last_frame)


@dataclass(frozen=True, slots=True, kw_only=True)
class WanSettings:
    """A request with every value decided, checked against the family.

    Attributes: as of `WanRequest`.   size: as asked for; see `wan_pictures.target_size` for what a picture makes of it.
        prompt: as the text encoder is given it.
        guidance, reference_guidance: (low-noise, high-noise), the latter None for a family without such a scale.
        preset: settings of a step-distilled model, which then decide the schedule.
    """

    family: WanFamily
    prompt: str
    negative_prompt: str
    size: tuple[int, int]
    frames: int
    steps: int
    shift: float
    solver: SolverName
    guidance: tuple[float, float]
    reference_guidance: tuple[float, float] | None = None
    preset: DistilPreset | None = None

    def schedule(self) -> Schedule:
        """Solver, sigmas and timesteps."""
        if self.preset is not None:
            return self.preset.schedule()
        return make_schedule(self.solver, self.steps, self.shift)

    @property
    def latent_frames(self) -> int:
        """Latent frames of the clip."""
        return (self.frames - 1) // 4 + 1


def guidance_rule(request: WanRequest) -> GuidanceRule | None:
    """Rule of the guidance chain, None for the plain sum.

    CFG-Zero-star stands still for the first step of image-to-video and two of text-to-video, as its authors do.
    """
    if request.rule == "zero-star":
        return ZeroStar(zero_steps=2 if request.first_frame is None else 1)
    return Projected() if request.rule == "apg" else None


def guidance_window(request: WanRequest) -> SigmaWindow | None:
    """Window of the guidance chain, None for all noise levels."""
    if request.interval is None:
        return None
    low, high = request.interval
    return SigmaWindow(low=low, high=high)


def resolve(request: WanRequest, family: WanFamily, suggestion: str | None = None) -> WanSettings:
    """Decide what the request leaves open, and refuse what the family can not make.

    Args: suggestion: method that the name of the model's file hints at, said where references have no method.
    Raises: InputError: frames, size, pictures, references or names that do not fit the family.
    """
    _check_pictures(request, family)
    check_characters(request.characters, family, suggestion)
    size = request.size or family.size
    if min(size) < family.grid or any(side % family.grid for side in size):
        near = "*".join(str(max(1, round(side / family.grid)) * family.grid) for side in size)
        raise InputError(
            f"size: expected multiples of {family.grid} for {family.name}, got {size[0]}*{size[1]}. Use {near}."
        )
    preset = None if request.preset is None else _preset(request.preset, family)
    usual = family if preset is None else preset
    negative = family.negative_prompt if request.negative_prompt is None else request.negative_prompt
    guidance = request.guidance or usual.guidance
    return WanSettings(
        family=family,
        prompt=full_prompt(request.prompt, request.characters, family),
        negative_prompt=negative,
        size=size,
        frames=_frames(request, family),
        steps=request.steps or usual.steps,
        shift=request.shift or (family.usual_shift(size) if preset is None else preset.shift),
        solver=request.solver or ("unipc" if preset is None else preset.solver),
        guidance=guidance,
        reference_guidance=_reference_guidance(request, family, guidance),
        preset=preset,
    )


def _reference_guidance(
    request: WanRequest, family: WanFamily, guidance: tuple[float, float]
) -> tuple[float, float] | None:
    own = request.reference_guidance
    if own is not None and family.reference_guidance is None:
        raise InputError(
            f"reference guidance: expected none for {family.name}, whose guidance has no such scale, got {own:g}. "
            "Leave it out."
        )
    if own is not None and family.method == "bernini" and not any(c.photos for c in request.characters):
        raise InputError(
            f"reference guidance: expected a picture with it for {family.name}, got none; videos alone have no such "
            "scale. Leave it out."
        )
    if family.reference_guidance is None:
        return None
    if own is not None:
        return own, own
    # without guidance by the prompt there is one evaluation a step
    return (1.0, 1.0) if guidance == (1.0, 1.0) else family.reference_guidance


def _preset(name: str, family: WanFamily) -> DistilPreset:
    fitting = {key: value for key, value in DISTIL_PRESETS.items() if value.model == family.layout}
    if name == ANY_DISTIL and fitting:
        return next(iter(fitting.values()))
    if name not in fitting:
        known = ", ".join((ANY_DISTIL, *fitting)) if fitting else "none"
        raise InputError(
            f"preset: expected one for {family.name} ({known}), got {name}. Set steps, shift and guidance yourself."
        )
    return fitting[name]


def _frames(request: WanRequest, family: WanFamily) -> int:
    """Frames asked for; a duration becomes the nearest number that the codec can hold."""
    frames = request.frames
    if frames is None and request.duration is not None:
        if not 0.0 < request.duration * family.fps < MAX_FRAMES:
            raise InputError(
                f"duration: expected more than 0 and at most {(MAX_FRAMES - 1) / family.fps:g} seconds, got "
                f"{request.duration:g}. {family.name} was made for {family.frames / family.fps:.1f} seconds."
            )
        frames = 4 * round(request.duration * family.fps / 4) + 1
    frames = family.frames if frames is None else frames
    if not 1 <= frames <= MAX_FRAMES or frames % 4 != 1:
        near = min(MAX_FRAMES, 4 * max(0, round((frames - 1) / 4)) + 1)
        raise InputError(f"frames: expected 4k + 1 (1, 5, 9, ... {MAX_FRAMES}), got {frames}. Use {near}.")
    return frames


def _check_pictures(request: WanRequest, family: WanFamily) -> None:
    if family.needs_first_frame and request.first_frame is None:
        raise InputError(
            f"first frame: expected a picture for {family.name}, an image-to-video model, got none. Give a first "
            "frame, or use a text-to-video model."
        )
    if family.conditioning == "text" and request.first_frame is not None:
        raise InputError(
            f"first frame: expected none for {family.name}, a text-to-video model, got one. Leave it out, or use an "
            "image-to-video model."
        )
    wants_last = family.conditioning == "first_last"
    if wants_last != (request.last_frame is not None):
        expected, got = ("a picture", "none") if wants_last else ("none", "one")
        remedy = "Give a last frame." if wants_last else "Leave it out; only Wan2.1-FLF2V-14B takes one."
        raise InputError(f"last frame: expected {expected} for {family.name}, got {got}. {remedy}")
