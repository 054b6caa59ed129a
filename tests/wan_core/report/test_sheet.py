"""The sheet shows what it says, and the JSON holds every figure."""

from __future__ import annotations

import io
import json

import numpy as np
import torch
from PIL import Image
from report_clips import buzz

from wan_core.report import (
    FaceTrack,
    HeadPose,
    Measurements,
    SimilarityScale,
    VoiceMatch,
    compare_lips,
    describe,
    draw_report,
    draw_sheet,
    pitch_statistics,
    summarise_track,
    to_json,
)
from wan_core.report.plot import BLUE, GREEN, ORANGE, Line, draw_plot

SCALE = SimilarityScale("a test", same=0.9, strangers=0.2, basis="invented")


def measured(loudness: torch.Tensor, sameness: float = 0.3) -> Measurements:
    sound = buzz(loudness)
    similarity = tuple(0.8 - 0.02 * k if k != 3 else None for k in range(17))
    poses = tuple(HeadPose(2.0 * k, -k, 3.0) if k != 3 else None for k in range(17))
    track = FaceTrack(
        similarity=similarity,
        width=tuple(0.25 for _ in similarity),
        poses=poses,
        reference_pose=HeadPose(0, 0, 0),
        sameness=tuple(sameness for _ in similarity),
    )
    lips = compare_lips(loudness.clone(), sound, 8)
    assert lips is not None
    pitch = pitch_statistics(sound)
    return Measurements(
        frames=17,
        fps=8,
        picture_seconds=2.125,
        sound_seconds=2.125,
        faces=(1,) * 16 + (2,),
        likeness={
            "character1": summarise_track(track, SCALE, 8, ["a thing: for a reason."]),
            "character2": None,
        },
        lips={"character1": lips},
        mouth="by hand",
        voices={"character1": VoiceMatch(similarity=0.77, scale=SCALE, reference=pitch, clip=pitch)},
        notes=("mind this",),
    )


def count(sheet: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((sheet == colour).all(axis=2).sum())


def test_sheet_holds_references_frames_and_plots(loudness: torch.Tensor) -> None:
    frames = torch.zeros(17, 64, 64, 3, dtype=torch.uint8)
    frames[..., 0] = 255
    face = torch.stack((-torch.ones(64, 64), torch.ones(64, 64), -torch.ones(64, 64)))
    png = draw_sheet(frames, measured(loudness), {"character1": face}, "Title")
    sheet = np.array(Image.open(io.BytesIO(png)).convert("RGB"))
    assert count(sheet, (255, 0, 0)) == 16 * 80 * 80
    assert count(sheet, (0, 255, 0)) == 168 * 168
    assert min(count(sheet, colour) for colour in (BLUE, ORANGE, GREEN)) > 300
    both = draw_report(frames, measured(loudness), {"character1": face, "character2": face})
    assert count(both, (0, 255, 0)) == 2 * 80 * 80


def test_sheet_without_references() -> None:
    frames = torch.zeros(3, 40, 60, 3, dtype=torch.uint8)
    nothing = Measurements(frames=3, fps=8, picture_seconds=0.375, sound_seconds=None)
    sheet = draw_report(frames, nothing)
    assert sheet.shape[1] == 960 and sheet.shape[0] < 260
    assert nothing.score is None


def test_no_sentence_runs_out_of_the_sheet(loudness: torch.Tensor) -> None:
    sheet = draw_report(torch.zeros(17, 8, 8, 3, dtype=torch.uint8), measured(loudness), title="x" * 30)
    assert (sheet[:300, -8:] == 255).all()


def test_json_and_sentences_agree(loudness: torch.Tensor) -> None:
    found = measured(loudness)
    content = json.loads(to_json(found))
    person = content["characters"]["character1"]
    likeness, sync, voice = person["likeness"], person["sync"], person["voice"]
    assert likeness["scale"] == {"encoder": "a test", "same": 0.9, "strangers": 0.2, "basis": "invented"}
    assert likeness["drift_per_second"] < 0 and likeness["not_measured"] == ["a thing: for a reason."]
    assert likeness["head_degrees"]["yaw"] == [0.0, 32.0]
    assert likeness["by_frame"]["yaw"][3] is None and len(likeness["by_frame"]["similarity"]) == 17
    assert likeness["copy_paste"]["alarm"] is False
    assert content["characters"]["character2"]["likeness"] is None
    assert content["notes"] == ["mind this"] and content["faces"][-1] == 2
    assert sync["correlation"] == sync["by_lag"]["0"] and abs(sync["best_lag_ms"]) <= 20
    assert voice["pitch_difference_semitones"] == 0.0 and voice["similarity"] == 0.77
    # likeness of the first, 0 of the second, lips of the first
    assert content["score"] == (likeness["score"] + 0 + sync["correlation"]) / 3
    text = "\n".join(describe(found))
    assert f"mean cosine {likeness['mean']:.2f}, lowest {likeness['min']:.2f}" in text
    assert "compared by a test" in text and "strangers 0.20 (invented)" in text
    assert "character2, face: no frame shows it" in text
    assert f"loudness {sync['correlation']:.2f}" in text and f"{abs(sync['best_lag_ms'])} ms" in text
    assert "yaw +0 to +32" in text and "copy-paste: no" in text and "faces: 1 to 2 a frame" in text


def test_an_alarm_is_red(loudness: torch.Tensor) -> None:
    frames = torch.zeros(17, 8, 8, 3, dtype=torch.uint8)
    red = (190, 30, 30)
    assert count(draw_report(frames, measured(loudness, 0.3)), red) == 0
    # the head turns away, so that the picture alone does not raise it
    assert count(draw_report(frames, measured(loudness, 0.99)), red) == 0


def test_plot_is_where_its_values_are() -> None:
    picture = np.array(draw_plot("x", [Line([0.0, 0.0, 1.0, 1.0], BLUE, "y")], (0.0, 1.0), (300, 150), 0.1))
    rows = np.argwhere(
        (picture == BLUE).all(axis=2) & (np.arange(300) > 60)[None] & (np.arange(150) > 20)[:, None]
    )
    left, right = rows[rows[:, 1] < 100][:, 0], rows[rows[:, 1] > 240][:, 0]
    assert left.mean() - right.mean() > 90


def test_plot_leaves_gaps() -> None:
    line = Line([0.5] * 10 + [None] * 10 + [0.5] * 10, BLUE, "y")
    picture = np.array(draw_plot("x", [line], (0.0, 1.0), (300, 150), 0.1))
    drawn = (picture[40:] == BLUE).all(axis=2).any(axis=0)
    assert drawn[60:110].all() and drawn[230:280].all() and not drawn[140:190].any()
