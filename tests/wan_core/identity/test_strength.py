from __future__ import annotations

import pytest
import torch
from tiny_dit import normal, randomise, tiny_config

from wan_core.dit.model import WanModel
from wan_core.errors import ConfigError
from wan_core.identity.strength import (
    PRESETS,
    ShapedInjection,
    Strength,
    active_injections,
    curve_at,
    preset,
    resolve_strength,
    slide,
)
from wan_core.ops.key_value import KeyValueAdapter

SIGMAS = [1.0, 0.9, 0.7, 0.4, 0.1]


def test_table_is_scale_times_steps_times_layers_times_subject() -> None:
    strength = Strength(
        scale=2.0,
        steps=((0.0, 0.5), (1.0, 1.5)),
        layers=((0.5, 1.0), (1.0, 0.0)),
        subjects={"character2": 0.25},
    )
    table = resolve_strength(strength, SIGMAS, 3, subject="character2")
    for step, row in enumerate(table.rows):
        over_time = 0.5 + step / 4
        assert row == pytest.approx([0.5 * over_time, 0.5 * over_time, 0.0])
    other = resolve_strength(strength, SIGMAS, 3, subject="character1")
    assert other.rows[0] == pytest.approx([1.0, 1.0, 0.0])
    assert table.timesteps == (1000.0, 900.0, 700.0, 400.0, 100.0)


def test_window_of_sigmas() -> None:
    table = resolve_strength(Strength(low=0.1, high=0.9), SIGMAS, 2)
    assert [row[0] for row in table.rows] == [0.0, 1.0, 1.0, 1.0, 0.0]
    assert not table.is_off
    assert resolve_strength(Strength(scale=0.0), SIGMAS, 2).is_off


def test_row_is_found_by_what_the_model_is_shown() -> None:
    shown = [999, 983, 974]
    table = resolve_strength(
        Strength(steps=((0.0, 0.0), (1.0, 1.0))), [0.9995, 0.9839, 0.9741], 1, timesteps=shown
    )
    assert [table.row(float(t))[0] for t in shown] == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(("place", "factor"), [(0.0, 2.0), (0.2, 2.0), (0.5, 3.0), (0.8, 4.0), (1.0, 4.0)])
def test_curve_is_straight_between_points_and_level_outside(place: float, factor: float) -> None:
    assert curve_at(((0.2, 2.0), (0.8, 4.0)), place) == pytest.approx(factor)


def test_slider_is_exact_at_its_named_places_and_rises_everywhere() -> None:
    assert slide(0.0) == PRESETS["as trained"]
    for position, name in ((-1.0, "free"), (1.0, "likeness")):
        found, wanted = (resolve_strength(s, SIGMAS, 7) for s in (slide(position), preset(name)))
        for row, expected in zip(found.rows, wanted.rows, strict=True):
            assert row == pytest.approx(expected)
    assert all(factor == 1.0 for row in resolve_strength(slide(0.0), SIGMAS, 7).rows for factor in row)
    tables = [resolve_strength(slide(p / 4), SIGMAS, 7).rows for p in range(-4, 5)]
    for lower, upper in zip(tables, tables[1:], strict=False):
        assert all(
            a <= b + 1e-12
            for one, two in zip(lower, upper, strict=True)
            for a, b in zip(one, two, strict=True)
        )
        assert sum(map(sum, lower)) < sum(map(sum, upper))


@pytest.fixture(scope="module")
def parts() -> tuple[WanModel, ShapedInjection]:
    model = WanModel(tiny_config())
    adapter = KeyValueAdapter(6, 48, 2)
    randomise(model)
    randomise(adapter, 3)
    made = adapter.prepare(normal(1, 4, 6), model.key_norms(), 2)
    return model, ShapedInjection(injection=made, table=resolve_strength(Strength(), SIGMAS, 2))


@torch.no_grad()
def test_scale_zero_and_closed_windows_are_bit_exact_no_ops(parts: tuple[WanModel, ShapedInjection]) -> None:
    model, shaped = parts
    latents, context = normal(1, 4, 2, 4, 4), normal(1, 5, 12, seed=2)

    def run(table_of: Strength, time: float) -> torch.Tensor:
        own = ShapedInjection(injection=shaped.injection, table=resolve_strength(table_of, SIGMAS, 2))
        injections = active_injections([own], time)
        return model(latents, torch.tensor([time]), context, injections=injections)

    plain = model(latents, torch.tensor([900.0]), context)
    assert torch.equal(run(Strength(scale=0.0), 900.0), plain)
    assert torch.equal(run(Strength(high=0.5), 900.0), plain)
    assert torch.equal(run(Strength(subjects={"b": 0.0}), 900.0), run(Strength(), 900.0))
    assert not torch.equal(run(Strength(), 900.0), plain)


def test_as_trained_is_the_very_injection_and_others_are_scaled(
    parts: tuple[WanModel, ShapedInjection],
) -> None:
    _, shaped = parts
    assert shaped.at(900.0) is shaped.injection
    halved = shaped.injection.with_scale([1.0, 0.5])
    table = resolve_strength(Strength(scale=0.5), SIGMAS, 2)
    found = ShapedInjection(injection=halved, table=table).at(400.0)
    assert found is not None and found.scales == (0.5, 0.25)
    assert (
        ShapedInjection(injection=halved, table=resolve_strength(Strength(low=0.5), SIGMAS, 2)).at(100.0)
        is None
    )


def test_misfits_are_named(parts: tuple[WanModel, ShapedInjection]) -> None:
    with pytest.raises(ConfigError, match=r"strength.steps: expected points with places rising"):
        Strength(steps=((0.5, 1.0), (0.2, 1.0)))
    with pytest.raises(ConfigError, match="expected finite numbers >= 0"):
        Strength(scale=-1.0)
    with pytest.raises(ConfigError, match="strength window: expected 0 <= low < high <= 1"):
        Strength(low=0.7, high=0.2)
    with pytest.raises(ConfigError, match=r"expected -1 \(free\) to 1 \(likeness\), got 2"):
        slide(2.0)
    with pytest.raises(ConfigError, match="expected one of free, as trained, likeness, got 'strong'"):
        preset("strong")
    with pytest.raises(ConfigError, match="Leave out the grid's last sigma"):
        resolve_strength(Strength(), SIGMAS, 2, timesteps=[1.0])
    wrong = ShapedInjection(injection=parts[1].injection, table=resolve_strength(Strength(), SIGMAS, 3))
    with pytest.raises(ConfigError, match=r"strength table: expected 2 blocks \(as the reference\), got 3"):
        wrong.at(900.0)
