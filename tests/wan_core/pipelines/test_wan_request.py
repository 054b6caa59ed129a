"""What a request comes to: the official values of each family, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from wan_core.errors import InputError
from wan_core.pipelines.wan_family import (
    FLF2V,
    I2V,
    I2V_EXPERTS,
    T2V,
    T2V_EXPERTS,
    T2V_SMALL,
    TI2V,
    WanFamily,
)
from wan_core.pipelines.wan_request import WanRequest, guidance_rule, guidance_window, resolve
from wan_core.sampling.guidance_rules import Projected, SigmaWindow, ZeroStar
from wan_core.sampling.solvers import UniPC

PICTURE = torch.zeros(64, 96, 3, dtype=torch.uint8)
IMAGE, BOTH = WanRequest(first_frame=PICTURE), WanRequest(first_frame=PICTURE, last_frame=PICTURE)
TEXT = WanRequest(prompt="a cat")


@pytest.mark.parametrize(
    ("family", "request_", "steps", "shift", "guidance", "frames", "size"),
    [
        (T2V_SMALL, TEXT, 50, 5.0, (5.0, 5.0), 81, (832, 480)),
        (T2V, TEXT, 50, 5.0, (5.0, 5.0), 81, (832, 480)),
        (I2V, IMAGE, 40, 3.0, (5.0, 5.0), 81, (832, 480)),
        (I2V, replace(IMAGE, size=(1280, 720)), 40, 5.0, (5.0, 5.0), 81, (1280, 720)),
        (FLF2V, BOTH, 50, 16.0, (5.0, 5.0), 81, (1280, 720)),
        (T2V_EXPERTS, TEXT, 40, 12.0, (3.0, 4.0), 81, (832, 480)),
        (I2V_EXPERTS, IMAGE, 40, 5.0, (3.5, 3.5), 81, (832, 480)),
        (TI2V, TEXT, 50, 5.0, (5.0, 5.0), 121, (1280, 704)),
        (TI2V, IMAGE, 50, 5.0, (5.0, 5.0), 121, (1280, 704)),
    ],
)
def test_official_values(
    family: WanFamily,
    request_: WanRequest,
    steps: int,
    shift: float,
    guidance: tuple[float, float],
    frames: int,
    size: tuple[int, int],
) -> None:
    """Wan2.1 generate.py and Wan2.2 wan/configs; experts change at 26 of 40 (text) and 15 of 40 steps (image)."""
    found = resolve(request_, family)
    assert (found.steps, found.shift, found.guidance, found.frames, found.size) == (
        steps, shift, guidance, frames, size,
    )  # fmt: skip
    schedule = found.schedule()
    assert isinstance(schedule.solver, UniPC) and len(schedule.shown) == steps
    if family.boundary is not None:
        high = sum(t >= 1000 * family.boundary for t in schedule.shown)
        assert high == (26 if family is T2V_EXPERTS else 15)


def test_negative_prompts() -> None:
    """Image-to-video of Wan2.1 leads away from shaking, first-last-frame from cuts too; Wan2.2 has the plain one."""
    plain = T2V.negative_prompt
    assert plain.startswith("色调艳丽，过曝") and plain.endswith("倒着走")
    assert "镜头晃动，" + plain == I2V.negative_prompt
    assert "镜头切换，镜头晃动，" + plain == FLF2V.negative_prompt
    assert I2V_EXPERTS.negative_prompt == TI2V.negative_prompt == plain
    assert resolve(replace(TEXT, negative_prompt=""), T2V).negative_prompt == ""
    assert resolve(TEXT, T2V).negative_prompt == plain


@pytest.mark.parametrize(
    ("family", "seconds", "frames"), [(T2V, 5.0, 81), (T2V, 2.0, 33), (TI2V, 5.0, 121), (TI2V, 0.05, 1)]
)
def test_duration_becomes_the_nearest_length(family: WanFamily, seconds: float, frames: int) -> None:
    assert resolve(replace(TEXT, duration=seconds), family).frames == frames


def test_distil_preset() -> None:
    """Four steps without guidance, of the family that it was made for."""
    found = resolve(replace(TEXT, preset="distil"), T2V_EXPERTS)
    assert found.guidance == (1.0, 1.0) and len(found.schedule().shown) == 4
    assert resolve(replace(TEXT, preset="lightning-wan2.2-t2v"), T2V_EXPERTS).preset is not None
    assert resolve(replace(TEXT, preset="distil", guidance=(2.0, 2.0)), T2V).guidance == (2.0, 2.0)
    with pytest.raises(InputError, match="preset: expected one for Wan2.1-T2V-1.3B"):
        resolve(replace(TEXT, preset="distil"), T2V_SMALL)
    with pytest.raises(InputError, match="preset: expected one for Wan2.1-T2V-14B"):
        resolve(replace(TEXT, preset="lightning-wan2.2-t2v"), T2V)
    with pytest.raises(InputError, match="preset: expected it alone"):
        WanRequest(preset="distil", steps=8)


def test_guidance_rules() -> None:
    assert guidance_rule(TEXT) is None and guidance_window(TEXT) is None
    assert guidance_rule(replace(TEXT, rule="zero-star")) == ZeroStar(zero_steps=2)
    assert guidance_rule(replace(IMAGE, rule="zero-star")) == ZeroStar(zero_steps=1)
    assert guidance_rule(replace(TEXT, rule="apg")) == Projected()
    assert guidance_window(replace(TEXT, interval=(0.2, 0.9))) == SigmaWindow(low=0.2, high=0.9)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"seed": -1}, "seed: expected 0"),
        ({"steps": 0}, "steps: expected 1 to 1000"),
        ({"shift": 0.0}, "shift: expected a positive number"),
        ({"guidance": (-1.0, 1.0)}, "guidance: expected 0 or more"),
        ({"solver": "heun"}, "solver: expected one of"),
        ({"frames": 5, "duration": 1.0}, "got both"),
        ({"rule": "best"}, "guidance rule: expected one of plain, zero-star, apg"),
        ({"interval": (0.5, 0.5)}, "guidance interval: expected 0 <= low < high"),
        ({"first_frame": torch.zeros(3, 8, 8)}, "first frame: expected"),
    ],
)
def test_useless_requests(fields: dict[str, object], match: str) -> None:
    with pytest.raises(InputError, match=match):
        WanRequest(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("family", "request_", "match"),
    [
        (T2V, replace(TEXT, frames=80), r"got 80\. Use 81"),
        (T2V, replace(TEXT, frames=0), r"got 0\. Use 1"),
        (T2V, replace(TEXT, frames=9999), r"got 9999\. Use 4001"),
        (T2V, replace(TEXT, duration=9e9), "duration: expected more than 0"),
        (T2V, replace(TEXT, size=(830, 480)), r"multiples of 16.*Use 832\*480"),
        (TI2V, replace(TEXT, size=(1280, 720)), "multiples of 32"),
        (T2V, IMAGE, "a text-to-video model, got one"),
        (I2V, TEXT, "expected a picture for Wan2.1-I2V-14B"),
        (FLF2V, IMAGE, "last frame: expected a picture"),
        (I2V, BOTH, "last frame: expected none"),
    ],
)
def test_what_a_family_can_not_make(family: WanFamily, request_: WanRequest, match: str) -> None:
    with pytest.raises(InputError, match=match):
        resolve(request_, family)
