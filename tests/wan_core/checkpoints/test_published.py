"""The true headers of every published family, from the official code and from diffusers, at full size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from full_headers import DIFFUSERS, OFFICIAL, as_source, diffusers_model, official_shapes
from tiny_dit import tiny_config

from wan_core.checkpoints.families import detect
from wan_core.checkpoints.published import PUBLISHED, recognise
from wan_core.checkpoints.source import Source

NAMES = {
    "Wan2.1-T2V-1.3B": "Wan2.1 T2V-1.3B",
    "Wan2.1-T2V-14B": "Wan2.1 T2V-14B or an expert of Wan2.2 T2V-A14B",
    "Wan2.2-T2V-A14B": "Wan2.1 T2V-14B or an expert of Wan2.2 T2V-A14B",
    "Wan2.1-I2V-14B": "Wan2.1 I2V-14B",
    "Wan2.1-FLF2V-14B": "Wan2.1 FLF2V-14B",
    "Wan2.2-I2V-A14B": "expert of Wan2.2 I2V-A14B",
    "Wan2.2-TI2V-5B": "Wan2.2 TI2V-5B",
    "Ovi": "Ovi",
}
#: Billions of parameters, from the names of the releases.
BILLIONS = {"Wan2.1 T2V-1.3B": 1.4, "Wan2.2 TI2V-5B": 5.0, "Ovi": 11.6}


def check(source: Source, family: str) -> Mapping[str, tuple[int, ...]]:
    """Detect, build on the meta device, and compare every name and shape; returns the model's."""
    found = detect(source)
    assert found.family == NAMES[family]
    assert set(found.recognition.rejected) == {p.name for p in PUBLISHED} - {found.family}
    with torch.device("meta"):
        model = found.build()
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    stored = {found.names.get(key): info.shape for key, info in source.header.tensors.items()}
    assert stored == expected
    return expected


@pytest.mark.parametrize("family", OFFICIAL)
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_official_header(family: str, prefix: str) -> None:
    shapes = check(as_source(official_shapes(family), prefix), family)
    count = sum(torch.Size(shape).numel() for shape in shapes.values()) / 1e9
    assert abs(count - BILLIONS.get(NAMES[family], 15.3)) < 1.3


@pytest.mark.parametrize("family", DIFFUSERS)
def test_diffusers_header(family: str) -> None:
    model = diffusers_model(family)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    config = {**model.config, "_class_name": "WanTransformer3DModel"}
    assert check(as_source(shapes, config=config), family) == check(as_source(shapes), family)


def test_families_differ_and_tell_why() -> None:
    assert len({repr(published.config) for published in PUBLISHED}) == len(PUBLISHED)
    small = PUBLISHED[0].config
    found = recognise(replace(small, in_channels=36))
    assert found.family is None and found.name == "Wan transformer of a size that is not published"
    assert found.rejected["Wan2.1 T2V-1.3B"] == "in_channels 36 instead of 16"
    reason = found.rejected["Wan2.1 I2V-14B"]
    assert "dim 1536 instead of 5120" in reason and "image_dim None instead of 1280" in reason
    assert found.rejected["Ovi"] == "one tower instead of two towers (video and audio)"
    joint = PUBLISHED[-1].config
    short = replace(joint, audio=replace(joint.audio, in_channels=3, out_channels=3))
    assert (
        recognise(short).rejected["Ovi"] == "audio in_channels 3 instead of 20, out_channels 3 instead of 20"
    )
    assert set(recognise(tiny_config()).rejected) == {published.name for published in PUBLISHED}
