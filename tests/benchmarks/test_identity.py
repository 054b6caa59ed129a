"""The benchmark of the prepared face measures a face that does something."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from benchmarks.identity import (
    TARGETS,
    added_work,
    make_config,
    make_face,
    make_model,
    measure,
    paired_ratios,
)


@pytest.mark.parametrize("variant", list(TARGETS))
def test_face_changes_the_forward(variant: str) -> None:
    model = make_model(make_config(128, 64), torch.float32, torch.device("cpu"))
    face = make_face(model, variant)
    latents, context = torch.randn(1, 16, 1, 4, 4), torch.randn(1, 5, 4096)
    timestep = torch.tensor([500.0])
    with torch.no_grad():
        plain = model(latents, timestep, context)
        changed = model(latents, timestep, context, injections=face.cross, self_injections=face.own)
    assert not torch.equal(plain, changed)
    counts = [key.shape[2] for key in face.cross[0].keys]
    assert counts == ([32, 32] if variant == "full" else [16, 0])
    assert [key.shape[2] for own in face.own for key in own.keys] == ([256, 256] if variant == "full" else [])
    added_work(face, torch.randn(1, 1, 64, 128))()


def test_rows_have_both_ratios() -> None:
    with torch.inference_mode():
        rows = measure(make_config(128, 64), 64, 1, torch.float32, torch.device("cpu"))
    assert set(rows) == {"full", "lite"}
    for row in rows.values():
        assert row["forward"] > 0.2 and row["parts"] > 1 and row["met"] is None


def test_ratios_are_of_the_same_turn() -> None:
    calls: list[str] = []
    work = {name: partial(calls.append, name) for name in ("first", "second")}
    taken, ratios = paired_ratios(work, 3, torch.device("cpu"))
    turn = ["first", "second", "second", "first"]
    assert calls == ["first", "second"] + 3 * turn
    assert set(taken) == {"first", "second"} and min(taken.values()) >= 0
    assert list(ratios) == ["second"] and len(ratios["second"]) == 3
