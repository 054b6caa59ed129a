"""What a weights file is, and whether a clip is tagged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from packed_files import write_gguf
from safetensors.torch import save_file
from tiny_dit import wide_config, wide_state

from wan_core.media import write_video
from wan_core.provenance import SyntheticTag, mark_video, to_metadata

from .conftest import Run


def test_nano_parts(run: Run, weights: Path) -> None:
    code, out, _ = run("inspect", weights / "voice.safetensors", "--json")
    content = json.loads(out)
    assert (code, content["model"]) == (0, "nano, part voice")
    assert content["config"]["token_dim"] == 24
    code, out, _ = run("inspect", weights / "dit.safetensors")
    assert (code, "nano, part dit" in out, "F32" in out) == (0, True, True)


def test_a_wan_transformer(run: Run, tmp_path: Path) -> None:
    state = wide_state(wide_config(ffn_dim=512, freq_dim=256, text_dim=256))
    write_gguf(tmp_path / "wan2.2_low_noise.gguf", state, "Q5_0")
    code, out, err = run("inspect", tmp_path / "wan2.2_low_noise.gguf")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].endswith("low_noise.gguf: Wan transformer of a size that is not published")
    count = sum(value.numel() for value in state.values())
    assert lines[1].startswith(f"  size: {count:,} parameters in 42 tensors, ")
    assert "  quantisation: GGUF Q5_0 (16) of 42 tensors" in lines
    assert "  keys: Wan, original names" in lines
    assert "  file name says: the low-noise expert of a Wan2.2 A14B model" in lines
    assert any(
        line.startswith("  taken by: --model on the command line, the node Load Wan") for line in lines
    )
    assert sum(line.startswith("  is not Wan2.") for line in lines) == 5
    assert "  dim = 256" in lines
    content = json.loads(run("inspect", tmp_path / "wan2.2_low_noise.gguf", "--json")[1])
    assert content["parameters"] == count and content["config"]["dim"] == 256
    assert content["rejected"]["Ovi"] == "one tower instead of two towers (video and audio)"


def test_parts_of_other_kinds(run: Run, tmp_path: Path) -> None:
    save_file({"blocks.0.ffn.0.lora_up.weight": torch.zeros(2, 2)}, tmp_path / "style.safetensors")
    code, out, _ = run("inspect", tmp_path / "style.safetensors")
    assert code == 0 and "style.safetensors: LoRA" in out and "taken by: --lora" in out
    torch.save({"visual.transformer.0.attn.to_qkv.weight": torch.zeros(2, 2)}, tmp_path / "clip.pth")
    code, out, _ = run("inspect", tmp_path / "clip.pth")
    assert code == 0 and "clip.pth: CLIP" in out and "taken by: --clip-vision" in out


def test_damaged_files_are_one_line(run: Run, tmp_path: Path) -> None:
    for name in ("w.safetensors", "w.gguf", "w.pth"):
        (tmp_path / name).write_bytes(b"GGUF\x03\x00\x00")
        code, _, err = run("inspect", tmp_path / name)
        assert code == 2 and err.count("\n") == 1 and name in err and "download it again" in err


def test_unknown_weights_say_why(run: Run, tmp_path: Path) -> None:
    save_file({"something": torch.zeros(3)}, tmp_path / "odd.safetensors")
    code, _, err = run("inspect", tmp_path / "odd.safetensors")
    assert code == 2
    assert "odd.safetensors" in err and err.count("\n") == 1


@pytest.mark.parametrize("name", ["model.ckpt", "model.bin", "nothing.safetensors"])
def test_files_that_are_not_opened(run: Run, tmp_path: Path, name: str) -> None:
    if not name.startswith("nothing"):
        (tmp_path / name).write_bytes(b"cos\nsystem\n(S'echo'\ntR.")
    code, _, err = run("inspect", tmp_path / name)
    assert code == 2
    assert "got none" in err if name.startswith("nothing") else "not opened" in err


def test_verify(run: Run, tmp_path: Path) -> None:
    tag = SyntheticTag(model="nano", consent="written", seed=5, version="0.1.0")
    write_video(tmp_path / "ours.mp4", torch.zeros(3, 4, 32, 32), 8, metadata=to_metadata(tag))
    write_video(tmp_path / "bare.mp4", torch.zeros(3, 4, 32, 32), 8)
    code, out, _ = run("verify", "ours.mp4")
    assert (code, "synthetic, made by Wan R2V 0.1.0 (nano), seed 5, consent written" in out) == (0, True)
    code, out, _ = run("verify", "bare.mp4", "--json")
    assert (code, json.loads(out)["is_synthetic"]) == (1, None)
    assert "too small (32x32) to look for the mark" in run("verify", "ours.mp4")[1]


def test_verify_finds_the_mark_without_the_tag(run: Run, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    video = torch.rand(3, 4, 96, 96, generator=generator) * 0.2
    write_video(tmp_path / "marked.mp4", mark_video(video), 8)
    write_video(tmp_path / "bare.mp4", video, 8)
    code, out, _ = run("verify", "marked.mp4", "--json")
    content = json.loads(out)
    assert (code, content["is_synthetic"], content["has_tag"], content["mark"]["found"]) == (
        0,
        True,
        False,
        True,
    )
    assert content["mark"]["p_value"] < 1e-6 and content["mark"]["frames"] == 4
    code, out, _ = run("verify", "bare.mp4")
    assert code == 1 and "no mark of synthetic media was found" in out
