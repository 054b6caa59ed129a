"""`wan-r2v speak`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_speech import write_speech_model

from wan_core.media import read_sound

from .conftest import Run


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speech_model(tmp_path_factory.mktemp("speech") / "tiny")


def test_a_script_becomes_a_file(run: Run, model: Path, files: Path) -> None:
    script = 'character1 says: "Hello." character2 answers: "Hi."'
    voices = ("--voice", f"character1={files / 'me.wav'}", "--voice", f"character2={files / 'me.wav'}")
    common = ("speak", "--model", model, "--consent", "own", "--device", "cpu")
    code, out, err = run(*common, *voices, "--script", script, "-o", "out.wav", "--json")
    assert code == 0, err
    content = json.loads(out)
    assert [turn["name"] for turn in content["turns"]] == ["character1", "character2"]
    clip = read_sound("out.wav", sample_rate=24000).clip
    assert clip.waveform.shape[1] / 24000 == pytest.approx(content["seconds"], abs=1e-3)
    Path("words.txt").write_text("Hello.", encoding="utf-8")
    code, out, _ = run(*common, "--voice", files / "me.wav", "--script-file", "words.txt")
    assert code == 0 and "character1: Hello." in out and Path("speech.wav").is_file()


def test_bad_input(run: Run, model: Path, files: Path) -> None:
    voice = ("--voice", files / "me.wav", "--device", "cpu")
    for arguments, message in (
        (("--script", "Hi."), "expected --consent own, written or fictional"),
        (("--consent", "own"), "expected --script or --script-file, got neither"),
        (("--consent", "own", "--script", "Hi.", "-o", "a.mp4"), "expected a .wav file, got a.mp4"),
        (("--consent", "own", "--script", 'character2 says: "Hi."'), "got none for character2"),
        (("--consent", "own", "--script-file", "none.txt"), "expected a text file, got FileNotFoundError"),
    ):
        code, _, err = run("speak", "--model", model, *voice, *arguments)
        assert code == 2 and message in err
    code, _, err = run("speak", "--model", files, *voice, "--consent", "own", "--script", "Hi.")
    assert code == 2 and "expected config.json in JSON" in err
