"""Clips from the command line: what works, and every bad input of which users complain."""

from __future__ import annotations

import json
import resource
import signal
import wave
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from reference_files import write_voice
from skimage import data

from wan_core.media import read_sound, read_video
from wan_core.provenance import from_metadata

from .conftest import Run

PROMPT = 'character1 waves at the beach and says "hello everyone"'


@pytest.fixture
def person(files: Path, weights: Path) -> list[object]:
    """Options of a request that works."""
    reference, voice = f"character1={files / 'me.jpg'}", f"character1={files / 'me.wav'}"
    return [
        *("generate", "--prompt", PROMPT, "--reference", reference, "--voice", voice),
        *("--consent", "own", "--weights", weights, "--steps", 1),
    ]


def test_photo_voice_and_sentence_become_a_clip(run: Run, person: list[object], tmp_path: Path) -> None:
    code, out, err = run(*person, "--out", "me.mp4", "--seed", 3)
    assert (code, "made me.mp4: 17 frames of 256x256 at 8 a second, with sound" in out) == (0, True), err
    assert "sample: " in err
    clip = read_video(tmp_path / "me.mp4")
    assert clip.frames.shape == (17, 256, 256, 3)
    tag = from_metadata(clip.metadata)
    assert tag is not None
    assert (tag.model, tag.consent, tag.seed) == ("nano", "own", 3)
    with av.open(str(tmp_path / "me.mp4")) as container:
        lengths = [float(stream.duration * stream.time_base) for stream in container.streams]
    assert len(lengths) == 2
    assert abs(lengths[0] - lengths[1]) <= 1024 / 48000
    assert read_sound(tmp_path / "me.mp4").clip.waveform.abs().max() > 0


def test_same_seed_same_clip(run: Run, person: list[object], tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run(*person, "--out", f"{name}.mp4", "--seed", seed, "--size", "64*64")[0] == 0
    frames = {name: read_video(tmp_path / f"{name}.mp4").frames for name in "abc"}
    assert torch.equal(frames["a"], frames["b"])
    assert not torch.equal(frames["a"], frames["c"])


def test_text_alone_and_first_frame(run: Run, files: Path, weights: Path, tmp_path: Path) -> None:
    common = ("--weights", weights, "--steps", 1, "--size", "64*64", "--no-audio", "--json")
    code, out, _ = run("generate", "--prompt", "nods in the forest", *common)
    content = json.loads(out)
    assert code == 0
    assert (content["output"], content["has_audio"], content["width"]) == ("clip.mp4", False, 64)
    code, out, _ = run("generate", "--first-frame", files / "me.jpg", "--prompt", "nods", *common)
    assert (code, json.loads(out)["output"]) == (0, "clip_001.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert not container.streams.audio


def test_report_is_written_beside_the_clip(run: Run, person: list[object], tmp_path: Path) -> None:
    code, out, _ = run(*person, "--out", "me.mp4", "--report", "--json")
    assert code == 0
    content = json.loads(out)["report"]
    report = json.loads((tmp_path / "me.report.json").read_text())
    likeness, voice = (report["characters"]["character1"][part] for part in ("likeness", "voice"))
    assert len(likeness["by_frame"]["similarity"]) == 17
    assert "face encoder" in likeness["scale"]["encoder"]
    assert voice["pitch_reference"]["median"] == pytest.approx(140, rel=0.1)
    assert content["picture"] == "me.report.png"
    assert Image.open(tmp_path / "me.report.png").size[0] == 960
    code, _, err = run(*person, "--out", "me.mp4", "--report")
    assert (code, "got an existing one" in err) == (2, True)


def test_scales_reach_the_model(run: Run, person: list[object], tmp_path: Path) -> None:
    """Face and voice of strength 0 give the clip of a request without them, bit for bit."""
    run(*person, "--out", "off.mp4", "--size", "64*64", "--identity-scale", 0, "--voice-scale", 0)
    without = [item for item in person]
    for option in ("--reference", "--voice", "--consent"):
        at = without.index(option)
        del without[at : at + 2]
    without[without.index(PROMPT)] = PROMPT.replace("character1 ", "")
    run(*without, "--out", "none.mp4", "--size", "64*64")
    run(*person, "--out", "on.mp4", "--size", "64*64")
    run(*person, "--out", "text.mp4", "--size", "64*64", "--text-scale", 6)
    frames = {name: read_video(tmp_path / f"{name}.mp4").frames for name in ("off", "none", "on", "text")}
    assert torch.equal(frames["off"], frames["none"])
    assert not torch.equal(frames["off"], frames["on"])
    assert not torch.equal(frames["text"], frames["on"])


def test_demo(run: Run, weights: Path, tmp_path: Path) -> None:
    code, out, _ = run("demo", "--weights", weights, "--steps", 1)
    assert code == 0
    assert "portrait.png" in out and "voice.wav" in out and "hello everyone" in out
    assert "whole picture is used as the face" in out
    assert [entry.name for entry in tmp_path.iterdir()] == ["wan_r2v_demo.mp4"]
    code, out, _ = run("demo", "--weights", weights, "--steps", 1, "--json")
    assert (code, json.loads(out)["output"]) == (0, "wan_r2v_demo_001.mp4")


def test_several_faces_are_noted_and_chosen(run: Run, person: list[object], tmp_path: Path) -> None:
    astronaut = data.astronaut()[:320]
    half = np.pad(astronaut[::2, ::2], ((0, 160), (0, 0), (0, 0)), mode="edge")
    Image.fromarray(np.concatenate((half, astronaut), axis=1)).save(tmp_path / "two.png")
    person[person.index("--reference") + 1] = f"character1={tmp_path / 'two.png'}"
    code, out, _ = run(*person, "--out", "first.mp4")
    assert (code, "2 faces found; the largest is used" in out) == (0, True)
    code, out, _ = run(*person, "--out", "second.mp4", "--face", "2")
    assert (code, "face 2 of 2 is used" in out) == (0, True)
    code, _, err = run(*person, "--out", "third.mp4", "--face", "3")
    assert (code, "expected a number from 1 to 2" in err) == (2, True)
    assert not (tmp_path / "third.mp4").exists()


def _refuses(result: tuple[int, str, str], code: int, *parts: str) -> None:
    """One line on standard error with the given parts, nothing on standard output, the exit code."""
    assert result[0] == code, result
    assert result[1] == ""
    lines = [line for line in result[2].splitlines() if line.startswith("wan-r2v:")]
    assert len(lines) == 1
    assert "Traceback" not in result[2]
    for part in parts:
        assert part in lines[0], lines[0]


def test_photo_without_a_face(run: Run, person: list[object], files: Path, tmp_path: Path) -> None:
    person[person.index("--reference") + 1] = f"character1={files / 'grey.png'}"
    _refuses(run(*person), 2, "expected a frontal face, got none found", "--face whole", "What was seen: ")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.faces.png"]


def _save(path: Path, size: tuple[int, int]) -> None:
    Image.new("L", size, 99).save(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.jpg", "expected a file, got none"),
        ("text.jpg", "got something else"),
        ("dot.png", "got 1x1"),
        ("huge.png", "got 20001x40"),
        ("cut.png", "damaged or cut-off"),
    ],
)
def test_useless_photos(
    run: Run, person: list[object], files: Path, tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "text.jpg").write_text("hello" * 100)
    _save(tmp_path / "dot.png", (1, 1))
    _save(tmp_path / "huge.png", (20_001, 40))
    noise = np.random.default_rng(0).integers(0, 255, (90, 90), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:3000])
    person[person.index("--reference") + 1] = f"character1={tmp_path / name}"
    _refuses(run(*person), 2, message, name)
    assert not (tmp_path / "clip.mp4").exists()


def _write_samples(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("silent.wav", "got silence"),
        ("empty.wav", "got an empty recording"),
        ("short.wav", "expected at least 0.5 s of voiced speech"),
        ("nan.wav", "that are NaN or infinite"),
        ("missing.wav", "expected a file, got none"),
    ],
)
def test_useless_voices(run: Run, person: list[object], tmp_path: Path, name: str, message: str) -> None:
    _write_samples(tmp_path / "silent.wav", np.zeros(32000))
    _write_samples(tmp_path / "empty.wav", np.zeros(0))
    write_voice(tmp_path / "short.wav", seconds=0.2)
    with av.open(str(tmp_path / "nan.wav"), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.full((1, 32000), np.nan, np.float32), format="flt", layout="mono"
        )
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
    person[person.index("--voice") + 1] = f"character1={tmp_path / name}"
    _refuses(run(*person), 2, message, name)
    assert not (tmp_path / "clip.mp4").exists()


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (("--prompt", "character2 waves at the beach"), ("got none for character2",)),
        (("--prompt", "a purple unicorn"), ("Nano knows:", "beach", "waves", "hello")),
        (("--size", "1280*720"), ("size: expected one of 64*64", "got 1280*720")),
        (("--size", "big"), ("expected width*height",)),
        (("--duration", "5"), ("duration: expected 2 seconds, got 5",)),
        (("--duration", "nan"), ("duration: expected 2 seconds, got nan",)),
        (("--duration", "long"), ("invalid float value",)),
        (("--shot-type", "multi"), ("shot type: expected single, got multi",)),
        (("--seed", "-1"), ("seed: expected 0 to",)),
        (("--steps", "0"), ("steps: expected 1 to 1000, got 0",)),
        (("--face", "nose"), ("expected auto, whole or a number",)),
        (("--identity-scale", "-1"), ("strength: expected finite numbers >= 0, got [-1.0",)),
        (("--identity-slider", "2"), ("expected -1 (free) to 1 (likeness), got 2",)),
        (("--region", "character1=0,0,1"), ("--region: expected NAME=x0,y0,x1,y1",)),
        (("--region", "character2=0,0,1,1"), ("expected names of --reference (character1), got character2",)),
        (("--detector", "best"), ("expected one of auto, scrfd, yunet, cascade, got 'best'",)),
        (("--consent", "maybe"), ("expected own, written or fictional",)),
        (("--reference", "photo.jpg"), ("expected a name and a file such as character1=FILE",)),
    ],
)
def test_useless_options(
    run: Run, person: list[object], tmp_path: Path, change: tuple[str, str], parts: tuple[str, ...]
) -> None:
    _refuses(run(*person, *change), 2, *parts)
    assert list(tmp_path.iterdir()) == []


def test_references_need_consent(run: Run, person: list[object], tmp_path: Path) -> None:
    at = person.index("--consent")
    del person[at : at + 2]
    _refuses(run(*person), 2, "consent: expected --consent own, written or fictional")
    assert list(tmp_path.iterdir()) == []


def test_output_that_can_not_be_written(run: Run, person: list[object], tmp_path: Path) -> None:
    _refuses(run(*person, "--out", tmp_path / "no" / "clip.mp4"), 1, "expected a folder, got none", "Make it")
    (tmp_path / "clip.mp4").write_bytes(b"earlier")
    _refuses(run(*person, "--out", "clip.mp4"), 2, "got an existing one", "--overwrite")
    _refuses(run(*person, "--out", tmp_path), 2, "got the folder")
    assert (tmp_path / "clip.mp4").read_bytes() == b"earlier"
    assert run(*person, "--out", "clip.mp4", "--overwrite")[0] == 0
    assert read_video(tmp_path / "clip.mp4").frames.shape[0] == 17


def test_disk_that_fills_up_while_writing(run: Run, person: list[object], tmp_path: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        result = run(*person)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    _refuses(result, 1, "expected a larger limit on file size")
    assert list(tmp_path.iterdir()) == []


def test_weights_missing_or_damaged(run: Run, person: list[object], weights: Path, tmp_path: Path) -> None:
    at = person.index("--weights") + 1
    person[at] = tmp_path / "nowhere"
    _refuses(run(*person), 2, "expected 8 files", "dit.safetensors", "Install the package again")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for part in weights.iterdir():
        content = part.read_bytes()
        (damaged / part.name).write_bytes(content if part.stem != "voice" else content[: len(content) // 2])
    person[at] = damaged
    _refuses(run(*person), 2, "voice.safetensors")
    assert not (tmp_path / "clip.mp4").exists()


def test_best_of_makes_the_seed_of_the_highest_score(run: Run, person: list[object], tmp_path: Path) -> None:
    options = ("--best-of", 2, "--draft-steps", 1, "--seed", 5, "--report", "--json", "--face", "whole")
    code, out, err = run(*person, *options, "--out", "me.mp4")
    assert code == 0, err
    assert "drafts: 2 of 2" in err
    content, written = json.loads(out), json.loads((tmp_path / "me.best_of.json").read_text())
    assert content["best_of"] == written
    drafts = {draft["seed"]: draft["score"] for draft in written["drafts"]}
    assert set(drafts) == {5, 6} and written["draft_steps"] == 1
    assert content["seed"] == written["seed"] == max(drafts, key=lambda seed: drafts[seed])
    tag = from_metadata(read_video(tmp_path / "me.mp4").metadata)
    assert tag is not None and tag.seed == written["seed"]
    assert (tmp_path / "me.report.png").is_file()


def test_best_of_refuses_what_it_can_not_do(run: Run, person: list[object], tmp_path: Path) -> None:
    _refuses(run(*person, "--best-of", 1), 2, "expected 2 to 64 drafts, got 1")
    _refuses(run(*person, "--draft-steps", 4), 2, "--draft-steps: expected --best-of with it")
    (tmp_path / "clip.best_of.json").write_text("earlier")
    _refuses(run(*person, "--best-of", 2, "--out", "clip.mp4"), 2, "got an existing one", "best_of.json")
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip.best_of.json"]
