"""`generate --model ... --report`: Lynx's own recogniser judges its clips, a named one those of other models."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..pipelines import Character
from ..pipelines.best_of import BestOf
from ..pipelines.wan_judge import WanJudge, check_judge, judge_of, named_recogniser, open_judge
from ..pipelines.wan_plan import WanPlan
from .faces import read_detector
from .measure import Judges, plan_report, write_report


def open_wan_judge(options: argparse.Namespace, plan: WanPlan, output: Path) -> WanJudge | None:
    """What judges the clip, loaded before it is made; None where nothing asks for it.

    Args:
        options: of `parser.build_parser`.   plan: of the clip.   output: where it goes.
    Raises:
        InputError: nobody to compare with, no recogniser, no face in a photo, or a report is there already.
        OutputError: see `plan_output`.   CheckpointError: the recogniser can not be loaded.
    """
    wanted_by = "--best-of" if options.best_of is not None else "--report"
    if not options.report and options.best_of is None:
        return None
    check_judge(plan, options.recogniser, wanted_by)
    if options.report:
        plan_report(output, overwrite=options.overwrite)
    return open_judge(plan, options.recogniser, read_detector(options), wanted_by)


def open_reference_judge(
    options: argparse.Namespace, characters: tuple[Character, ...], model: str, output: Path
) -> WanJudge | None:
    """As `open_wan_judge`, for a model whose plan is another one than Wan's (HuMo, DreamID-Omni).

    Args: characters: the references.   model: its name, for errors.
    Raises: as `open_wan_judge`.
    """
    if not options.report and options.best_of is None:
        return None
    wanted_by = "--best-of" if options.best_of is not None else "--report"
    path = named_recogniser(options.recogniser, model, wanted_by)
    if options.report:
        plan_report(output, overwrite=options.overwrite)
    return judge_of(characters, path, read_detector(options), wanted_by)


def write_wan_report(
    options: argparse.Namespace, judge: WanJudge | None, clip: Path, best_of: BestOf | None
) -> tuple[list[str], dict[str, Any]]:
    """Measure the written clip where it was asked for.

    Args:
        options: of `parser.build_parser`.   judge: of `open_wan_judge`.   clip: the file.
        best_of: drafts of which it was chosen, for the JSON.
    Returns:
        Sentences for people, and the same for machines; both empty where no report was asked for.
    Raises:
        OutputError: the report can't be written.
    """
    if not options.report or judge is None:
        return [], {}
    lines, content = write_report(
        clip,
        judge.people,
        Judges(faces=judge.faces),
        clip,
        notes=judge.notes,
        best_of=best_of,
        overwrite=options.overwrite,
    )
    return lines, {"report": content}
