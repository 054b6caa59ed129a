"""The official Wan2.1 code's own output; the file is made by tests/golden/make_wan_dit.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_dit import relative_error, tiny_config

from wan_core.dit.execution import for_inference
from wan_core.dit.model import WanModel

GOLDEN = load_file(Path(__file__).parents[2] / "golden" / "wan_dit.safetensors")


@torch.no_grad()
@pytest.mark.parametrize("kind", ["t2v", "i2v", "flf2v"])
def test_equals_the_official_code(kind: str) -> None:
    has_image = kind != "t2v"
    config = tiny_config(
        dim=24,
        ffn_dim=40,
        in_channels=7 if has_image else 4,
        text_dim=10,
        freq_dim=16,
        image_dim=20 if has_image else None,
        image_positions=6 if kind == "flf2v" else None,
    )
    model = WanModel(config)
    prefix = f"{kind}.weight."
    weights = {name.removeprefix(prefix): t.float() for name, t in GOLDEN.items() if name.startswith(prefix)}
    model.load_state_dict(weights, strict=True)
    latents = GOLDEN["latents"][None]
    if has_image:
        latents = torch.cat((latents, GOLDEN["condition"][None]), dim=1)
    context = torch.cat((GOLDEN["context"], torch.zeros(507, 10)))[None]
    image = {"t2v": None, "i2v": GOLDEN["image"][:1], "flf2v": GOLDEN["image"].view(1, 6, 20)}[kind]
    expected = GOLDEN[f"{kind}.output"][None]
    found = model(latents, GOLDEN["timestep"], context, image_embeds=image)
    assert relative_error(found, expected) < 1e-5
    fast = for_inference(model)
    found = fast(latents, GOLDEN["timestep"], fast.prepare(context, image))
    assert relative_error(found, expected) < 1e-5
