"""Best-of-N with HuMo: seeds tried with few steps, scored by the likeness and the lips of the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .best_of import seeds_from
from .generate import ProgressCallback
from .humo_generate import encode_humo, fit_sound, sample_humo_seeds
from .humo_request import HumoPlan
from .wan_best_of import WanBest, WanDrafts, draft_plan, measure_draft, run_drafts
from .wan_judge import WanJudge


def best_of_humo(
    plan: HumoPlan,
    count: int,
    judge: WanJudge,
    *,
    steps: int | None = None,
    drafts: WanDrafts | None = None,
    progress: ProgressCallback | None = None,
    done: Callable[[int, int], None] | None = None,
) -> WanBest[HumoPlan]:
    """Try seeds from the plan's own on and find the one whose people are most like their pictures and speak in time.

    Args: as `wan_best_of.best_of_wan`; judge: of `wan_judge.judge_of`.
    Raises: InputError: a count outside of 2 to 64, or what `sample_humo` refuses.   CheckpointError: see there.
    """
    wan = plan.wan
    seeds, quick = seeds_from(wan.request.seed, count), replace(plan, wan=draft_plan(wan, steps))
    kept = WanDrafts() if drafts is None else drafts
    encoded = encode_humo(quick, progress)
    audio = fit_sound(plan.request.speech, plan.seconds)
    found = run_drafts(
        seeds,
        len(quick.wan.settings.schedule().shown),
        sample_humo_seeds(quick, encoded, seeds, progress),
        lambda latents: measure_draft(quick.wan, latents, judge, audio, progress),
        kept,
        judge,
        done,
    )
    best = found.best.seed
    return WanBest(
        plan=replace(plan, wan=replace(wan, request=replace(wan.request, seed=best))),
        found=found,
        latents=kept.latents[best] if quick.wan.settings == wan.settings else None,
        notes=(*encoded.notes, *judge.notes),
    )
