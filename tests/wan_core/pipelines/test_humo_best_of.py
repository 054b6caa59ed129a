"""Best-of-N with HuMo: drafts are true clips of their seed, and the score counts likeness and lips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from humo_release import humo_files, talk, write_humo
from lynx_release import LynxRelease, write_lynx
from skimage import data

from wan_core.identity.detectors import Detector
from wan_core.pipelines import Character
from wan_core.pipelines.humo_best_of import best_of_humo
from wan_core.pipelines.humo_generate import fit_sound, sample_humo
from wan_core.pipelines.humo_request import HumoRequest, plan_humo
from wan_core.pipelines.wan_best_of import WanDrafts, measure_draft
from wan_core.pipelines.wan_judge import judge_of
from wan_core.pipelines.wan_request import WanRequest


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_humo(tmp_path_factory.mktemp("humo"))


@pytest.fixture(scope="module")
def lynx(tmp_path_factory: pytest.TempPathFactory) -> LynxRelease:
    return write_lynx(tmp_path_factory.mktemp("lynx"))


def test_drafts_are_clips_of_their_seed(paths: dict[str, Path], lynx: LynxRelease) -> None:
    photo = torch.from_numpy(data.astronaut()[:320].copy())
    judge = judge_of(
        [Character(name="character1", photos=(photo,))],
        lynx.recogniser,
        Detector(name="scrfd", model=lynx.detector),
        "best of",
    )
    clip = WanRequest(prompt="a woman speaks", size=(32, 48), steps=2, seed=3)
    request = HumoRequest(clip=clip, speech=talk(0.2), pictures=(photo,))
    plan, drafts = plan_humo(request, humo_files(paths, "1.7B"), paths["whisper"]), WanDrafts()
    best = best_of_humo(plan, 2, judge, steps=1, drafts=drafts)
    quick = replace(request, clip=replace(clip, steps=1, seed=4))
    own = plan_humo(quick, humo_files(paths, "1.7B"), paths["whisper"])
    assert torch.equal(sample_humo(own)[0], drafts.latents[4])
    found = measure_draft(own.wan, drafts.latents[4], judge, fit_sound(request.speech, own.seconds))
    assert best.found.drafts[1].score == found.score
    assert set(found.likeness) == {"character1"} and found.sound_seconds == pytest.approx(own.seconds)
    assert best.latents is None and best.plan.wan.request.seed == best.found.best.seed
    full = best_of_humo(plan, 2, judge)
    assert full.found.steps == 2 and full.latents is not None
    assert torch.equal(full.latents, sample_humo(full.plan)[0])
