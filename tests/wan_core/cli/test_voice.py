"""`wan-r2v encode-voice`, and its result in `generate`."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from .conftest import Run


def test_tokens_card_and_the_same_clip(run: Run, weights: Path, files: Path) -> None:
    code, out, _ = run("encode-voice", files / "me.wav", "--weights", weights, "--consent", "own", "--json")
    content = json.loads(out)
    assert code == 0 and content["output"] == "me.voice.safetensors" and content["voiced_seconds"] > 0.5
    assert Image.open(content["card"]).size == (960, 720)
    common = (
        "generate",
        "--weights",
        weights,
        "--prompt",
        "character1 waves",
        "--consent",
        "own",
        "--steps",
        2,
    )
    for name, voice in (("a", files / "me.wav"), ("b", "me.voice.safetensors")):
        code, out, err = run(*common, "--voice", f"character1={voice}", "-o", f"{name}.mp4")
        assert code == 0, err
    assert Path("a.mp4").read_bytes() == Path("b.mp4").read_bytes()


def test_bad_input_is_one_line(run: Run, weights: Path, files: Path) -> None:
    code, _, err = run("encode-voice", files / "me.wav", "--weights", weights)
    assert code == 2 and "expected --consent own, written or fictional" in err
    code, _, err = run("encode-voice", files / "me.jpg", "--weights", weights, "--consent", "own")
    assert code == 2 and err.count("\n") == 1 and not list(Path().glob("me*"))
    Path("me.voice.png").write_bytes(b"")
    code, _, err = run("encode-voice", files / "me.wav", "--weights", weights, "--consent", "own")
    assert code == 2 and "expected a new file, got an existing one at me.voice.png" in err
