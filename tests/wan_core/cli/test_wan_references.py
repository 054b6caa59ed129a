"""References through the command line: Phantom, Bernini-R and Lynx on tiny random weights of the true layouts."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch
from lynx_release import LynxRelease, write_lynx
from wan_release import write_release

from wan_core.cli.parser import build_parser
from wan_core.cli.wan_references import read_characters, read_strength
from wan_core.errors import InputError
from wan_core.identity.strength import PRESETS, slide
from wan_core.media import read_video, write_video
from wan_core.provenance import from_metadata

from .conftest import Run

SHORT = ("--steps", 1, "--frames", 5, "--size", "64*64", "--device", "cpu", "--consent", "own", "--json")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("release") / "wan", "t2v")


@pytest.fixture(scope="module")
def lynx(tmp_path_factory: pytest.TempPathFactory) -> LynxRelease:
    return write_lynx(tmp_path_factory.mktemp("lynx"))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "walk.mp4"
    write_video(path, torch.rand(1, 3, 16, 32, 48) * 2 - 1, 32.0)
    return path


def refused(result: tuple[int, str, str], *texts: str) -> None:
    code, out, err = result
    assert code == 2 and out == "" and all(text in err for text in texts), err


def test_phantom_makes_a_clip(run: Run, release: Path, files: Path, tmp_path: Path) -> None:
    two = [f"character{n}={files / name}" for n, name in ((1, "me.jpg"), (2, "grey.png"))]
    code, out, err = run(
        "generate", "--model", release, "--method", "phantom", "--prompt", "character1 meets character2",
        "--reference", two[0], "--reference", two[1], *SHORT,
    )  # fmt: skip
    assert code == 0, err
    content = json.loads(out)
    assert (content["model"], content["method"], content["consent"]) == ("Phantom-Wan-1.3B", "phantom", "own")
    assert content["references"] == ["character1", "character2"]
    assert "references: character1 (1 photo), character2 (1 photo) by phantom" in err
    assert "guidance by the references: 5; 3 evaluations a step at most" in err and "VAE encode" in err
    tag = from_metadata(read_video(tmp_path / "clip.mp4").metadata)
    assert tag is not None and (tag.model, tag.consent) == ("Phantom-Wan-1.3B", "own")


def test_bernini_takes_a_video_and_a_picture(run: Run, release: Path, files: Path, video: Path) -> None:
    code, out, err = run(
        "generate", "--model", release, "--method", "bernini", "--prompt", "character1 wears what character2 wears",
        "--reference", f"character1={video}", "--reference", f"character2={files / 'grey.png'}", *SHORT,
    )  # fmt: skip
    assert code == 0, err
    content = json.loads(out)
    assert content["model"] == "Bernini-R-1.3B"
    # 16 frames at 32 a second are 8 at Bernini-R's 16, of which the clip has 5
    assert content["notes"] == ["character1: the first 5 of 8 frames of the video are used."]
    assert "character1 (1 video), character2 (1 photo) by bernini" in err


def test_lynx_makes_a_clip(run: Run, release: Path, lynx: LynxRelease, files: Path) -> None:
    lynx_files = ",".join(str(lynx.lite / f"{name}.safetensors") for name in ("resampler", "ip_layers"))
    code, out, err = run(
        "generate", "--model", release, "--adapter", lynx_files,
        "--detector", "scrfd", "--detector-model", lynx.detector, "--recogniser", lynx.recogniser,
        "--prompt", "character1 waves",
        "--reference", f"character1={files / 'me.jpg'}", "--identity-preset", "free", "--report", *SHORT,
    )  # fmt: skip
    assert code == 0, err
    content = json.loads(out)
    likeness = content["report"]["characters"]["character1"]["likeness"]
    assert "ArcFace" in likeness["scale"]["encoder"] and likeness["seen"] == 1.0
    assert set(likeness["head_degrees"]) == {"yaw", "pitch", "roll"}
    assert (content["model"], content["fps"]) == ("Lynx-lite", 24)
    assert content["notes"][-1].startswith("identity adapter: ")
    assert "strength: 0.24 to 0.30 of what was trained" in err


def test_inspect_names_the_parts(run: Run, lynx: LynxRelease) -> None:
    for file, name, option in (
        (lynx.full / "ref_layers.safetensors", "Lynx reference adapter", "taken by: --adapter"),
        (lynx.recogniser, "ArcFace, the face recogniser of Lynx", "taken by: --recogniser"),
    ):
        code, out, _ = run("inspect", file)
        assert code == 0 and name in out and option in out and "Load Identity Adapter" in out


def test_bad_references(run: Run, release: Path, files: Path, video: Path, tmp_path: Path) -> None:
    text = ("generate", "--model", release, "--prompt", "character1 waves", *SHORT[:-1])
    photo = ("--reference", f"character1={files / 'me.jpg'}")
    refused(
        run(*text, *photo), "references: expected none for Wan2.1-T2V-1.3B", "--method phantom", "--adapter"
    )
    refused(run(*text[:5], *photo, "--method", "phantom"), "consent: expected --consent own")
    refused(run(*text, "--method", "phantom"), "expected 1 to 4 pictures for Phantom-Wan-1.3B, got 0")
    refused(run(*text, "--method", "phantom", "--reference", f"character1={video}"), "got a video")
    refused(
        run(*text, *photo, "--method", "humo"), "method: expected one of lynx, phantom, bernini, got 'humo'"
    )
    five = [part for n in range(2, 6) for part in ("--reference", f"character{n}={files / 'me.jpg'}")]
    refused(
        run(*text, *photo, *five, "--method", "phantom"),
        "expected 1 to 4 pictures for Phantom-Wan-1.3B, got 5",
    )
    refused(run(*text, *photo, "--adapter", tmp_path / "none"), "expected a file, got nothing")
    refused(run(*text, "--identity-slider", 1), "--identity-slider: expected a --reference with it")
    refused(run("generate", "--method", "phantom"), "--method: expected --model with it")
    refused(
        run("generate", "--model", release, "--prompt", "a beach", *SHORT[:-1], "--report"),
        "--report: expected a photo of a person to compare with, got none for Wan2.1-T2V-1.3B",
    )
    assert not list(tmp_path.glob("*.mp4"))


def options(*arguments: object) -> argparse.Namespace:
    reference = ("--reference", "character1=me.jpg")
    return build_parser().parse_args(
        [str(own) for own in ("generate", "--model", "m", *reference, *arguments)]
    )


def test_strength_of_the_options() -> None:
    assert read_strength(options()) == PRESETS["as trained"]
    assert read_strength(options("--identity-slider", "-0.5")) == slide(-0.5)
    shaped = read_strength(
        options("--identity-preset", "likeness", "--identity-scale", 2, "--identity-window", "0.1,0.9")
    )
    assert (shaped.scale, shaped.low, shaped.high) == (2.5, 0.1, 0.9)
    with pytest.raises(InputError, match="without --identity-preset, got both"):
        read_strength(options("--identity-slider", 0, "--identity-preset", "free"))
    with pytest.raises(InputError, match="--identity-window: expected LOW,HIGH"):
        read_strength(options("--identity-window", "0.5"))


def test_frames_of_a_video_keep_their_time(video: Path) -> None:
    given = options()
    given.reference = [f"character1={video}"]
    (person,), _ = read_characters(given)
    found, source = person.videos[0], read_video(video).frames
    assert torch.equal(found, source[::2])
