"""`generate --model ... --best-of`: seeds are tried, and nothing of what was tried is lost when the work stops."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from ..pipelines.best_of import BestOf
from ..pipelines.wan_best_of import WanBest, WanDrafts, draft_plan
from ..pipelines.wan_judge import WanJudge
from ..pipelines.wan_latents import LatentsInfo, latents_to_bytes
from ..pipelines.wan_plan import WanPlan
from .clip import LATENTS_SUFFIX, keeping, save_beside
from .console import Console
from .drafts import save_drafts, write_drafts

P = TypeVar("P")


def sample_best(
    options: argparse.Namespace,
    plans: tuple[P, WanPlan],
    judge: WanJudge | None,
    output: Path,
    console: Console,
    *,
    sample: Callable[[P], tuple[Tensor, tuple[str, ...]]],
    best_of: Callable[..., WanBest[P]],
) -> tuple[P, Tensor, BestOf | None, list[str]]:
    """Sample the clip; with --best-of, of the seed whose draft is the most like its references.

    Args:
        options: of `parser.build_parser`.   plans: of the clip, and the part of it that every Wan model has.
        judge: of `open_wan_judge`.   output: where it goes.
        sample: of a plan, latents and notes.   best_of: `best_of_wan` or `best_of_humo`.
    Returns:
        The plan with the seed that was taken, latents (1, C, F, H, W), the drafts or None, and notes for the user.
    Raises:
        InputError, CheckpointError, WanCoreError: see `sample_wan`; the text says what was kept of the drafts.
    """
    plan, wan = plans
    if options.best_of is None or judge is None:
        latents, notes = sample(plan)
        return plan, latents, None, list(notes)
    drafts = WanDrafts()
    steps = len(draft_plan(wan, options.draft_steps).settings.schedule().shown)

    def keep() -> str:
        return save_wan_drafts(drafts, wan, steps, output, judge.faces.scale.encoder)

    with keeping(keep, console):
        bar = console.bar()
        best = best_of(
            plan,
            options.best_of,
            judge,
            steps=options.draft_steps,
            drafts=drafts,
            done=lambda number, total: bar.update("drafts", number, total),
        )
        console.note(write_drafts(best.found, output, overwrite=options.overwrite))
        if best.latents is not None:
            return best.plan, best.latents, best.found, list(best.notes)
        latents, notes = sample(best.plan)
    return best.plan, latents, best.found, list(dict.fromkeys((*best.notes, *notes)))


def save_wan_drafts(drafts: WanDrafts, plan: WanPlan, steps: int, output: Path, compared_by: str) -> str:
    """Save latents and scores of drafts beside the clip when the work stops before its end.

    Args: drafts: so far.   plan: of the clip.   steps: of a draft.   output: of the clip.   compared_by: see `BestOf`.
    Returns: a sentence on where they are and what to do with them, empty where there are none.
    """
    files: list[Path] = []
    for seed, latents in drafts.latents.items():
        data = latents_to_bytes(latents, LatentsInfo(family=plan.model.family.name, seed=seed))
        files.append(save_beside(output, f".draft-{seed}{LATENTS_SUFFIX}", data))
    if not files:
        return ""
    scores = save_drafts(drafts.scored, steps, output, compared_by)
    others = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return (
        f"The drafts are kept in {files[0]}{others}: decode one with `wan-r2v decode {files[0]} --vae "
        f"{plan.model.vae}`. {scores}"
    ).strip()
