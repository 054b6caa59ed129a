"""Several clips at low cost from different seeds, of which the best by a stated score is worth making in full."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from ..errors import InputError
from ..report import Measurements
from ..sampling.noise import MAX_SEED
from .bundle import NanoBundle
from .defaults import NanoDefaults
from .generate import generate
from .likeness import NanoVoices, PersonReference, frames_of, report_on
from .recognisers import DrawnFaces, Recogniser
from .request import GenerateRequest

Steps = TypeVar("Steps", int, None)
MOST_DRAFTS = 64
NANO_DRAFT_STEPS = 8
"""Steps of a draft of nano."""
SCORE = (
    "mean over characters of likeness (mean cosine of the face, 0 at a stranger's and 1 at the same person's) and of "
    "lips (correlation of mouth and loudness at lag 0, 0 where negative), each from 0 to 1"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A clip that was tried.

    Attributes:
        seed: of its noise.   score: see `SCORE`, -1 where nothing could be measured.
        likeness: mean cosine of each character's face, None of one that no frame shows.
        lips: correlation at lag 0, of each character whose mouth was read.
    """

    seed: int
    score: float
    likeness: Mapping[str, float | None]
    lips: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class BestOf:
    """Drafts in the order in which they were made, and the settings of all of them.

    Attributes:
        drafts: at least one.   steps: of each, None where nobody has said.
        compared_by: what compared the faces, "" where nothing did.
    """

    drafts: tuple[Draft, ...]
    steps: int | None
    compared_by: str = ""

    @property
    def best(self) -> Draft:
        """The draft of the highest score; the first of equals."""
        return max(self.drafts, key=lambda draft: draft.score)

    def to_content(self) -> dict[str, object]:
        """All of it as plain data."""
        return {
            "seed": self.best.seed,
            "score": SCORE,
            "compared_by": self.compared_by,
            "draft_steps": self.steps,
            "drafts": [
                {
                    "seed": draft.seed,
                    "score": draft.score,
                    "likeness": dict(draft.likeness),
                    "lips": dict(draft.lips),
                }
                for draft in self.drafts
            ],
        }


def try_seeds(
    seeds: Sequence[int],
    steps: Steps,
    make: Callable[[int, Steps], Measurements],
    done: Callable[[int, int], None] | None = None,
    *,
    keep: Callable[[Draft], None] | None = None,
    compared_by: str = "",
) -> BestOf:
    """Make a draft from every seed and measure it.

    Args:
        seeds: at least one.   steps: of a draft, None where `make` knows them.
        make: seed and steps -> measurements of the clip; any sampler.
        done: told after each draft how many of how many are made; an exception it raises ends the work and rises.
        keep: given each draft as soon as it has its score, for what must not be lost when a later one fails.
        compared_by: see `BestOf`.
    Returns:
        Every draft with its score.
    Raises:
        InputError: no seed, or nothing in any draft could be measured.
    """
    if not seeds or (steps is not None and steps < 1):
        raise InputError(
            f"best of: expected seeds and steps, got {len(seeds)} seeds and {steps} steps. Try two seeds or more."
        )
    drafts: list[Draft] = []
    for seed in seeds:
        found = make(seed, steps)
        drafts.append(
            Draft(
                seed=seed,
                score=-1.0 if found.score is None else found.score,
                likeness={name: None if own is None else own.mean for name, own in found.likeness.items()},
                lips={name: own.by_lag[0] for name, own in found.lips.items()},
            )
        )
        if keep is not None:
            keep(drafts[-1])
        if done is not None:
            done(len(drafts), len(seeds))
    if all(draft.score < 0 for draft in drafts):
        raise InputError(
            "best of: expected a face or lips to measure, got neither in any draft. Give a photo, or leave best-of out."
        )
    return BestOf(drafts=tuple(drafts), steps=steps, compared_by=compared_by)


def seeds_from(first: int, count: int) -> list[int]:
    """`count` seeds from a first one on.

    Raises:
        InputError: a count outside of 2 to 64.
    """
    if not 2 <= count <= MOST_DRAFTS:
        raise InputError(f"best of: expected 2 to {MOST_DRAFTS} drafts, got {count}. 4 to 8 are usual.")
    return [(first + number) % (MAX_SEED + 1) for number in range(count)]


def nano_faces(bundle: NanoBundle, request: GenerateRequest) -> DrawnFaces:
    """What compares the faces of a clip of nano: its own encoder, and the detector that reads the request's photos."""
    encoder = bundle.identity.face_encoder
    if not request.characters:
        return DrawnFaces(encoder)
    return DrawnFaces(encoder, request.characters[0].detector)


def best_of_nano(
    request: GenerateRequest,
    bundle: NanoBundle,
    count: int,
    *,
    steps: int | None = None,
    recogniser: Recogniser | None = None,
    defaults: NanoDefaults | None = None,
    done: Callable[[int, int], None] | None = None,
    keep: Callable[[Draft], None] | None = None,
) -> tuple[GenerateRequest, BestOf]:
    """Try seeds from the request's own on with few steps of nano, at its native size.

    The lead of the sound over the picture is shortened with the steps.

    Args:
        request: what to make.   bundle: nano's parts.   count: drafts, 2 to 64.
        steps: of a draft, None for `NANO_DRAFT_STEPS`.
        recogniser: compares the faces, None for nano's own.   defaults: see `generate`.
        done: told after each draft how many of how many are made.   keep: given each draft that has its score.
    Returns:
        The request with the best seed, to be made in full, and the drafts.
    Raises:
        InputError: nothing to score (neither photo nor sound), or what `generate` refuses.
    """
    settings = defaults or NanoDefaults()
    settings.check(request)
    if not request.has_audio and not any(own.photos for own in request.characters):
        raise InputError(
            "best of: expected a photo or sound to score by, got neither. Give a photo, or leave best-of out."
        )
    seeds = seeds_from(request.seed, count)
    few = NANO_DRAFT_STEPS if steps is None else steps
    lead = round(settings.audio_lead * few / settings.steps)
    quick = replace(settings, steps=few, audio_lead=lead)
    people = {
        own.name: PersonReference(photos=own.photos, face=own.face, voice=own.voice)
        for own in request.characters
    }
    faces = recogniser or nano_faces(bundle, request)
    speakers = NanoVoices(bundle.voice)

    def make(seed: int, few: int) -> Measurements:
        side = settings.native_size
        own = replace(request, seed=seed, steps=few, size=(side, side))
        made = generate(own, bundle, defaults=quick)
        return report_on(
            frames_of(made.video),
            made.fps,
            made.audio,
            people=people,
            recogniser=faces,
            speakers=speakers,
        ).measurements

    compared_by = faces.scale.encoder if any(own.photos for own in people.values()) else ""
    found = try_seeds(seeds, few, make, done, keep=keep, compared_by=compared_by)
    return replace(request, seed=found.best.seed), found
