"""The sheet shows what it says, and the JSON holds every figure."""

from __future__ import annotations

import io
import json

import numpy as np
import torch
from PIL import Image

from wan_core.report import FaceScale, Measurements, describe, draw_sheet, measure_clip, to_json
from wan_core.report.plot import BLUE, ORANGE, Line, draw_plot
from wan_core.types import AudioClip

SCALE = FaceScale("a test", same=0.9, strangers=0.2)


def _measured() -> tuple[torch.Tensor, Measurements]:
    generator = torch.Generator().manual_seed(0)
    video = torch.rand(3, 17, 64, 64, generator=generator) * 2 - 1
    sound = AudioClip(torch.rand(1, 34000, generator=generator) * torch.linspace(0, 0.5, 34000), 16000)
    embeds = torch.randn(17, 8, generator=generator)
    found = measure_clip(
        video, 8, sound, face=torch.zeros(3, 64, 64), face_embeds=embeds[0], frame_embeds=embeds, voice=sound
    )
    return video, found


def test_sheet_holds_reference_frames_and_plots() -> None:
    video, found = _measured()
    video[0], video[1:] = 1.0, -1.0
    face = torch.stack((-torch.ones(64, 64), torch.ones(64, 64), -torch.ones(64, 64)))
    sheet = np.array(Image.open(io.BytesIO(draw_sheet(video, found, SCALE, face, "Title"))).convert("RGB"))
    assert (sheet == (255, 0, 0)).all(axis=2).sum() == 16 * 80 * 80
    assert (sheet == (0, 255, 0)).all(axis=2).sum() == 168 * 168
    assert (sheet == BLUE).all(axis=2).sum() > 300
    assert (sheet == ORANGE).all(axis=2).sum() > 300


def test_sheet_without_references() -> None:
    video = torch.zeros(3, 3, 40, 60)
    sheet = Image.open(io.BytesIO(draw_sheet(video, measure_clip(video, 8), SCALE)))
    assert sheet.size[0] == 960
    assert sheet.size[1] < 260


def test_json_and_sentences_agree() -> None:
    _, found = _measured()
    content = json.loads(to_json(found, SCALE, ["mind this"]))
    assert content["face_scale"] == {"encoder": "a test", "same": 0.9, "strangers": 0.2}
    assert content["notes"] == ["mind this"]
    assert len(content["face_similarity"]) == 17
    assert set(content["colours"]) == {"hair", "skin", "clothes"}
    assert content["lips"]["by_lag"]["0"] == found.lips.by_lag[0]
    text = "\n".join(describe(found, SCALE))
    assert f"correlation of mouth and loudness {found.lips.by_lag[0]:.2f}" in text
    assert "face compared by a test" in text
    assert "of strangers 0.20" in text


def test_plot_is_where_its_values_are() -> None:
    picture = np.array(draw_plot("x", [Line([0.0, 0.0, 1.0, 1.0], BLUE, "y")], (0.0, 1.0), (300, 150), 0.1))
    rows = np.argwhere(
        (picture == BLUE).all(axis=2) & (np.arange(300) > 60)[None] & (np.arange(150) > 20)[:, None]
    )
    left, right = rows[rows[:, 1] < 100][:, 0], rows[rows[:, 1] > 240][:, 0]
    assert left.mean() - right.mean() > 90
