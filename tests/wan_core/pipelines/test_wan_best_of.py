"""Best-of-N with published Wan models: drafts are true clips of their seed, and the score is that of the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lynx_release import LynxRelease, write_lynx
from skimage import data
from wan_release import write_release

from wan_core.errors import InputError
from wan_core.identity.detectors import Detector, open_landmarks
from wan_core.pipelines import Character
from wan_core.pipelines.identity_file import EncodedIdentity, encoder_fingerprint
from wan_core.pipelines.likeness import frames_of, report_on
from wan_core.pipelines.photos import align_person
from wan_core.pipelines.wan_best_of import WanDrafts, best_of_wan, draft_plan
from wan_core.pipelines.wan_files import WanFiles
from wan_core.pipelines.wan_generate import decode_latents, sample_wan
from wan_core.pipelines.wan_judge import WanJudge, check_judge, open_judge
from wan_core.pipelines.wan_plan import WanPlan, plan_wan
from wan_core.pipelines.wan_request import WanRequest


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("release") / "wan", "t2v")


@pytest.fixture(scope="module")
def lynx(tmp_path_factory: pytest.TempPathFactory) -> LynxRelease:
    return write_lynx(tmp_path_factory.mktemp("lynx"))


def astronaut() -> torch.Tensor:
    return torch.from_numpy(data.astronaut()[:320].copy())


def make_plan(folder: Path, lynx: LynxRelease | None = None, **changes: object) -> WanPlan:
    """Phantom, or Lynx where its files are given."""
    asked = {
        "prompt": "character1 waves",
        "characters": (Character(name="character1", photos=(astronaut(),)),),
        "size": (64, 64),
        "frames": 1,
        "steps": 3,
        "seed": 5,
        **changes,
    }
    files = WanFiles(model=folder, method=None if lynx else "phantom")
    if lynx:
        detector = Detector(name="scrfd", model=lynx.detector)
        files = replace(files, adapter=(lynx.lite,), recogniser=lynx.recogniser, detector=detector)
    return plan_wan(WanRequest(**asked), files)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def judge(release: Path, lynx: LynxRelease) -> WanJudge:
    return open_judge(make_plan(release), lynx.recogniser, Detector(name="scrfd", model=lynx.detector))


def test_drafts_are_clips_of_their_seed_scored_as_a_report(release: Path, judge: WanJudge) -> None:
    plan, drafts, told = make_plan(release), WanDrafts(), list[tuple[int, int]]()
    best = best_of_wan(
        plan, 3, judge, steps=1, drafts=drafts, done=lambda done, total: told.append((done, total))
    )
    assert told == [(number, 6) for number in range(1, 7)]
    assert list(drafts.latents) == [draft.seed for draft in best.found.drafts] == [5, 6, 7]
    assert tuple(drafts.scored) == best.found.drafts and best.found.steps == 1
    assert best.found.to_content()["compared_by"] == judge.faces.scale.encoder
    assert best.latents is None  # a draft of one step is not the clip of three
    assert best.plan.request.seed == best.found.best.seed and best.plan.settings == plan.settings
    # the draft of seed 6 is what a request for one step and seed 6 gives, and its figures are those of a report on it
    own = make_plan(release, steps=1, seed=6)
    latents, _ = sample_wan(own)
    assert torch.equal(latents, drafts.latents[6])
    frames = frames_of(torch.cat(list(decode_latents(latents, own.model.vae, own.model.family)), dim=2))
    found = report_on(frames, 16, people=judge.people, recogniser=judge.faces).measurements
    assert best.found.drafts[1].score == found.score
    likeness = found.likeness["character1"]
    assert best.found.drafts[1].likeness == {"character1": None if likeness is None else likeness.mean}


def test_a_draft_with_all_the_steps_is_the_clip(release: Path, judge: WanJudge) -> None:
    plan = make_plan(release, steps=2)
    best = best_of_wan(plan, 2, judge)  # a draft would have 10 steps, the clip has 2
    assert best.found.steps == 2 and best.latents is not None
    assert torch.equal(best.latents, sample_wan(best.plan)[0])


def test_lynx_judges_by_its_own_recogniser(release: Path, lynx: LynxRelease) -> None:
    plan, drafts = make_plan(release, lynx), WanDrafts()
    assert check_judge(plan, None, "report") == lynx.recogniser
    best = best_of_wan(plan, 2, open_judge(plan), steps=1, drafts=drafts)
    assert torch.equal(drafts.latents[6], sample_wan(make_plan(release, lynx, steps=1, seed=6))[0])
    assert set(best.found.best.likeness) == {"character1"}


def test_drafts_have_the_strength_of_their_own_steps(release: Path) -> None:
    plan = make_plan(release, steps=20)
    quick = draft_plan(plan)
    assert quick.settings.steps == 10 and len(quick.strengths[0].rows) == 10
    assert draft_plan(plan, 4).strengths == make_plan(release, steps=4).strengths
    assert draft_plan(plan, 20) is plan and draft_plan(plan, 30) is plan


def test_what_is_made_stays_when_a_later_draft_fails(release: Path, judge: WanJudge) -> None:
    plan, drafts = make_plan(release), WanDrafts()

    def stop_at(number: int) -> None:
        def stop(done: int, total: int) -> None:
            if done == number:
                raise KeyboardInterrupt

        best_of_wan(plan, 2, judge, steps=1, drafts=drafts, done=stop)

    with pytest.raises(KeyboardInterrupt):
        stop_at(3)
    assert list(drafts.latents) == [5, 6] and [draft.seed for draft in drafts.scored] == [5]


def test_references_without_a_face_are_left_out(release: Path, lynx: LynxRelease) -> None:
    # the detector of the test sees a face in every picture but a grey one of this size
    thing = Character(name="character2", videos=(torch.zeros(5, 32, 32, 3, dtype=torch.uint8),))
    plan = make_plan(release)
    with_thing = replace(plan, request=replace(plan.request, characters=(*plan.request.characters, thing)))
    judge = open_judge(with_thing, lynx.recogniser, Detector(name="scrfd", model=lynx.detector))
    assert set(judge.people) == {"character1"}
    assert judge.notes[0].startswith("character2 is not compared: ")
    alone = replace(plan, request=replace(plan.request, characters=(thing,)))
    with pytest.raises(InputError, match="expected a reference that shows a face, got none in character2"):
        open_judge(alone, lynx.recogniser, Detector(name="scrfd", model=lynx.detector))


def test_an_encoded_face_is_compared_like_its_photo(release: Path, lynx: LynxRelease) -> None:
    plan = make_plan(release, lynx)
    judge = open_judge(plan)
    detector = Detector(name="scrfd", model=lynx.detector)
    aligned = align_person(judge.faces.model, [astronaut()], "auto", open_landmarks(detector, is_lynx=True))
    encoded = EncodedIdentity(
        kind="lynx",
        encoder=encoder_fingerprint(judge.faces.model),
        source="a photo",
        photos=1,
        features=aligned.combined.embedding,
        picture=aligned.picture,
    )
    (known,) = open_judge(
        replace(
            plan,
            request=replace(plan.request, characters=(Character(name="character1", identity=encoded),)),
        )
    ).people.values()
    assert known.known is not None and not known.photos
    own = judge.faces.reference([astronaut()], "auto")
    # Lynx hands red and blue to the detector the other way round, which moves the landmarks of the test's a little
    assert torch.cosine_similarity(known.known.embedding, own.embedding, dim=0) > 0.9
    assert (known.known.crop - own.crop).abs().mean() < 0.15
    other = replace(encoded, encoder="0123456789abcdef")
    characters = (Character(name="character1", identity=other),)
    with pytest.raises(InputError, match="encoded"):
        open_judge(replace(plan, request=replace(plan.request, characters=characters)))


def test_nothing_to_judge_by_is_an_error(release: Path) -> None:
    plan = make_plan(release)
    with pytest.raises(
        InputError, match="--best-of: expected a recogniser for Phantom-Wan-1.3B, which brings"
    ):
        check_judge(plan, None, "--best-of")
    nobody = replace(plan, request=replace(plan.request, characters=()))
    with pytest.raises(InputError, match="--best-of: expected a photo of a person to compare with, got none"):
        check_judge(nobody, Path("a"), "--best-of")
