from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from wan_core.errors import ShapeError
from wan_core.voice.speech_windows import speech_windows

GOLDEN = load_file(Path(__file__).parents[2] / "golden" / "humo.safetensors")


def test_windows_equal_the_official_code() -> None:
    assert torch.equal(speech_windows(GOLDEN["speech"], 13), GOLDEN["windows"])
    assert torch.equal(speech_windows(GOLDEN["speech"], 9, start=8), GOLDEN["windows.from_8"])


def test_ends() -> None:
    assert torch.equal(speech_windows(GOLDEN["speech"], 1), GOLDEN["windows"][:1])
    assert not speech_windows(GOLDEN["speech"], 5, start=40).any()
    assert not speech_windows(torch.zeros(1, 5, 6), 5).any()


def test_errors() -> None:
    with pytest.raises(ShapeError, match=r"expected features .* got \(11, 5, 6\) for 12 from 0"):
        speech_windows(GOLDEN["speech"], 12)
    with pytest.raises(ShapeError, match=r"got \(5, 6\) for 13"):
        speech_windows(GOLDEN["speech"][0], 13)
    with pytest.raises(ShapeError, match="from -1"):
        speech_windows(GOLDEN["speech"], 13, start=-1)
