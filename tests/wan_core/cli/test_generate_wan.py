"""Clips with published Wan models: tiny random weights in the true layout of each family, through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from wan_release import CONFIGS, write_release

from wan_core.cli import generate_wan
from wan_core.media import read_video, video_writer
from wan_core.pipelines import memory
from wan_core.pipelines.wan_files import WanFiles
from wan_core.pipelines.wan_plan import WanOptions, plan_wan
from wan_core.pipelines.wan_request import WanRequest
from wan_core.provenance import from_metadata
from wan_core.vae.wan_vae import WanVAE

from .conftest import Run

PROMPT = "a cat sits on the beach"
SHORT = ("--steps", 2, "--frames", 5, "--size", "64*64", "--device", "cpu", "--seed", 3)
NAMES = {
    "t2v": "Wan2.1-T2V-1.3B",
    "i2v": "Wan2.1-I2V-14B",
    "flf2v": "Wan2.1-FLF2V-14B",
    "t2v_a14b": "Wan2.2-T2V-A14B",
    "i2v_a14b": "Wan2.2-I2V-A14B",
    "ti2v": "Wan2.2-TI2V-5B",
}


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("releases")
    return {name: write_release(folder / name, name) for name in CONFIGS}


def _pictures(name: str, files: Path) -> tuple[object, ...]:
    first = ("--first-frame", files / "me.jpg") if name not in ("t2v", "t2v_a14b") else ()
    return (*first, "--last-frame", files / "grey.png") if name == "flf2v" else first


@pytest.mark.parametrize("name", list(CONFIGS))
def test_every_family_makes_a_clip(
    name: str, run: Run, releases: dict[str, Path], files: Path, tmp_path: Path
) -> None:
    """The folder of a release is enough; the clip is tagged with the family's name."""
    wide = ("--size", "128*128") if name == "ti2v" else ()
    code, out, err = run(
        "generate",
        "--model",
        releases[name],
        "--prompt",
        PROMPT,
        *_pictures(name, files),
        *SHORT,
        *wide,
        "--json",
    )
    assert code == 0, err
    content = json.loads(out)
    assert (content["model"], content["frames"], content["has_audio"]) == (NAMES[name], 5, False)
    assert "memory on cpu, no limit" in err
    clip = read_video(tmp_path / "clip.mp4")
    assert clip.frames.shape == (5, content["height"], content["width"], 3)
    assert round(clip.fps) == (24 if name == "ti2v" else 16)
    tag = from_metadata(clip.metadata)
    assert tag is not None and (tag.model, tag.seed) == (NAMES[name], 3)
    # The picture is 512 x 320: its shape decides, on the grid of the model.
    expected = (64, 64) if name == "t2v" or name == "t2v_a14b" else (80, 48)
    if name == "ti2v":
        expected = (160, 96)
    assert (content["width"], content["height"]) == expected
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip.mp4"]


def test_text_alone_with_ti2v_and_same_seed_same_clip(
    run: Run, releases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames: list[torch.Tensor] = []
    monkeypatch.setattr(generate_wan, "write_clip", _collect(frames))
    monkeypatch.setattr(generate_wan, "show_clip", lambda *_: None)
    for seed in (1, 1, 2):
        code, _, err = run(
            "generate", "--model", releases["ti2v"], "--prompt", PROMPT, *SHORT, "--seed", seed
        )
        assert code == 0, err
    assert torch.equal(frames[0], frames[1])
    assert not torch.equal(frames[0], frames[2])


def test_options_change_the_clip(
    run: Run, releases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames: list[torch.Tensor] = []
    monkeypatch.setattr(generate_wan, "write_clip", _collect(frames))
    monkeypatch.setattr(generate_wan, "show_clip", lambda *_: None)
    options = (
        (),
        ("--solver", "euler"),
        ("--solver", "dpm++"),
        ("--guidance", "1", "--shift", "3"),
        ("--guidance-rule", "apg"),
        ("--guidance-interval", "0.95,1"),
        ("--negative-prompt", "a dog"),
    )
    for more in options:
        code, _, err = run("generate", "--model", releases["t2v"], "--prompt", PROMPT, *SHORT, *more)
        assert code == 0, err
    assert all(not torch.equal(first, other) for n, first in enumerate(frames) for other in frames[n + 1 :])


def test_a_limit_streams_blocks_and_changes_nothing(
    run: Run, releases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one byte less than the transformer needs as it is loaded, blocks visit in turn and the clip is the same."""
    monkeypatch.setattr(memory, "CODEC_BYTES", {16: (1, 1)})
    files, request = WanFiles(model=releases["t2v_a14b"]), WanRequest(size=(64, 64), frames=5)
    need = 10**9
    for _ in ("without limit", "without copies for the processor"):
        memory_plan = plan_wan(request, files, WanOptions(limit=need - 1)).memory
        need = next(phase.total for phase in memory_plan.phases if phase.name == "each expert")
    common = ("generate", "--model", releases["t2v_a14b"], "--prompt", PROMPT, *SHORT)
    frames: list[torch.Tensor] = []
    monkeypatch.setattr(generate_wan, "show_clip", lambda *_: None)
    monkeypatch.setattr(generate_wan, "write_clip", _collect(frames))
    assert run(*common)[0] == 0
    code, _, err = run(*common, "--vram", f"{(need - 1) / 1e6:.6f}MB")
    assert code == 0, err
    assert "1 of 4 blocks stay, 3 come from main memory in turn" in err
    assert "it works in main memory" in err
    assert torch.allclose(frames[0], frames[1], rtol=0, atol=1e-4)


def _collect(frames: list[torch.Tensor]) -> Callable[..., tuple[Path, dict[str, object]]]:
    """Stands in for writing: the frames as they were decoded."""

    def write(chunks: Iterator[torch.Tensor], *_: object, **__: object) -> tuple[Path, dict[str, object]]:
        frames.append(torch.cat([*chunks], dim=2))
        return Path("clip.mp4"), {}

    return write


def test_files_one_by_one_with_lora(
    run: Run, releases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A LoRA changes the clip, one of strength 0 does not."""
    folder = releases["t2v"]
    save_file(
        {
            "diffusion_model.head.head.lora_down.weight": torch.ones(1, 128),
            "diffusion_model.head.head.lora_up.weight": torch.ones(64, 1),
        },
        tmp_path / "style.safetensors",
    )
    parts = (
        *("--model", folder / "diffusion_pytorch_model.safetensors", "--vae", folder / "Wan2.1_VAE.pth"),
        *("--text-encoder", folder / "models_t5_umt5-xxl-enc-bf16.pth"),
        *("--tokenizer", folder / "google/umt5-xxl"),
    )
    frames: list[torch.Tensor] = []
    monkeypatch.setattr(generate_wan, "write_clip", _collect(frames))
    monkeypatch.setattr(generate_wan, "show_clip", lambda *_: None)
    for lora in ((), ("--lora", "style.safetensors:0"), ("--lora", "style.safetensors")):
        code, _, err = run("generate", *parts, "--prompt", PROMPT, *SHORT, *lora)
        assert code == 0, err
        assert ("LoRA: style.safetensors" in err) == bool(lora)
    assert torch.equal(frames[0], frames[1])
    assert not torch.equal(frames[0], frames[2])


def test_nothing_sampled_is_lost(
    run: Run, releases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where writing fails, the latents are kept, and `decode` makes the clip that would have been."""
    common = ("generate", "--model", releases["t2v"], "--prompt", PROMPT, *SHORT)
    assert run(*common, "--out", "expected.mp4")[0] == 0
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(video_writer, "encode_frame", fail)
        code, out, err = run(*common, "--out", "clip.mp4")
    assert (code, out) == (1, "")
    assert "expected room on the disk" in err and "latents are in clip.latents.safetensors" in err
    assert not (tmp_path / "clip.mp4").exists()
    code, _, err = run(
        "decode", "clip.latents.safetensors", "--vae", releases["t2v"] / "Wan2.1_VAE.pth", "--device", "cpu"
    )
    assert code == 0, err
    made, expected = (read_video(tmp_path / f"{name}.mp4").frames.float() for name in ("clip", "expected"))
    assert (made - expected).abs().mean() < 2
    tag = from_metadata(read_video(tmp_path / "clip.mp4").metadata)
    assert tag is not None and tag.seed == 3


def test_a_fault_while_decoding_keeps_the_latents(
    run: Run, releases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(WanVAE, "decode_stream", fail)
    code, _, err = run("generate", "--model", releases["t2v"], "--prompt", PROMPT, *SHORT)
    assert code == 1
    assert "CUDA out of memory" in err and "decode them with" in err
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip.latents.safetensors"]


def _refused(result: tuple[int, str, str], *parts: str) -> None:
    code, out, err = result
    lines = [line for line in err.splitlines() if line.startswith("wan-r2v:")]
    assert code in (1, 2) and out == "" and len(lines) == 1, result
    for part in parts:
        assert part in lines[0], lines[0]
    assert "sample:" not in err


def test_bad_requests(run: Run, releases: dict[str, Path], files: Path, tmp_path: Path) -> None:
    """Each is refused in one line before anything is sampled."""
    text = ("generate", "--model", releases["t2v"], "--prompt", PROMPT, "--steps", 1)
    _refused(run(*text, "--frames", 6), "frames: expected 4k + 1", "got 6. Use 5")
    _refused(run(*text, "--size", "100*64"), "size: expected multiples of 16", "Use 96*64")
    _refused(run("generate", "--model", releases["ti2v"], "--size", "80*64"), "expected multiples of 32")
    _refused(run(*text, "--first-frame", files / "me.jpg"), "a text-to-video model, got one", "Leave it out")
    _refused(run(*text, "--last-frame", files / "me.jpg"), "last frame: expected none")
    _refused(
        run("generate", "--model", releases["i2v"]), "first frame: expected a picture for Wan2.1-I2V-14B"
    )
    flf = ("generate", "--model", releases["flf2v"], "--first-frame", files / "me.jpg")
    _refused(run(*flf), "last frame: expected a picture for Wan2.1-FLF2V-14B, got none")
    _refused(run(*text, "--duration", 1, "--frames", 5), "expected frames or a duration, got both")
    _refused(run(*text, "--solver", "ddim"), "solver: expected one of", "got 'ddim'")
    _refused(run(*text, "--vram", "lots"), "--vram: expected a size such as 24GB")
    _refused(run(*text, "--vram", "30MB"), "memory: expected at least", "got 0.03 GB")
    _refused(run(*text, "--device", "tpu"), "--device: expected cuda or cpu")
    _refused(run(*text, "--dtype", "int3"), "--dtype: expected float32")
    _refused(run(*text, "--guidance", "much"), "--guidance: expected a number")
    _refused(run(*text, "--guidance-interval", "0.3"), "--guidance-interval: expected LOW,HIGH")
    _refused(run(*text, "--guidance-rule", "best"), "guidance rule: expected one of")
    _refused(run(*text, "--lora", "style.safetensors:much"), "--lora: expected FILE:STRENGTH")
    _refused(run(*text, "--voice", "character1=me.wav"), "--voice: expected none with --model")
    _refused(run(*text, "--identity-scale", 0), "--identity-scale: expected a --reference with it")
    _refused(
        run("generate", "--prompt", "waves", "--vae", "x.safetensors"), "--vae: expected --model with it"
    )
    assert list(tmp_path.iterdir()) == []


def test_bad_files(run: Run, releases: dict[str, Path], files: Path, tmp_path: Path) -> None:
    """Missing parts, experts of different models, another VAE, a LoRA of another model."""
    weights = "diffusion_pytorch_model.safetensors"
    t2v, high = releases["t2v"] / weights, releases["t2v_a14b"] / "high_noise_model" / weights
    low, image_low = (releases[name] / "low_noise_model" / weights for name in ("t2v_a14b", "i2v_a14b"))
    text = ("generate", "--prompt", PROMPT, *SHORT)
    _refused(
        run(*text, "--model", t2v), "VAE: expected the Wan 2.1 VAE for Wan2.1-T2V-1.3B, got none", "--vae"
    )
    vae = ("--vae", releases["t2v"] / "Wan2.1_VAE.pth")
    _refused(run(*text, "--model", t2v, *vae), "text encoder: expected umT5-xxl, got none", "--text-encoder")
    image_high = releases["i2v_a14b"] / "high_noise_model" / weights
    _refused(run(*text, "--model", image_high, *vae), "expected both experts of Wan2.2-I2V-A14B, got one")
    _refused(
        run(*text, "--model", high, "--model-low", image_low),
        "experts: expected",
        "another model",
        "one release",
    )
    _refused(run(*text, "--model", high, "--model-low", high), "got the same file twice")
    for name, source in (("t2v_low_noise", low), ("t2v_high_noise", high)):
        (tmp_path / f"{name}.safetensors").write_bytes(source.read_bytes())
    swapped = ("--model", "t2v_low_noise.safetensors", "--model-low", "t2v_high_noise.safetensors")
    _refused(run(*text, *swapped), "expected the high-noise one first", "Swap")
    _refused(
        run(*text, "--model", releases["ti2v"] / weights, "--model-low", t2v),
        "expected one transformer for Wan2.2-TI2V-5B, got a second",
    )
    release = ("--model", releases["t2v"])
    wrong_vae = ("--vae", releases["ti2v"] / "Wan2.2_VAE.pth")
    _refused(run(*text, *release, *wrong_vae), "VAE: expected 16 latent channels for Wan2.1-T2V-1.3B, got 48")
    state = {f"blocks.0.self_attn.q.lora_{half}.weight": torch.ones(64, 64) for half in ("down", "up")}
    save_file(state, tmp_path / "big.safetensors")
    result = run(*text, *release, "--lora", "big.safetensors")
    assert result[0] == 2 and "The LoRA belongs to another model" in result[2]
    save_file({"blocks.9.x.lora_up.weight": torch.ones(1)}, tmp_path / "strange.safetensors")
    result = run(*text, *release, "--lora", "strange.safetensors")
    assert result[0] == 2 and "got 1 that fit none: blocks.9.x.lora_up.weight" in result[2]
    _refused(run(*text, *release, "--lora-low", "big.safetensors"), "got one for an expert", "Use --lora")
    pictures = ("--first-frame", files / "me.jpg")
    no_clip = ("--model", releases["i2v"] / weights, *vae, "--text-encoder", t2v)
    _refused(run(*text, *no_clip, *pictures), "CLIP: expected the picture tower", "--clip-vision")
    _refused(run(*text, "--model", tmp_path / "none.safetensors"), "expected a file, got nothing")
    _refused(run("decode", t2v, "--vae", releases["t2v"] / "Wan2.1_VAE.pth"), "latents: expected a file that")
    assert not list(tmp_path.glob("*.mp4"))
