"""The forms that are chosen for a CPU, on layers wide enough for them, against the plain form."""

from __future__ import annotations

import pytest
import torch
from tiny_vae import relative_error
from torch import Tensor, nn

from wan_core.vae.execution import ProcessorStream, open_stream
from wan_core.vae.stream import ChannelNorm, FastStream, Stream


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def layer(width: int, made: int) -> tuple[ChannelNorm, nn.Conv3d]:
    norm, conv = ChannelNorm(width), nn.Conv3d(width, made, 3, padding=(0, 1, 1))
    norm.gamma.data = 1 + 0.2 * random(*norm.gamma.shape, seed=4)
    conv.weight.data, conv.bias.data = 0.05 * random(*conv.weight.shape, seed=5), random(made, seed=6)  # type: ignore[union-attr]
    return norm.requires_grad_(False), conv.requires_grad_(False)


def run(stream: Stream, parts: list[int], clip: Tensor, width: int, made: int, is_known: bool) -> Tensor:
    norm, conv = layer(width, made)
    results, left = list[Tensor](), clip.shape[2]
    for piece in clip.clone().split(parts, dim=2):
        left -= piece.shape[2]
        stream.following = left if is_known else None
        results.append(stream.norm_conv(norm, conv, piece, is_spare=not is_known).clone())
        stream.advance()
    return torch.cat(results, dim=2)


@pytest.mark.parametrize(("width", "made"), [(64, 64), (64, 96), (64, 3)])
@pytest.mark.parametrize("size", [(28, 32), (26, 30)])
@pytest.mark.parametrize("parts", [[1], [1, 1, 1, 1], [1, 4]])
@pytest.mark.parametrize("is_known", [True, False])
def test_sums_of_past_frames_equal_remembered_frames(
    width: int, made: int, size: tuple[int, int], parts: list[int], is_known: bool
) -> None:
    """Winograd's form and that of a narrow last layer; whether or not the length of the clip is known."""
    clip = random(2, width, sum(parts), *size)
    expected = run(Stream(), parts, clip, width, made, is_known)
    stream = ProcessorStream()
    found = run(stream, parts, clip.contiguous(memory_format=torch.channels_last_3d), width, made, is_known)
    assert relative_error(found, expected) < 4e-6
    (remembered,) = stream._past.values()  # pyright: ignore[reportPrivateUsage]
    assert {sums.shape[-1] for sums in remembered} == (set() if is_known else {made})


@pytest.mark.parametrize("size", [(28, 32), (26, 30)])
def test_doubled_pictures(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    conv, pictures = nn.Conv2d(64, 64, 3, padding=1).requires_grad_(False), random(2, 64, *size)
    found = ProcessorStream().upsample_conv(conv, pictures)
    assert relative_error(found, Stream().upsample_conv(conv, pictures)) < 4e-6


def test_choice_of_the_form() -> None:
    model = nn.Sequential(nn.Conv3d(2, 2, 3))
    assert type(open_stream(model)) is Stream
    with torch.no_grad():
        assert type(open_stream(model)) is ProcessorStream
        assert type(open_stream(model.bfloat16())) is FastStream
        assert type(open_stream(nn.Sequential(type("Other", (nn.Conv3d,), {})(2, 2, 3)))) is Stream
