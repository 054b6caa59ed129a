"""Several seeds are tried with few steps, and the best of them is the one that the score says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from wan_core.errors import InputError
from wan_core.identity.detectors import Detector
from wan_core.pipelines import Character, GenerateRequest, NanoBundle, NanoDefaults, generate
from wan_core.pipelines.best_of import best_of_nano, nano_faces, seeds_from, try_seeds
from wan_core.pipelines.likeness import PersonReference, frames_of, report_on
from wan_core.pipelines.recognisers import DrawnFaces
from wan_core.report import FaceTrack, Measurements, SimilarityScale, summarise_track
from wan_core.types import AudioClip

SCALE = SimilarityScale("a test", same=1.0, strangers=0.0)


def alike(similarity: float | None) -> Measurements:
    track = FaceTrack(
        similarity=(similarity,) * 4, width=None, poses=None, reference_pose=None, sameness=(0.0,) * 4
    )
    likeness = {} if similarity is None else {"character1": summarise_track(track, SCALE, 8)}
    return Measurements(frames=4, fps=8, picture_seconds=0.5, sound_seconds=None, likeness=likeness)


def test_the_highest_score_wins_whatever_samples() -> None:
    asked: list[tuple[int, int]] = []
    told: list[tuple[int, int]] = []

    def make(seed: int, steps: int) -> Measurements:
        asked.append((seed, steps))
        return alike({5: 0.4, 6: 0.7, 7: 0.7}[seed])

    found = try_seeds([5, 6, 7], 3, make, lambda done, total: told.append((done, total)))
    assert asked == [(5, 3), (6, 3), (7, 3)] and told == [(1, 3), (2, 3), (3, 3)]
    assert found.best.seed == 6
    content = json.loads(json.dumps(found.to_content()))
    assert content["seed"] == 6 and content["draft_steps"] == 3
    assert [(draft["seed"], round(draft["score"], 6)) for draft in content["drafts"]] == [
        (5, 0.4),
        (6, 0.7),
        (7, 0.7),
    ]
    assert "correlation of mouth and loudness" in content["score"]


def test_nothing_to_score_is_an_error() -> None:
    with pytest.raises(InputError, match="expected a face or lips to measure, got neither"):
        try_seeds([1, 2], 3, lambda seed, steps: alike(None))
    with pytest.raises(InputError, match="got 0 seeds and 3 steps"):
        try_seeds([], 3, lambda seed, steps: alike(0.5))
    with pytest.raises(InputError, match="expected 2 to 64 drafts, got 1"):
        seeds_from(0, 1)
    assert seeds_from(2**64 - 1, 2) == [2**64 - 1, 0]


def test_nano_makes_the_seed_that_its_report_likes_best(
    bundle: NanoBundle, quick: NanoDefaults, photo: torch.Tensor, voice: AudioClip
) -> None:
    person = Character(name="character1", photos=(photo,), voice=voice, face="whole")
    request = GenerateRequest(characters=(person,), seed=11, size=(128, 128), steps=3)
    chosen, found = best_of_nano(request, bundle, 3, steps=2, defaults=quick)
    assert [draft.seed for draft in found.drafts] == [11, 12, 13]
    assert (chosen.seed, chosen.steps, chosen.size) == (found.best.seed, 3, (128, 128))
    assert chosen.characters is request.characters
    assert found.best.score == max(draft.score for draft in found.drafts)
    # the figures are those of the report on the same draft
    made = generate(
        replace(request, seed=12, size=(64, 64), steps=2),
        bundle,
        defaults=replace(quick, steps=2, audio_lead=round(quick.audio_lead * 2 / quick.steps)),
    )
    own = report_on(
        frames_of(made.video),
        made.fps,
        made.audio,
        people={"character1": PersonReference(photos=(photo,), face="whole", voice=voice)},
        recogniser=DrawnFaces(bundle.identity.face_encoder),
    ).measurements
    assert found.drafts[1].score == pytest.approx(own.score)
    assert found.drafts[1].likeness["character1"] == pytest.approx(own.likeness["character1"].mean)


def test_faces_are_found_as_for_the_clip(bundle: NanoBundle, photo: torch.Tensor) -> None:
    chosen = Detector(name="cascade")
    person = Character(name="character1", photos=(photo,), detector=chosen)
    assert nano_faces(bundle, GenerateRequest(characters=(person,))).detector is chosen
    assert nano_faces(bundle, GenerateRequest()).detector == Detector()


def test_nano_refuses_when_there_is_nothing_to_measure(bundle: NanoBundle, voice: AudioClip) -> None:
    mute = GenerateRequest(characters=(Character(name="character1", voice=voice),), has_audio=False)
    with pytest.raises(InputError, match="expected a photo or sound to score by"):
        best_of_nano(mute, bundle, 2)
