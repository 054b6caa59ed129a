"""Best-of-N with the published Wan models: seeds tried with few steps, scored by the likeness of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import torch
from torch import Tensor

from ..report import Measurements
from ..types import AudioClip
from .best_of import BestOf, Draft, seeds_from, try_seeds
from .generate import ProgressCallback
from .likeness import frames_of, report_on
from .wan_generate import decode_latents, encode_wan, sample_seeds
from .wan_judge import WanJudge
from .wan_plan import WanPlan, plan_strengths

P = TypeVar("P")
WAN_DRAFT_STEPS = 10
"""Steps of a draft: with fewer, Wan's solver leaves faces too soft to compare. Reasoned, not tuned."""


@dataclass(slots=True, eq=False)
class WanDrafts:
    """What was made so far; it fills while `best_of_wan` works, and holds what an error or an interrupt leaves.

    Attributes:
        latents: (1, C, F, H, W) float32 by seed.   scored: those that have their score.
    """

    latents: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    scored: list[Draft] = field(default_factory=list[Draft])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WanBest(Generic[P]):
    """The outcome, of a `WanPlan` or a `HumoPlan`.

    Attributes:
        plan: as given, with the best seed.   found: every draft with its score.
        latents: of the best, where drafts have all steps of the plan: they are the clip. None: it is to be sampled.
        notes: sentences for the user.
    """

    plan: P
    found: BestOf
    latents: Tensor | None
    notes: tuple[str, ...]


def best_of_wan(
    plan: WanPlan,
    count: int,
    judge: WanJudge,
    *,
    steps: int | None = None,
    drafts: WanDrafts | None = None,
    progress: ProgressCallback | None = None,
    done: Callable[[int, int], None] | None = None,
) -> WanBest[WanPlan]:
    """Try seeds from the plan's own on and find the one whose people are most like their references.

    Drafts have the size and length of the clip: noise of another size is another clip, and Wan was not trained on
    small ones. They save steps alone. Prompts and references are encoded once, the transformer is loaded once, then
    the codec decodes one draft after another. A distilled preset, or a clip with no more steps than a draft, is drawn
    in full already.

    Args:
        plan: of the clip.   count: drafts, 2 to 64.   judge: of `open_judge`.
        steps: of a draft, None for `WAN_DRAFT_STEPS`.   drafts: filled on the way; keep it where nothing may be lost.
        progress: told about the stages of each draft.   done: told after each draft that was sampled, then after each
            that was scored, how many of twice the count are done.
    Returns:
        The best seed's plan, every score, and the clip where it is finished.
    Raises:
        InputError: a count outside of 2 to 64, or what `sample_wan` refuses.   CheckpointError: see there.
    """
    seeds = seeds_from(plan.request.seed, count)
    kept = WanDrafts() if drafts is None else drafts
    quick = draft_plan(plan, steps)
    is_final = quick.settings == plan.settings

    encoded = encode_wan(quick, progress)
    found = run_drafts(
        seeds,
        len(quick.settings.schedule().shown),
        sample_seeds(quick, encoded, seeds, progress),
        lambda latents: measure_draft(quick, latents, judge, progress=progress),
        kept,
        judge,
        done,
    )
    best = found.best.seed
    return WanBest(
        plan=replace(plan, request=replace(plan.request, seed=best)),
        found=found,
        latents=kept.latents[best] if is_final and not _shares_draws(plan) else None,
        notes=(*encoded.notes, *judge.notes),
    )


def run_drafts(
    seeds: Sequence[int],
    steps: int,
    sampled: Iterable[Tensor],
    measure: Callable[[Tensor], Measurements],
    kept: WanDrafts,
    judge: WanJudge,
    done: Callable[[int, int], None] | None,
) -> BestOf:
    """Sample all drafts, then score them one after another.

    Args:
        seeds: of the drafts.   steps: of each.   sampled: latents, one for each seed.   measure: decodes and measures.
        kept: filled on the way.   judge: what compares.   done: see `best_of_wan`.
    """

    def tell(number: int) -> None:
        if done is not None:
            done(number, 2 * len(seeds))

    for number, (seed, latents) in enumerate(zip(seeds, sampled, strict=True), start=1):
        kept.latents[seed] = latents
        tell(number)

    def make(seed: int, _steps: int) -> Measurements:
        return measure(kept.latents[seed])

    return try_seeds(
        seeds,
        steps,
        make,
        lambda number, total: tell(total + number),
        keep=kept.scored.append,
        compared_by=judge.faces.scale.encoder,
    )


def draft_plan(plan: WanPlan, steps: int | None = None) -> WanPlan:
    """The plan of a draft: fewer steps, and the strength of references resolved for them.

    Args: steps: of a draft, None for `WAN_DRAFT_STEPS`; never more than the plan has.
    """
    few = WAN_DRAFT_STEPS if steps is None else steps
    if plan.settings.preset is not None or few >= plan.settings.steps:
        return plan
    settings = replace(plan.settings, steps=few)
    request = replace(plan.request, steps=few)
    strengths = plan_strengths(request, plan.model, settings)
    return replace(plan, request=request, settings=settings, strengths=strengths)


def _shares_draws(plan: WanPlan) -> bool:
    """Whether drafts differ from their seed's own clip: the reference picture of Lynx is drawn with the first seed."""
    return plan.model.adapter is not None and plan.model.adapter.config.has_reference


def measure_draft(
    plan: WanPlan,
    latents: Tensor,
    judge: WanJudge,
    audio: AudioClip | None = None,
    progress: ProgressCallback | None = None,
) -> Measurements:
    """Decode a draft and measure it as its report would.

    Args: plan: of the draft.   latents: (1, C, F, H, W).   audio: of the clip, mono 16 kHz, for the lips.
    """
    chunks = decode_latents(
        latents,
        plan.model.vae,
        plan.model.family,
        device=plan.options.device,
        tiling=plan.memory.tiling,
        progress=progress,
    )
    frames = torch.cat([frames_of(chunk) for chunk in chunks])
    fps = plan.model.family.fps
    return report_on(frames, fps, audio, people=judge.people, recogniser=judge.faces).measurements
