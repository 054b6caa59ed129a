"""Guidance of each reference method as data: which sets of references and prompts are evaluated, and their scales.

A pipeline turns a recipe into `sampling.GuidanceChain`: the base, then one term a step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from ..errors import ConfigError


class Evaluation(NamedTuple):
    """One forward: the negative or positive prompt, and the name of a set of references (see `Recipe`)."""

    prompt: Literal["negative", "positive"]
    references: str


class RecipeStep(NamedTuple):
    """One term: scale * (this evaluation - the baseline).

    evaluation: see there.   scale: a number, or a function of sigma, for terms that act at some noise levels only.
    baseline: None for the evaluation of the step before (the base for the first).
    """

    evaluation: Evaluation
    scale: float | Callable[[float], float]
    baseline: Evaluation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """Adaptive projected guidance; names and meaning as in `sampling.guidance_rules.Projected`."""

    eta: float
    norm_threshold: float
    momentum: float
    form: Literal["condition", "base"] = "base"
    space: Literal["velocity", "clean"] = "clean"
    per_frame: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A guidance chain.

    Sets of references are named "nobody" and "face" (Lynx: `LynxPrepared`), "nobody" and "subjects" (Phantom:
    `PhantomStreams`), "none", "video", "images" and "every" (Bernini-R: `BerniniStreams`; "none" is no stream),
    "nobody", "picture", "speech" and "both" (HuMo).

    Attributes:
        base: first evaluation.   steps: the terms, in order.
        projection: instead of the plain sum, or None.
        low_noise_factor: multiplies all scales below `boundary`.   boundary: sigma where the low-noise expert begins.
    """

    base: Evaluation
    steps: tuple[RecipeStep, ...]
    projection: Projection | None = None
    low_noise_factor: float = 1.0
    boundary: float = 0.0

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """All evaluations in order, the base first."""
        return (self.base, *(step.evaluation for step in self.steps))

    def scale(self, number: int) -> Callable[[float], float]:
        """Scale of a step as a function of sigma, as `sampling.Scale` takes it."""
        own, factor, boundary = self.steps[number].scale, self.low_noise_factor, self.boundary

        def at(sigma: float) -> float:
            scale = own(sigma) if callable(own) else own
            return scale * factor if sigma < boundary else scale

        return at


#: Official scales. Source: bytedance/lynx@3a6a91a infer.py, infer_lite.py.
LYNX_FULL = Recipe(
    base=Evaluation("negative", "nobody"),
    steps=(
        RecipeStep(Evaluation("negative", "face"), 2.0),
        RecipeStep(Evaluation("positive", "face"), 5.0),
    ),
)
LYNX_LITE = Recipe(
    base=Evaluation("negative", "nobody"), steps=(RecipeStep(Evaluation("positive", "face"), 5.0),)
)
#: Source: Phantom-video/Phantom@7e2997d generate.py, phantom_wan/subject2video.py.
PHANTOM = Recipe(
    base=Evaluation("negative", "nobody"),
    steps=(
        RecipeStep(Evaluation("negative", "subjects"), 5.0),
        RecipeStep(Evaluation("positive", "subjects"), 7.5),
    ),
)

BerniniMode = Literal["rv2v", "v2v", "v2v_chain", "t2v", "r2v_apg", "v2v_apg", "t2v_apg"]

#: Scales for the first video, the references, and the text; what they are multiplied with in the low-noise expert.
BERNINI_VIDEO, BERNINI_REFERENCES, BERNINI_TEXT, BERNINI_LOW_NOISE = 1.25, 4.5, 4.0, 0.8
BERNINI_BOUNDARY = 0.875
_APG = Projection(eta=0.5, norm_threshold=50.0, momentum=0.0)

#: What comes directly before the positive prompt, without a space.
BERNINI_PREFIXES = MappingProxyType(
    {
        "t2v": "You are a helpful assistant specialized in text-to-video generation.",
        "r2v": "You are a helpful assistant specialized in subject-to-video generation.",
        "v2v": "You are a helpful assistant specialized in video editing.",
        "rv2v": "You are a helpful assistant specialized in video editing with reference.",
    }
)


def bernini_recipe(mode: BerniniMode, *, has_experts: bool = True) -> Recipe:
    """Guidance of Bernini-R.

    Args:
        mode: "r2v_apg" for pictures alone, "rv2v" for videos and pictures, "v2v" for videos, and the others of the
            official code.
        has_experts: two experts (14B), whose second has smaller scales; False for 1.3B.
    Raises:
        ConfigError: no such mode.
    Source: neuregex/ComfyUI-BerniniR@1bd2745 bernini/sampler.py, bernini/constants.py.
    """
    rule = mode.partition("_")[2]
    names = {
        "rv2v": ("none", "video", "every"),
        "v2v": ("every",),
        "v2v_chain": ("none", "video", "every"),
        "t2v": ("none",),
        "r2v_apg": ("none", "images"),
        "v2v_apg": ("every",),
        "t2v_apg": ("none",),
    }.get(mode)
    if names is None:
        raise ConfigError(
            f"Bernini-R guidance: expected a mode of the official code, got '{mode}'. Use r2v_apg for pictures, "
            "rv2v for videos and pictures, v2v for videos."
        )
    negative = list(names[:-1]) if mode == "v2v_chain" else list(names)
    steps = [
        RecipeStep(Evaluation("negative", name), BERNINI_VIDEO if name == "video" else BERNINI_REFERENCES)
        for name in negative[1:]
    ]
    steps.append(RecipeStep(Evaluation("positive", names[-1]), BERNINI_TEXT))
    return Recipe(
        base=Evaluation("negative", names[0]),
        steps=tuple(steps),
        projection=_APG if rule == "apg" else None,
        low_noise_factor=BERNINI_LOW_NOISE if has_experts else 1.0,
        boundary=BERNINI_BOUNDARY if has_experts else 0.0,
    )


def choose_bernini_mode(videos: int, images: int) -> BerniniMode:
    """The mode that the official code takes for a mix of references.

    Args:
        videos, images: their numbers.
    """
    if videos:
        return "rv2v" if images else "v2v"
    return "r2v_apg" if images else "t2v"


@dataclass(frozen=True, slots=True, kw_only=True)
class HumoScales:
    """Scales of HuMo's guidance.

    Attributes:
        text, speech: of the prompt and of the speech.   picture: of the references; None where the prompt's term has
            them already (17B).
        late_text: of the prompt from the change on, None for no change.   change: sigma (shown timestep / 1000) above
            which `text` holds, and the references are in the base of the chain too.
    """

    text: float
    speech: float
    picture: float | None = None
    late_text: float | None = None
    change: float = 0.98


#: Source: Phantom-video/HuMo@17094e9 humo/configs/inference/generate.yaml, generate_1_7B.yaml; humo/generate.py
#: forward_tia (the 2.0 that is taken off late).
HUMO_LARGE = HumoScales(text=5.0, speech=5.5, late_text=3.0)
HUMO_SMALL = HumoScales(text=7.5, speech=7.5, picture=4.0)


def humo_recipe(scales: HumoScales, *, has_picture: bool) -> Recipe:
    """Guidance of HuMo; its sets of references are "nobody", "picture" (silent), "speech" (nobody seen), "both".

    With pictures, 17B has them in every term but the base, and in the base too while the noise is strong; 1.7B adds
    speech first and the pictures last.

    Args: scales: of the chain; which chain it is follows from `picture`.   has_picture: whether there are references.
    Source: Phantom-video/HuMo@17094e9 humo/generate.py, humo/generate_1_7B.py, forward_tia and forward_ta.
    """
    nobody, spoken = Evaluation("negative", "nobody"), Evaluation("positive", "speech")
    text = Evaluation("positive", "nobody")
    if not has_picture or scales.picture is not None:
        steps = [RecipeStep(text, scales.text), RecipeStep(spoken, scales.speech)]
        if has_picture and scales.picture is not None:
            steps.append(RecipeStep(Evaluation("positive", "both"), scales.picture))
        return Recipe(base=nobody, steps=tuple(steps))
    seen, prompted = Evaluation("negative", "picture"), Evaluation("positive", "picture")
    late_text = scales.text if scales.late_text is None else scales.late_text

    def early(scale: float) -> Callable[[float], float]:
        return lambda sigma: scale if sigma > scales.change else 0.0

    def late(sigma: float) -> float:
        return 0.0 if sigma > scales.change else late_text

    return Recipe(
        base=nobody,
        steps=(
            RecipeStep(seen, early(1.0)),
            RecipeStep(prompted, early(scales.text)),
            RecipeStep(prompted, late, baseline=nobody),
            RecipeStep(Evaluation("positive", "both"), scales.speech),
        ),
    )
