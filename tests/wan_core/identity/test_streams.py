"""Phantom and Bernini-R: streams and guidance give what the official code gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_dit import tiny_config
from tiny_lynx import error, part
from torch import Tensor

from wan_core.checkpoints.key_maps import DIFFUSERS_RULES, rename
from wan_core.dit.model import WanModel
from wan_core.errors import ConfigError, InputError, ShapeError
from wan_core.identity.recipes import (
    LYNX_FULL,
    LYNX_LITE,
    PHANTOM,
    Recipe,
    bernini_recipe,
    choose_bernini_mode,
)
from wan_core.identity.streams import bernini_size, bernini_streams, letterbox, phantom_streams
from wan_core.pipelines.wan_guidance import recipe_chain
from wan_core.types import TokenStream

LIMIT = 1e-5
GOLDEN = Path(__file__).parents[2] / "golden" / "reference_streams.safetensors"
Streams = dict[str, tuple[TokenStream, ...]]


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return {key: value.float() for key, value in load_file(GOLDEN).items()}


@pytest.fixture(scope="module")
def model(golden: dict[str, Tensor]) -> WanModel:
    base = part(golden, "base.")
    names = rename(base, "", DIFFUSERS_RULES)
    made = WanModel(tiny_config(dim=32, ffn_dim=48, freq_dim=16))
    made.load_state_dict({names[key]: value for key, value in base.items()})
    return made.train(False).requires_grad_(False)


def guided(model: WanModel, golden: dict[str, Tensor], recipe: Recipe, sets: Streams, sigma: float) -> Tensor:
    """A step as a pipeline makes it of a recipe."""
    run = recipe_chain(recipe, [float(int(1000 * sigma))], lambda own: own).start()
    velocities: dict[int, Tensor] = {}
    for planned in run.plan(0, (sigma, 0.0), (True, False)):
        prompt, references = planned.condition
        context = golden["context" if prompt == "positive" else "negative"]
        velocities[planned.place] = model(
            golden["latents"], torch.tensor([float(int(1000 * sigma))]), context, streams=sets[references]
        )
    return run.combine("video", velocities, golden["latents"])


def test_phantom_step(model: WanModel, golden: dict[str, Tensor]) -> None:
    made = phantom_streams(golden["phantom.subjects"].split(1, dim=2), golden["latents"].shape[2])
    sets: Streams = {"subjects": made.subjects, "nobody": made.nobody}
    assert error(guided(model, golden, PHANTOM, sets, 0.437), golden["phantom.guided"]) < LIMIT


@pytest.mark.parametrize("mode", ["rv2v", "v2v", "v2v_chain", "t2v", "r2v_apg", "v2v_apg", "t2v_apg"])
@pytest.mark.parametrize(("expert", "sigma"), [("high", 0.9), ("low", 0.5)])
def test_bernini_step(
    model: WanModel, golden: dict[str, Tensor], mode: str, expert: str, sigma: float
) -> None:
    videos = [golden[f"bernini.video.{i}"] for i in range(2)]
    images = [golden[f"bernini.image.{i}"] for i in range(2)]
    made = bernini_streams(videos, images)
    sets: Streams = {"none": (), "video": made.video, "images": made.images, "every": made.every}
    recipe = bernini_recipe(mode)  # pyright: ignore[reportArgumentType]
    assert error(guided(model, golden, recipe, sets, sigma), golden[f"bernini.{expert}.{mode}"]) < LIMIT


def test_bernini_numbers_change_the_result(model: WanModel, golden: dict[str, Tensor]) -> None:
    images = [golden[f"bernini.image.{i}"] for i in range(2)]
    time = torch.tensor([900.0])
    right = model(golden["latents"], time, golden["negative"], streams=bernini_streams([], images).images)
    assert error(right, golden["bernini.high.velocity.images"]) < LIMIT
    swapped = model(
        golden["latents"], time, golden["negative"], streams=bernini_streams([], images[::-1]).images
    )
    assert error(swapped, golden["bernini.high.velocity.images"]) > 100 * LIMIT


def test_sets_of_bernini() -> None:
    video, image = torch.zeros(1, 4, 3, 2, 2), torch.zeros(1, 4, 1, 2, 2)
    made = bernini_streams([video, video], [image])
    assert [stream.source for stream in made.every] == [1, 2, 3]
    assert [stream.source for stream in made.images] == [1]
    assert [stream.source for stream in made.video] == [1]
    assert bernini_streams([], [image]).video == ()
    assert choose_bernini_mode(1, 1) == "rv2v" and choose_bernini_mode(2, 0) == "v2v"
    assert choose_bernini_mode(0, 3) == "r2v_apg" and choose_bernini_mode(0, 0) == "t2v"


def test_recipes_of_lynx_and_of_one_expert() -> None:
    assert [step.scale for step in LYNX_FULL.steps] == [2.0, 5.0]
    assert [tuple(own) for own in LYNX_LITE.evaluations] == [("negative", "nobody"), ("positive", "face")]
    assert bernini_recipe("r2v_apg").scale(0)(0.874) == pytest.approx(3.6)
    assert bernini_recipe("r2v_apg").scale(0)(0.875) == 4.5
    assert bernini_recipe("r2v_apg", has_experts=False).scale(0)(0.1) == 4.5


@pytest.mark.parametrize(("height", "width"), [(40, 30), (30, 40), (7, 61)])
def test_letterbox_is_white_and_keeps_everything(height: int, width: int) -> None:
    from PIL import Image, ImageOps

    image = np.random.default_rng(1).integers(0, 200, (height, width, 3)).astype(np.uint8)
    found = letterbox(image, 48, 32)
    # as the official code does it, with PIL
    ratio = width / height
    size = (48, int(48 / ratio)) if ratio > 48 / 32 else (int(32 * ratio), 32)
    resized = Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)
    dw, dh = 48 - size[0], 32 - size[1]
    padding = (dw // 2, dh // 2, dw - dw // 2, dh - dh // 2)
    assert np.array_equal(found, np.asarray(ImageOps.expand(resized, padding, fill=(255, 255, 255))))


def test_misfits_are_named() -> None:
    one = torch.zeros(1, 4, 1, 2, 2)
    with pytest.raises(InputError, match="expected 1 to 4 pictures for Phantom, got 5"):
        phantom_streams([one] * 5, 3)
    with pytest.raises(ShapeError, match=r"latents \(B, C, 1, h, w\) of one size"):
        phantom_streams([one, torch.zeros(1, 4, 1, 2, 4)], 3)
    with pytest.raises(InputError, match="expected a picture or a video for Bernini-R, got none"):
        bernini_streams([], [])
    with pytest.raises(ShapeError, match=r"latents \(B, C, 1, h, w\), got \(1, 4, 2, 2, 2\)"):
        bernini_streams([], [torch.zeros(1, 4, 2, 2, 2)])
    with pytest.raises(ConfigError, match="expected a mode of the official code, got 'r2v'"):
        bernini_recipe("r2v")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="less narrow"):
        letterbox(np.zeros((900, 1, 3), dtype=np.uint8), 48, 32)
    assert bernini_size(1696, 900) == (848, 448) and bernini_size(320, 200) == (320, 192)
    with pytest.raises(InputError, match="expected at least 16 pixels a side"):
        bernini_size(4000, 20)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("size", [(48, 32), (32, 48)])
def test_letterbox_equals_the_official_one(number: int, size: tuple[int, int]) -> None:
    golden = load_file(GOLDEN.with_name("letterbox.safetensors"))
    found = torch.from_numpy(letterbox(golden[f"picture{number}"].numpy(), *size))
    pixels = found.permute(2, 0, 1)[:, None].float() / 127.5 - 1.0
    expected = golden[f"picture{number}.{size[0]}x{size[1]}"]
    assert pixels.shape == expected.shape
    torch.testing.assert_close(pixels, expected, rtol=0, atol=1e-6)
