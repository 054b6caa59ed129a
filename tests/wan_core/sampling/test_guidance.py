"""The chain against the formulas it stands for, and what it leaves out."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from wan_core.errors import ConfigError
from wan_core.sampling import GuidanceChain, GuidanceTerm
from wan_core.sampling.guidance import blend, is_same_condition


@dataclass(frozen=True)
class Words:
    tensor: torch.Tensor
    name: str = "words"


def velocity(name: str) -> torch.Tensor:
    return torch.randn(8, generator=torch.Generator().manual_seed(len(name) * 100 + ord(name[0])))


def combined(
    chain: GuidanceChain[str], index: int = 0, sigma: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    weights = chain.weights(index, sigma, sigma)
    video = blend([(share.video, velocity(share.condition)) for share in weights])
    audio = blend([(share.audio, velocity(share.condition)) for share in weights])
    assert video is not None and audio is not None
    return video, audio


def test_chain_of_three_is_lynx_guidance() -> None:
    chain = GuidanceChain(
        "none",
        [
            GuidanceTerm(condition="refs", video=2.0, audio=1.5),
            GuidanceTerm(condition="refs+text", video=5.0, audio=3.0),
        ],
    )
    none, refs, both = velocity("none"), velocity("refs"), velocity("refs+text")
    video, audio = combined(chain)
    torch.testing.assert_close(video, none + 2.0 * (refs - none) + 5.0 * (both - refs), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(audio, none + 1.5 * (refs - none) + 3.0 * (both - refs), rtol=1e-5, atol=1e-5)


def test_baselines_of_their_own_are_dreamid_guidance() -> None:
    chain = GuidanceChain(
        "neg",
        [
            GuidanceTerm(condition="pos", video=3.0, audio=4.0),
            GuidanceTerm(condition="pos", baseline="noimg", video=1.5, audio=0.0),
            GuidanceTerm(condition="pos", baseline="noaudio", video=0.0, audio=2.0),
        ],
    )
    neg, pos = velocity("neg"), velocity("pos")
    video, audio = combined(chain)
    expected = neg + 3.0 * (pos - neg) + 1.5 * (pos - velocity("noimg"))
    torch.testing.assert_close(video, expected, rtol=1e-5, atol=1e-5)
    expected = neg + 4.0 * (pos - neg) + 2.0 * (pos - velocity("noaudio"))
    torch.testing.assert_close(audio, expected, rtol=1e-5, atol=1e-5)


def humo() -> GuidanceChain[str]:
    def early(value: float) -> list[float]:
        return [value, 0.0]

    def late(value: float) -> list[float]:
        return [0.0, value]

    return GuidanceChain(
        "null",
        [
            GuidanceTerm(condition="i", video=early(1.0)),
            GuidanceTerm(condition="ti", video=early(5.0)),
            GuidanceTerm(condition="ti", baseline="null", video=late(3.0)),
            GuidanceTerm(condition="tia", video=5.5),
        ],
    )


def test_scales_by_step_are_humo_guidance_and_leave_unused_conditions_out() -> None:
    ti, tia = velocity("ti"), velocity("tia")
    early, _ = combined(humo(), 0)
    torch.testing.assert_close(
        early, 5.5 * (tia - ti) + 5.0 * (ti - velocity("i")) + velocity("i"), rtol=1e-5, atol=1e-5
    )
    late, _ = combined(humo(), 1)
    torch.testing.assert_close(
        late, 5.5 * (tia - ti) + 3.0 * (ti - velocity("null")) + velocity("null"), rtol=1e-5, atol=1e-5
    )
    assert {share.condition: share.video for share in humo().weights(0, 1.0, 1.0)}["null"] == 0.0
    assert {share.condition: share.video for share in humo().weights(1, 1.0, 1.0)}["i"] == 0.0


def test_scale_one_is_the_last_condition_and_scale_zero_the_base_bit_for_bit() -> None:
    one = GuidanceChain("base", [GuidanceTerm(condition="mid"), GuidanceTerm(condition="last")])
    assert [share.video for share in one.weights(0, 1.0, 1.0)] == [0.0, 0.0, 1.0]
    assert torch.equal(combined(one)[0], velocity("last"))
    zero = GuidanceChain("base", [GuidanceTerm(condition="last", video=0.0, audio=0.0)])
    assert torch.equal(combined(zero)[0], velocity("base"))


def test_scale_as_a_function_of_sigma() -> None:
    chain = GuidanceChain("base", [GuidanceTerm(condition="last", video=lambda sigma: 4.0 * sigma)])
    assert [share.video for share in chain.weights(0, 0.5, 0.1)] == [-1.0, 2.0]
    assert [share.audio for share in chain.weights(0, 0.5, 0.1)] == [0.0, 1.0]


def test_equal_conditions_are_one() -> None:
    tensor = torch.ones(3)
    chain = GuidanceChain(
        Words(tensor),
        [GuidanceTerm(condition=Words(tensor.clone()), video=7.0), GuidanceTerm(condition=Words(-tensor))],
    )
    assert len(chain.weights(0, 1.0, 1.0)) == 2
    assert [share.video for share in chain.weights(0, 1.0, 1.0)] == [0.0, 1.0]


def test_what_counts_as_equal() -> None:
    tensor = torch.ones(2)
    assert is_same_condition((Words(tensor), [1.0, None]), (Words(tensor.clone()), [1.0, None]))
    assert not is_same_condition(Words(tensor), Words(tensor, "other"))
    assert not is_same_condition(Words(tensor), Words(torch.ones(3)))
    assert not is_same_condition(Words(tensor), Words(tensor.double()))
    assert not is_same_condition((1,), (1, 2))
    assert not is_same_condition(1, 1.0)
    assert not is_same_condition(object(), object())


def test_errors() -> None:
    with pytest.raises(ConfigError, match="expected one value a step, got 1 for step 2"):
        GuidanceChain("a", [GuidanceTerm(condition="b", video=[1.0])]).weights(1, 1.0, 1.0)
    with pytest.raises(ConfigError, match="expected a finite number, got nan at step 1"):
        GuidanceChain("a", [GuidanceTerm(condition="b", audio=float("nan"))]).weights(0, 1.0, 1.0)
