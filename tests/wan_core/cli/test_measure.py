"""Reports from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from wan_core.media import read_voice, write_video

from .conftest import Run


@pytest.fixture
def clip(files: Path, tmp_path: Path) -> Path:
    video = torch.rand(1, 3, 17, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return write_video(tmp_path / "clip.mp4", video, 8, read_voice(files / "me.wav").clip)


def test_report_on_a_clip(run: Run, clip: Path, files: Path, weights: Path, tmp_path: Path) -> None:
    code, out, _ = run(
        *("report", clip, "--reference", files / "me.jpg", "--voice", files / "me.wav", "--weights", weights)
    )
    assert code == 0
    assert "character1, face: mean cosine" in out and "no independent judge" in out and "semitones" in out
    assert "not measured: number and size of faces" in out
    report = json.loads((tmp_path / "clip.report.json").read_text())
    assert report["frames"] == 17
    person = report["characters"]["character1"]
    assert abs(person["voice"]["pitch_difference_semitones"]) < 1
    assert person["voice"]["similarity"] > 0.9
    assert len(person["likeness"]["by_frame"]["similarity"]) == 17
    code, _, err = run("report", clip)
    assert (code, "got an existing one" in err) == (2, True)
    assert run("report", clip, "--overwrite")[0] == 0


def test_named_references_are_the_same_as_plain_ones(
    run: Run, clip: Path, files: Path, weights: Path, tmp_path: Path
) -> None:
    for stem, name in (("plain", ""), ("named", "character1=")):
        given = ("--reference", f"{name}{files / 'me.jpg'}", "--voice", f"{name}{files / 'me.wav'}")
        assert run("report", clip, *given, "--face", "whole", "--out", stem, "--weights", weights)[0] == 0
    plain, named = ((tmp_path / f"{stem}.report.json").read_text() for stem in ("plain", "named"))
    assert plain == named


def test_recogniser_is_named_and_has_its_weights(run: Run, clip: Path, files: Path, tmp_path: Path) -> None:
    report = ("report", clip, "--reference", files / "me.jpg")
    for options, message in (
        (("--detector", "best"), "expected one of auto, scrfd, yunet, cascade, got 'best'"),
        (("--detector", "yunet"), "expected the file of its model, got none"),
        (("--recogniser", tmp_path / "w.pth"), "w.pth"),
    ):
        code, _, err = run(*report, *options)
        assert (code, message in err) == (2, True), err


def test_report_needs_no_weights_without_a_photo(run: Run, clip: Path, tmp_path: Path) -> None:
    code, out, _ = run(
        "report", clip, "--out", tmp_path / "other.png", "--json", "--weights", tmp_path / "nowhere"
    )
    assert code == 0
    content = json.loads(out)
    assert content["characters"]["clip"]["likeness"] is None
    assert content["json"] == str(tmp_path / "other.report.json")
    assert {entry.name for entry in tmp_path.iterdir()} == {
        "clip.mp4",
        "other.report.png",
        "other.report.json",
    }


def test_clip_without_sound_is_noted(run: Run, tmp_path: Path) -> None:
    path = write_video(tmp_path / "mute.mp4", torch.zeros(3, 17, 64, 64), 8)
    code, out, _ = run("report", path)
    assert (code, "lips and voice were not measured" in out) == (0, True)


def test_missing_clip_leaves_no_report(run: Run, tmp_path: Path) -> None:
    code, _, err = run("report", "nothing.mp4")
    assert (code, "expected a file, got none" in err) == (2, True)
    assert list(tmp_path.iterdir()) == []
