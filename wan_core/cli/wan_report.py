"""`generate --model ... --report`: clips of Lynx are judged by Lynx's own recogniser and detector."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..checkpoints.lynx_face import load_arcface
from ..errors import InputError
from ..identity.detectors import open_landmarks
from ..pipelines.likeness import PersonReference
from ..pipelines.recognisers import ArcFaceFaces
from ..pipelines.wan_plan import WanPlan
from .measure import Judges, plan_report, write_report


def check_wan_report(options: argparse.Namespace, plan: WanPlan, output: Path) -> None:
    """Refuse a report that nothing could judge, or that can not be written, before the clip is made.

    Args:
        options: of `parser.build_parser`.   plan: of the clip.   output: where it goes.
    Raises:
        InputError: a model without a recogniser, or a report is there already.   OutputError: see `plan_output`.
    """
    if not options.report:
        return
    if plan.model.adapter is None:
        raise InputError(
            f"--report: expected Lynx, whose recogniser judges its clips, got {plan.model.family.name}. Leave it out "
            "and measure the clip afterwards: wan-r2v report CLIP --reference PHOTO --recogniser FILE."
        )
    plan_report(output, overwrite=options.overwrite)


def write_wan_report(
    options: argparse.Namespace, plan: WanPlan, clip: Path
) -> tuple[list[str], dict[str, Any]]:
    """Measure the written clip where it was asked for.

    Returns:
        Sentences for people, and the same for machines; both empty where no report was asked for.
    Raises:
        InputError: a photo has no such face.   OutputError: the report can't be written.
    """
    adapter = plan.model.adapter
    if not options.report or adapter is None:
        return [], {}
    people = {own.name: PersonReference(photos=own.photos, face=own.face) for own in plan.request.characters}
    judges = Judges(faces=ArcFaceFaces(load_arcface(adapter.recogniser), open_landmarks(adapter.detector)))
    lines, content = write_report(clip, people, judges, clip, overwrite=options.overwrite)
    return lines, {"report": content}
