"""Seeds mean the same noise, apart for each modality."""

from __future__ import annotations

import pytest
import torch

from wan_core.errors import InputError
from wan_core.sampling import av_noise


def test_a_seed_is_reproducible_and_another_seed_differs() -> None:
    first, again, other = (av_noise((1, 2, 3, 4, 4), (1, 4, 8), seed) for seed in (7, 7, 8))
    assert torch.equal(first.video, again.video) and torch.equal(first.audio, again.audio)
    assert not torch.equal(first.video, other.video) and not torch.equal(first.audio, other.audio)


def test_modalities_are_independent() -> None:
    both = av_noise((1, 1, 1, 64, 64), (1, 1, 4096), 3)
    silent = av_noise((1, 1, 1, 64, 64), None, 3)
    assert silent.audio is None and torch.equal(both.video, silent.video)
    correlation = (both.video.flatten() * both.audio.flatten()).mean()
    assert abs(correlation) < 0.1


def test_the_first_sample_does_not_depend_on_the_batch() -> None:
    assert torch.equal(
        av_noise((1, 2, 3, 4, 4), None, 5).video[0], av_noise((3, 2, 3, 4, 4), None, 5).video[0]
    )


def test_global_generator_is_left_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    av_noise((1, 1, 1, 2, 2), (1, 1, 2), 9)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seed_out_of_range(seed: int) -> None:
    with pytest.raises(InputError, match=f"expected 0 to .*, got {seed}"):
        av_noise((1, 1, 1, 1, 1), None, seed)
    av_noise((1, 1, 1, 1, 1), (1, 1, 1), 2**64 - 1)
