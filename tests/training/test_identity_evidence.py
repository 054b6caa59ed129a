"""Evidence that the report's likeness separates people: its arithmetic, and at small scale the whole of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from training.identity_evidence import (
    area_under_curve,
    chance_auc,
    judge_figures,
    measure,
    rises,
    separation,
)
from wan_core.pipelines.bundle import load_bundle
from wan_core.pipelines.defaults import NanoDefaults


def test_area_under_curve() -> None:
    assert area_under_curve(torch.tensor([0.9, 0.8]), torch.tensor([0.1, 0.2, 0.3])) == 1.0
    assert area_under_curve(torch.tensor([0.1]), torch.tensor([0.9, 0.1, 0.0])) == 0.5
    generator = torch.Generator().manual_seed(0)
    same = area_under_curve(torch.rand(400, generator=generator), torch.rand(400, generator=generator))
    assert abs(same - 0.5) < chance_auc(400) - 0.5 < 0.05


def test_separation_of_similarities() -> None:
    cosines = torch.full((4, 4), 0.2) + 0.5 * torch.eye(4)
    assert separation(cosines) == (1.0, 1.0)
    cosines[0] = torch.tensor([0.1, 0.9, 0.2, 0.2])
    auc, top = separation(cosines)
    assert auc < 1.0 and top == 0.75


def test_monotone_and_targets() -> None:
    assert rises([0.1, 0.2, 0.3]) and not rises([0.1, 0.3, 0.3])
    figures = {
        "auc": 0.97,
        "auc_off": 0.5,
        "pitch_spearman": 0.9,
        "voice_auc": 0.99,
        "sync": 0.4,
        "sync_peak_lag_frames": 0,
        "copy_paste_alarms": 0,
        "monotone": True,
    }
    targets = judge_figures(figures, 24)
    assert {name for name, row in targets.items() if not row["met"]} == {"sync"}
    assert set(targets) == set(figures)


@pytest.mark.slow
def test_small_run(tmp_path: Path) -> None:
    """Eight people and few steps: strangers are told apart, and a face of strength 0 is nobody's."""
    settings = NanoDefaults(steps=10, audio_lead=6)
    found = measure(load_bundle(), 8, 5, (0.0, 0.5, 1.0), settings)
    (tmp_path / "evidence.json").write_text(json.dumps(found))
    assert found["monotone"]
    assert found["auc"] >= 0.9 and found["auc_off"] <= chance_auc(8)
    assert found["voice_auc"] >= 0.9 and found["copy_paste_alarms"] == 0
    assert found["sync_peak_lag_frames"] <= 1
