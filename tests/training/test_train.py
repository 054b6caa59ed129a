"""Training's moving parts: batches, noise levels, checkpoints that a killed run goes on from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from training.dataset import (
    SILENT,
    ClipDataset,
    draw_noise_levels,
    is_held_out,
    prompt_table,
)
from training.nano_config import AUDIO_CHANNELS, AUDIO_LATENTS
from training.runs import load_state, save_state
from training.train import Run, Settings, learning_rate_factor, step_kind
from training.world.speech import phrase_text

CHANNELS = 12


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A tiny data set of random numbers in the true layout."""
    random = np.random.default_rng(0)
    clips = 40
    np.save(tmp_path / "latents.npy", random.normal(size=(clips, CHANNELS, 5, 4, 4)).astype(np.float16))
    index = np.stack(
        [
            random.integers(8, size=clips),
            random.integers(5, size=clips),
            random.integers(3, size=clips),
            random.integers(65, size=clips),
            random.integers(6, size=clips),
        ],
        1,
    )
    index[0] = (0, 1, 0, SILENT, 0)
    np.save(tmp_path / "index.npy", index.astype(np.int16))
    np.save(tmp_path / "embeds.npy", random.normal(size=(clips, 2, 128)).astype(np.float16))
    np.save(tmp_path / "voice_tokens.npy", random.normal(size=(3, 2, 4, 128)).astype(np.float16))
    np.save(tmp_path / "silence.npy", np.zeros((AUDIO_CHANNELS, AUDIO_LATENTS), np.float32))
    bank = tmp_path / "bank"
    bank.mkdir()
    np.save(
        bank / "latents.npy", random.normal(size=(3, 64, AUDIO_CHANNELS, AUDIO_LATENTS)).astype(np.float16)
    )
    return tmp_path


@pytest.fixture
def settings(data: Path, tmp_path: Path) -> Settings:
    run = tmp_path / "run"
    run.mkdir()
    return Settings(
        data=data, bank=data / "bank", run=run, steps=2, decay_steps=1, unimodal_steps=0, batch_size=2,
        learning_rate=1e-3, ema=0.9, seed=0, workers=1, device="cpu", save_every=1, compile=False,
    )  # fmt: skip


def test_batches_depend_on_the_generator_alone(data: Path) -> None:
    dataset = ClipDataset(data, data / "bank", max_tokens=16)
    first, second = (dataset.batch(6, "joint", torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first.video, second.video)
    assert torch.equal(first.audio_noise, second.audio_noise)
    assert first.video.shape == (6, CHANNELS, 5, 4, 4)
    assert first.audio.shape == (6, AUDIO_CHANNELS, AUDIO_LATENTS)


def test_rows_of_a_batch_belong_together(data: Path) -> None:
    dataset = ClipDataset(data, data / "bank", max_tokens=16)
    batch = dataset.batch(16, "joint", torch.Generator().manual_seed(5))
    latents = torch.from_numpy(dataset.latents[:].astype(np.float32))
    embeds = dataset.embeds
    for row in range(16):
        clip = int((latents - batch.video[row]).flatten(1).abs().sum(1).argmin())
        assert bool((embeds[clip] == batch.face_embeds[row]).all(dim=1).any())
        assert not bool(is_held_out(dataset.index[clip, 0], dataset.index[clip, 1]))


def test_every_scene_keeps_one_action_for_evaluation() -> None:
    scene, action = torch.meshgrid(torch.arange(8), torch.arange(5), indexing="ij")
    assert is_held_out(scene, action).sum(dim=1).tolist() == [1] * 8


def test_prompts_of_different_clips_differ() -> None:
    table = prompt_table(16).flatten(0, 2)
    assert len({tuple(row.tolist()) for row in table}) == len(table) == 8 * 5 * 65
    assert phrase_text(0) == "hello"


def test_sound_is_never_noisier_than_the_picture_in_joint_batches() -> None:
    video, audio = draw_noise_levels(500, "joint", torch.Generator().manual_seed(0))
    assert bool((audio <= video).all())
    assert 0.4 < float((audio == 0).float().mean()) < 0.6


def test_a_first_frame_is_clean(data: Path) -> None:
    batch = ClipDataset(data, data / "bank", 16).batch(4, "first_frame", torch.Generator().manual_seed(0))
    assert batch.video_sigma.shape == (4, 5)
    assert bool((batch.video_sigma[:, 0] == 0).all())
    assert bool((batch.video_sigma[:, 1:] > 0).all())


def test_schedule(settings: Settings) -> None:
    run = replace(settings, steps=1000, decay_steps=100, unimodal_steps=10)
    assert step_kind(9, run) == "unimodal"
    assert {step_kind(s, run) for s in range(16, 24)} == {"joint", "unimodal", "first_frame"}
    assert learning_rate_factor(0, run) < 0.01
    assert learning_rate_factor(500, run) == 1.0
    assert learning_rate_factor(999, run) <= 0.02


def test_state_round_trip(tmp_path: Path) -> None:
    assert load_state(tmp_path / "none.safetensors") is None
    save_state(tmp_path / "state.safetensors", {"a/b": torch.arange(3.0)}, {"step": 7})
    tensors, info = load_state(tmp_path / "state.safetensors") or ({}, {})
    assert torch.equal(tensors["a/b"], torch.arange(3.0))
    assert info == {"step": 7}


@pytest.mark.slow
def test_a_killed_run_ends_where_an_unbroken_one_does(settings: Settings, tmp_path: Path) -> None:
    Run(replace(settings, steps=1), 0).train()
    resumed = Run(settings, 0)
    assert resumed.step == 1
    resumed.train()
    other = tmp_path / "other"
    other.mkdir()
    whole = Run(replace(settings, run=other), 0)
    whole.train()
    for (name, a), b in zip(resumed.trainee.named_parameters(), whole.trainee.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6), name
