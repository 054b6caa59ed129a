"""Whole short runs against the engines of Ovi and DreamID-Omni; the file is made by tests/golden/make_ovi_engine.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_dit import relative_error, tiny_config
from torch import Tensor
from torch.nn import functional

from wan_core.dit.config import JointConfig
from wan_core.dit.joint import JointModel
from wan_core.pipelines.ovi_family import DREAMID, OVI_960, OviFamily
from wan_core.pipelines.ovi_references import face_picture, face_stream, voice_second, voice_stream
from wan_core.pipelines.ovi_request import OviRequest, area_size, picture_size, resolve_ovi
from wan_core.pipelines.ovi_transformer import OviConditioning, OviDenoiser, ovi_chain
from wan_core.pipelines.wan_pictures import stretch, to_video
from wan_core.sampling import AVSigmas, sample
from wan_core.types import AudioClip, AVLatents

FOLDER = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(FOLDER / "ovi_engine.safetensors")


@pytest.fixture(scope="module")
def model() -> JointModel:
    tower = tiny_config(dim=24, ffn_dim=40, text_dim=10, freq_dim=16, in_channels=5, out_channels=5)
    audio = replace(tower, in_channels=3, out_channels=3, patch_size=(1,))
    config = JointConfig(video=tower, audio=audio, fusion_window=None, audio_position_scale=0.19676)
    model = JointModel(config).train(False).requires_grad_(False)
    stored = load_file(FOLDER / "ovi_fusion.safetensors")
    weights = {k.removeprefix("weight."): v.float() for k, v in stored.items() if k.startswith("weight.")}
    model.load_state_dict({k.replace("modulation.modulation", "modulation"): v for k, v in weights.items()})
    return model


def contexts(golden: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """The three prompts, filled up with zeros to the six rows of the tiny model."""
    first, second, third = (
        functional.pad(golden[f"context.{i}"], (0, 0, 0, 6 - len(golden[f"context.{i}"])))[None]
        for i in range(3)
    )
    return first, second, third


def run(
    model: JointModel,
    family: OviFamily,
    conditioning: OviConditioning,
    video: Tensor,
    audio: Tensor,
    request: OviRequest,
) -> AVLatents:
    settings = resolve_ovi(request, family)
    schedule = settings.schedule()
    return sample(
        OviDenoiser(model, conditioning, position_scale=family.position_scale, dtype=torch.float32),
        AVLatents(video[None], audio.T[None]),
        AVSigmas(schedule.sigmas, schedule.sigmas),
        ovi_chain(settings),
        solver=schedule.solver,
        model_timesteps=AVSigmas(schedule.timesteps, schedule.timesteps),
        first_frame=conditioning.first_frame,
    )


@pytest.mark.parametrize("case", ["t2av", "i2av"])
def test_run_equals_ovi(golden: dict[str, Tensor], model: JointModel, case: str) -> None:
    """Guidance 4 and 3, the negative pass without block 1, and a first frame that stays clean."""
    family = replace(OVI_960, skipped=(1,))
    first = golden["first"][None] if case == "i2av" else None
    conditioning = OviConditioning(contexts=contexts(golden), first_frame=first)
    found = run(model, family, conditioning, golden["ovi.video"], golden["ovi.audio"], OviRequest(steps=3))
    assert found.audio is not None
    assert relative_error(found.video[0], golden[f"ovi.{case}.video"]) < 1e-5
    assert relative_error(found.audio[0], golden[f"ovi.{case}.audio"]) < 1e-5


def test_run_equals_dreamid_omni(golden: dict[str, Tensor], model: JointModel) -> None:
    """Two faces and two voices of different length at their places; four evaluations a step."""
    faces = tuple(face_stream(golden["faces"][None, :, i : i + 1], i + 1) for i in range(2))
    pieces = golden["voices"].T[None].split([4, 5], dim=2)
    voices = tuple(voice_stream(piece, i + 1, DREAMID) for i, piece in enumerate(pieces))
    assert [s.offset[0] for s in voices] == [760 * 0.197265625, 1520 * 0.197265625]
    conditioning = OviConditioning(contexts=contexts(golden), faces=faces, voices=voices)
    family = replace(DREAMID, reference_guidance=None)
    settings = resolve_ovi(OviRequest(steps=3), family)
    settings = replace(settings, family=DREAMID, reference_guidance=(1.5, 2.0))
    schedule = settings.schedule()
    found = sample(
        OviDenoiser(model, conditioning, position_scale=DREAMID.position_scale, dtype=torch.float32),
        AVLatents(golden["dreamid.video"][None, :, :31], golden["dreamid.audio"].T[None, :, :157]),
        AVSigmas(schedule.sigmas, schedule.sigmas),
        ovi_chain(settings),
        solver=schedule.solver,
        model_timesteps=AVSigmas(schedule.timesteps, schedule.timesteps),
    )
    assert found.audio is not None
    assert relative_error(found.video[0], golden["dreamid.r2av.video"]) < 1e-5
    assert relative_error(found.audio[0], golden["dreamid.r2av.audio"]) < 1e-5


def test_reference_picture_and_official_second(golden: dict[str, Tensor]) -> None:
    """A whole photo on white, 96 x 64, and the samples from 1.0 to 2.0 s of a recording of 2.5 s."""
    found, notes = face_picture(golden["face"], "whole", (96, 64))
    assert notes == () and float((found - golden["face.prepared"]).abs().max()) < 1e-6
    ramp = AudioClip(torch.arange(40000)[None] / 40000, 16000)
    second, begin = voice_second(ramp, "official")
    assert begin == 1.0 and second.shape == (1, 16000)
    assert (second[0, [0, -1]] * 40000 - golden["voice.span"]).abs().max() < 0.01


def test_sizes_and_first_frame(golden: dict[str, Tensor]) -> None:
    for height, width, area, best_height, best_width in golden["sizes"].tolist():
        assert area_size((width, height), area) == (best_width, best_height)
    for width, height, area, *best in golden["picture_sizes"].tolist():
        assert list(picture_size(width, height, area)) == best
    photo = golden["face"]
    size = picture_size(photo.shape[1], photo.shape[0], 64 * 64)
    assert relative_error(stretch(to_video(photo), size), golden["picture"]) < 1e-5
