"""The chain that nano is sampled with."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from wan_core.errors import ShapeError
from wan_core.identity.strength import StrengthTable
from wan_core.pipelines import NanoBundle, Scales
from wan_core.pipelines.conditions import FaceShape, NanoDenoiser, acting, make_conditions
from wan_core.sampling import AVTimesteps
from wan_core.text.encoder import pad_token_ids
from wan_core.text.prompt import parse_prompt
from wan_core.types import AVLatents

WORDS = pad_token_ids([parse_prompt('beach "hello"').token_ids], 16)
NOTHING = torch.zeros_like(WORDS)
TOKENS = torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(2))


def test_equal_scales_cost_two_evaluations_and_different_ones_three(bundle: NanoBundle) -> None:
    scales = Scales(text_video=2.0, identity=2.0, text_audio=1.5, voice=1.5)
    shares = make_conditions(bundle, WORDS, NOTHING, TOKENS, TOKENS, scales).weights(0, 1.0, 1.0)
    assert [(share.video, share.audio) for share in shares] == [(-1.0, -0.5), (0.0, 0.0), (2.0, 1.5)]
    shares = make_conditions(bundle, WORDS, NOTHING, TOKENS, TOKENS, replace(scales, identity=3.0)).weights(
        0, 1.0, 1.0
    )
    assert [share.video for share in shares] == [-2.0, 1.0, 2.0]


def test_without_references_the_chain_is_plain_guidance(bundle: NanoBundle) -> None:
    shares = make_conditions(bundle, WORDS, NOTHING, None, None, Scales(text_video=3.0)).weights(0, 1.0, 1.0)
    assert [share.video for share in shares] == [-2.0, 3.0]
    assert len(make_conditions(bundle, NOTHING, NOTHING, None, None, Scales()).weights(0, 1.0, 1.0)) == 1


def test_strength_zero_is_as_without(bundle: NanoBundle) -> None:
    off = Scales(identity_strength=0.0, voice_strength=0.0)
    shares = make_conditions(bundle, WORDS, NOTHING, TOKENS, TOKENS, off).weights(0, 1.0, 1.0)
    assert len(shares) == 2 and all(share.condition.video == share.condition.audio == () for share in shares)


def test_references_reach_their_own_tower(bundle: NanoBundle) -> None:
    shares = make_conditions(bundle, WORDS, NOTHING, TOKENS, None, Scales(identity_strength=0.5)).weights(
        0, 1.0, 1.0
    )
    full = shares[-1].condition
    assert full.audio == () and full.video[0].scales == (0.5, 0.5)
    latents = AVLatents(torch.randn(1, 8, 2, 2, 2), torch.randn(1, 32, 4))
    times = AVTimesteps(torch.tensor([500.0]), torch.tensor([500.0]))
    with torch.no_grad():
        velocity = NanoDenoiser(bundle.dit)(latents, times, full)
        without = NanoDenoiser(bundle.dit)(latents, times, replace(full, video=()))
    assert velocity.video.shape == latents.video.shape
    assert velocity.audio is not None and velocity.audio.shape == (1, 32, 4)
    assert (velocity.video - without.video).abs().max() > 1e-3


def test_silent_latents_are_refused(bundle: NanoBundle) -> None:
    condition = (
        make_conditions(bundle, WORDS, NOTHING, None, None, Scales()).weights(0, 1.0, 1.0)[0].condition
    )
    with pytest.raises(ShapeError, match="expected picture and sound, got no sound"):
        NanoDenoiser(bundle.dit)(
            AVLatents(torch.zeros(1, 8, 2, 2, 2)), AVTimesteps(torch.zeros(1)), condition
        )


def test_shape_of_the_face_over_steps_and_picture(bundle: NanoBundle) -> None:
    weights = torch.zeros(8)
    weights[:3] = 1.0
    table = StrengthTable(timesteps=(900.0, 100.0), rows=((0.0, 0.0), (1.0, 0.5)))
    chain = make_conditions(
        bundle, WORDS, NOTHING, TOKENS, None, Scales(), FaceShape(table=table, weights=weights)
    )
    condition = chain.weights(0, 1.0, 1.0)[-1].condition
    assert acting(condition.video, 900.0) == ()
    (own,) = acting(condition.video, 100.0)
    assert own.scales == (1.0, 0.5) and own.region is not None and own.region.places.tolist() == [0, 1, 2]
    off = StrengthTable(timesteps=(900.0,), rows=((0.0, 0.0),))
    chain = make_conditions(bundle, WORDS, NOTHING, TOKENS, None, Scales(), FaceShape(table=off))
    assert all(not own.condition.video for own in chain.weights(0, 1.0, 1.0))
