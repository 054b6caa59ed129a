"""Winograd's form of a convolution against the direct one in float64, and where it is chosen."""

from __future__ import annotations

import pytest
import torch
from tiny_vae import relative_error
from torch import nn
from torch.nn import functional as F

from wan_core.vae.execution import ProcessorStream, open_stream
from wan_core.vae.stream import FastStream, Stream
from wan_core.vae.winograd import convolve, transform_kernel


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("batch", "channels", "made", "size", "parts", "missing"),
    [(1, 5, 7, (9, 14), (2, 3), 0), (2, 8, 4, (8, 8), (1, 1), 2), (1, 3, 3, (1, 2), (1, 1, 1), 0)],
)
def test_equals_the_direct_form(
    batch: int, channels: int, made: int, size: tuple[int, int], parts: tuple[int, ...], missing: int
) -> None:
    frames = [random(batch, channels, part, *size, seed=number) for number, part in enumerate(parts)]
    weight, bias = random(made, channels, 3, 3, 3), random(made)
    found = convolve(frames, missing, transform_kernel(weight), bias)
    joined = F.pad(torch.cat(frames, dim=2), (0, 0, 0, 0, missing, 0)).double()
    expected = F.conv3d(joined, weight.double(), bias.double(), padding=(0, 1, 1))
    assert found.shape == expected.shape and relative_error(found, expected) < 3e-6


def test_bands_join(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, kernel = [random(1, 4, 3, 21, 10)], transform_kernel(random(4, 4, 3, 3, 3))
    whole = convolve(frames, 0, kernel, None)
    monkeypatch.setattr("wan_core.vae.winograd.BAND_NUMBERS", 1)
    assert torch.allclose(convolve(frames, 0, kernel, None), whole, atol=1e-5)


def test_stream_takes_it_for_wide_layers_and_remembers() -> None:
    """Piece by piece through the chosen form, against the whole clip by PyTorch."""
    conv = nn.Conv3d(128, 128, 3, padding=(0, 1, 1)).requires_grad_(False)
    clip = random(1, 128, 4, 32, 32)
    stream = ProcessorStream()
    pieces: list[torch.Tensor] = []
    for piece in clip.split(1, dim=2):
        pieces.append(stream.causal_conv(conv, piece))
        stream.advance()
    assert stream.prepared(conv, tuple)[0].shape == (36, 3, 128, 128)
    assert relative_error(torch.cat(pieces, dim=2), conv(F.pad(clip, (0, 0, 0, 0, 2, 0)))) < 3e-6


def test_choice_of_the_form() -> None:
    model = nn.Sequential(nn.Conv3d(2, 2, 3))
    assert type(open_stream(model)) is Stream
    with torch.no_grad():
        assert type(open_stream(model)) is ProcessorStream
        assert type(open_stream(model.bfloat16())) is FastStream
        assert type(open_stream(nn.Sequential(type("Other", (nn.Conv3d,), {})(2, 2, 3)))) is Stream
