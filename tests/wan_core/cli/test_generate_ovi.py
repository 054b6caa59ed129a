"""Clips from joint models: tiny random weights in the true layout, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from lynx_release import write_lynx
from safetensors.torch import save_file
from tiny_ovi import ovi_config, part_options, write_ovi

from wan_core.cli.ovi_parser import VARIANTS
from wan_core.media import read_video
from wan_core.media.sound import read_sound
from wan_core.pipelines.ovi_family import known_keys
from wan_core.provenance import from_metadata

from .conftest import Run

SHORT = ("--steps", 1, "--frames", 5, "--size", "64*64", "--device", "cpu", "--seed", 3, "--json")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ovi")
    write_ovi(folder)
    return folder


def test_text_to_a_clip_with_sound(run: Run, release: Path, tmp_path: Path) -> None:
    model = release / "ovi.safetensors"
    prompt = 'a cat says "on the beach"'
    code, out, err = run("generate", "--model", model, *part_options(release), "--prompt", prompt, *SHORT)
    assert code == 0, err
    content = json.loads(out)
    assert content["model"] == "Ovi 1.1 (960x960, 5 s)" and content["has_audio"]
    assert "licence: MMAudio's VAE and vocoder" in err and "memory on cpu" in err
    assert any("have the same header" in note for note in content["notes"])
    clip = read_video(tmp_path / "clip.mp4")
    assert clip.frames.shape == (5, 64, 64, 3) and round(clip.fps) == 24
    sound = read_sound(tmp_path / "clip.mp4").clip.waveform
    assert abs(sound.shape[1] / 16000 - 5 / 24) < 1024 / 16000
    tag = from_metadata(clip.metadata)
    assert tag is not None and (tag.model, tag.seed) == (content["model"], 3)


def test_a_face_and_a_voice(run: Run, release: Path, files: Path, tmp_path: Path) -> None:
    arguments = (
        "generate", "--model", release / "ovi.safetensors", *part_options(release), "--variant", "dreamid-omni",
        "--reference", f"character1={files / 'me.jpg'}", "--voice", f"character1={files / 'me.wav'}",
        "--prompt", 'character1 says "on the beach"', *SHORT,
    )  # fmt: skip
    code, _, err = run(*arguments)
    assert code == 2 and "consent" in err
    code, out, err = run(*arguments, "--consent", "own")
    assert code == 0, err
    content = json.loads(out)
    assert content["model"] == "DreamID-Omni" and "of faces 1.5, of voices 2" in err
    assert any("the voice is taken from" in note for note in content["notes"])
    assert read_video(tmp_path / "clip.mp4").frames.shape == (5, 64, 64, 3)


def test_lora_changes_the_clip(run: Run, release: Path, tmp_path: Path) -> None:
    """A LoRA of the video tower changes the picture; with strength 0 nothing changes, bit for bit."""
    layer = "diffusion_model.video_model.blocks.0.self_attn.q"
    generator = torch.Generator().manual_seed(1)
    width = ovi_config().video.dim
    down, up = torch.randn(2, width, generator=generator), torch.randn(width, 2, generator=generator)
    save_file({f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}, tmp_path / "more.safetensors")
    common = (
        "generate",
        "--model",
        release / "ovi.safetensors",
        *part_options(release),
        *SHORT,
        "--prompt",
        "a cat",
    )
    frames: dict[str, torch.Tensor] = {}
    for strength in ("none", "0", "1"):
        lora = () if strength == "none" else ("--lora", f"more.safetensors:{strength}")
        code, _, err = run(*common, *lora, "--out", f"{strength}.mp4")
        assert code == 0, err
        assert ("LoRA: more.safetensors:" in err) == bool(lora)
        frames[strength] = read_video(tmp_path / f"{strength}.mp4").frames
    assert torch.equal(frames["none"], frames["0"])
    assert not torch.equal(frames["none"], frames["1"])


def test_report_of_a_face(run: Run, release: Path, files: Path, tmp_path: Path) -> None:
    """A recogniser that is named compares the people of the clip with their photos; Ovi has nobody to compare with."""
    lynx = write_lynx(tmp_path / "lynx")
    common = ("generate", "--model", release / "ovi.safetensors", *part_options(release), *SHORT, "--report")
    person = (
        "--variant", "dreamid-omni", "--reference", f"character1={files / 'me.jpg'}", "--consent", "own",
        "--voice", f"character1={files / 'me.wav'}", "--prompt", 'character1 says "on the beach"',
    )  # fmt: skip
    judge = ("--recogniser", lynx.recogniser, "--detector", "scrfd", "--detector-model", lynx.detector)
    code, _, err = run(*common, *person)
    assert code == 2 and "--report: expected a recogniser for DreamID-Omni, which brings none" in err
    code, _, err = run(*common, *judge, "--prompt", "a cat")
    assert code == 2 and "--report: expected a reference that shows a face, got none in no reference" in err
    code, out, err = run(*common, *person, *judge)
    assert code == 0, err
    report = json.loads((tmp_path / "clip.report.json").read_text())
    assert set(report["characters"]) == {"character1"} and report["sound_seconds"] is not None
    assert json.loads(out)["report"]["picture"] == "clip.report.png"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--lora-high", "x.safetensors"), "--lora-high: expected none with Ovi and DreamID-Omni"),
        (("--recogniser", "x.pth"), "--recogniser: expected --report with it"),
        (("--variant", "ovi"), "variant: expected one of dreamid-omni"),
        (("--voice-span", "first"), "voice span: expected best or official"),
        (("--guidance", "x"), "--guidance: expected a number"),
    ],
)
def test_options_that_do_not_fit(run: Run, release: Path, options: tuple[object, ...], message: str) -> None:
    model = release / "ovi.safetensors"
    code, _, err = run("generate", "--model", model, *part_options(release), *options, *SHORT)
    assert code == 2 and message in err


def test_options_of_joint_models_with_nano(run: Run) -> None:
    code, _, err = run("generate", "--vocoder", "x.pt", "--json")
    assert code == 2 and "--vocoder: expected it with Ovi or DreamID-Omni alone" in err


def test_the_parser_knows_every_variant() -> None:
    assert tuple(known_keys()) == VARIANTS
