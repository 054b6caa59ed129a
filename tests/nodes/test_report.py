"""The report of a clip in a real ComfyUI: from images or a video, with a face and a voice, or with neither."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from comfy_server import ComfyServer, failure_of
from PIL import Image
from prompts import Prompt, node

pytestmark = pytest.mark.comfy


def clip_and_report(**changes: Any) -> Prompt:
    """A still picture as a clip with the test's sound, and its report with the same picture and sound as references."""
    inputs: dict[str, Any] = {
        "encoders": ["model", 4],
        "name": "character1",
        "faces": "drawn",
        "face": "whole",
        "fps": 8.0,
        "images": ["frames", 0],
        "audio": ["sound", 0],
        "reference": ["photo", 0],
        "voice": ["sound", 0],
    }
    inputs |= changes
    return {
        "model": node("WanR2V_LoadDiT", weights="random"),
        "photo": node("LoadImage", image="picture.png"),
        "sound": node("LoadAudio", audio="voice.wav"),
        "frames": node("RepeatImageBatch", image=["photo", 0], amount=17),
        "video": node("CreateVideo", images=["frames", 0], fps=8.0, audio=["sound", 0]),
        "report": node(
            "WanR2V_LikenessReport", **{key: own for key, own in inputs.items() if own is not None}
        ),
        "text": node("PreviewAny", source=["report", 1]),
    }


def run(comfy: ComfyServer, **changes: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """The report's preview and its JSON."""
    entry = comfy.run(clip_and_report(**changes))
    (image,) = entry["outputs"]["report"]["images"]
    picture = np.asarray(Image.open(comfy.base / image["type"] / image["subfolder"] / image["filename"]))
    return picture, json.loads(entry["outputs"]["text"]["text"][0])


def test_report_of_images(comfy: ComfyServer) -> None:
    picture, content = run(comfy)
    assert picture.shape[1] == 960 and picture.std() > 10
    person = content["characters"]["character1"]
    assert content["frames"] == 17
    assert len(person["likeness"]["by_frame"]["similarity"]) == 17
    assert person["voice"]["similarity"] == pytest.approx(1, abs=1e-3)
    assert abs(person["voice"]["pitch_difference_semitones"]) < 0.1


def test_video_gives_its_rate_and_sound(comfy: ComfyServer) -> None:
    _, from_images = run(comfy)
    _, from_video = run(comfy, images=None, audio=None, video=["video", 0], fps=50.0)
    assert from_video["fps"] == 8.0
    assert from_video["sound_seconds"] == pytest.approx(from_images["sound_seconds"], abs=0.05)
    assert from_video["characters"]["character1"]["likeness"]["mean"] == pytest.approx(
        from_images["characters"]["character1"]["likeness"]["mean"], abs=1e-4
    )


def test_report_without_references(comfy: ComfyServer) -> None:
    _, content = run(comfy, reference=None, voice=None, audio=None)
    assert content["characters"] == {} and content["score"] is None


def test_useless_connections(comfy: ComfyServer) -> None:
    for changes, message in (
        ({"images": None}, "clip: expected images or a video, got neither"),
        ({"video": ["video", 0]}, "clip: expected images or a video, got both"),
        ({"faces": "landmarks"}, "faces: expected drawn or cascade with nano's encoders, got landmarks"),
        ({"face": "5"}, "face"),
    ):
        entry = comfy.wait(comfy.queue(clip_and_report(**changes)))
        assert entry["status"]["status_str"] == "error"
        assert message in failure_of(entry)
