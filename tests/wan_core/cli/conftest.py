"""A folder to work in, tiny random weights, a photograph and a recording."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from random_nano import write_random_nano
from reference_files import write_voice
from skimage import data

from wan_core.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_nano(tmp_path_factory.mktemp("nano"))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds me.jpg (an astronaut), me.wav and grey.png."""
    folder = tmp_path_factory.mktemp("files")
    Image.fromarray(data.astronaut()[:320]).save(folder / "me.jpg", quality=95)
    Image.new("RGB", (80, 80), (120, 120, 120)).save(folder / "grey.png")
    write_voice(folder / "me.wav")
    return folder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `wan-r2v` in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
