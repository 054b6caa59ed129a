"""Files of Lynx: official folder and merged layout, full and lite, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_lynx import golden_lynx, part, write_merged, write_official

from wan_core.checkpoints.header import Header, TensorInfo
from wan_core.checkpoints.lynx import load_lynx, read_lynx
from wan_core.errors import CheckpointError, CheckpointMismatchError, UnknownCheckpointError
from wan_core.identity.lynx import LynxAdapter
from wan_core.identity.lynx_prepare import LynxBranch, LynxPrepared


def published(variant: str) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of the published files, written out from the official modules' sizes."""
    out = 5120 if variant == "full" else 2048
    shapes: dict[str, tuple[int, ...]] = {
        "latents": (1, 16, 1280),
        "proj_in.weight": (1280, 512),
        "proj_in.bias": (1280,),
        "proj_out.weight": (out, 1280),
        "proj_out.bias": (out,),
        "norm_out.weight": (out,),
        "norm_out.bias": (out,),
    }
    for i in range(4):
        for norm in ("0.norm1", "0.norm2", "1.0"):
            shapes |= {f"layers.{i}.{norm}.{p}": (1280,) for p in ("weight", "bias")}
        shapes |= {
            f"layers.{i}.0.to_q.weight": (1280, 1280),
            f"layers.{i}.0.to_kv.weight": (2560, 1280),
            f"layers.{i}.0.to_out.weight": (1280, 1280),
            f"layers.{i}.1.1.weight": (5120, 1280),
            f"layers.{i}.1.3.weight": (1280, 5120),
        }
    for i in range(40 if variant == "full" else 20):
        for x in "kv":
            shapes[f"{i}.to_{x}_ip.weight"] = (5120, out)
            if variant == "full":
                shapes[f"{i}.to_{x}_ip.bias"] = (5120,)
                shapes[f"{i}.to_{x}_ref.weight"] = (5120, 5120)
                shapes[f"{i}.to_{x}_ref.bias"] = (5120,)
        if variant == "full":
            shapes[f"{i}.registers"] = (1, 16, 5120)
    return shapes


def header_of(shapes: dict[str, tuple[int, ...]]) -> Header:
    infos = {key: TensorInfo(shape, "F16") for key, shape in shapes.items()}
    return Header(infos, dict.fromkeys(infos, Path("lynx.safetensors")), {}, "lynx.safetensors")


@pytest.mark.parametrize(("variant", "count"), [("full", 7 + 44 + 40 * 9), ("lite", 7 + 44 + 20 * 2)])
def test_published_size_builds_on_meta(variant: str, count: int) -> None:
    shapes = published(variant)
    config, names = read_lynx(header_of(shapes))
    model = LynxAdapter(config, device="meta")
    found = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    assert found == {names[key]: shape for key, shape in shapes.items()}
    assert len(found) == count
    assert (config.variant, config.num_blocks, config.registers) == (
        variant,
        40,
        16 if variant == "full" else 0,
    )
    assert config.blocks == tuple(range(0, 40, 1 if variant == "full" else 2))
    assert config.has_reference == (variant == "full")
    assert config.resampler.heads == 20


@torch.no_grad()
def test_memory_of_the_published_size() -> None:
    meta, half = torch.device("meta"), torch.float16
    adapter = LynxAdapter(read_lynx(header_of(published("full")))[0], device=meta, dtype=half)
    norms = [torch.nn.Identity()] * 40
    embeds = torch.empty(1, 1, 512, device=meta, dtype=half)
    features = [torch.empty(1, 256, 5120, device=meta, dtype=half)] * 40
    branch = LynxBranch(
        identity=adapter.prepare_identity(embeds, norms, 40),
        reference=adapter.prepare_reference(features, norms, 40),
    )
    prepared = LynxPrepared(face=branch, nobody=branch, adapter_bytes=adapter.nbytes)
    # two sides of 40 blocks, (16 + 16 + 256) tokens, key and value, 5120 numbers of two bytes
    assert prepared.nbytes == 2 * 40 * 288 * 2 * 5120 * 2
    assert prepared.memory_note() == (
        "identity adapter: 8171.7 MiB of weights before, 450.0 MiB of keys and values after."
    )


@pytest.mark.parametrize(("variant", "step"), [("full", 1), ("lite", 2)])
@pytest.mark.parametrize("wrapper", ["", "model.diffusion_model."])
def test_merged_layout_gives_the_same(tmp_path: Path, variant: str, step: int, wrapper: str) -> None:
    golden = golden_lynx(variant)
    official = load_lynx(write_official(golden, tmp_path / "official"))
    merged = write_merged(golden, tmp_path / "merged.safetensors", step)
    if wrapper:
        from safetensors.torch import load_file

        save_file({wrapper + k if "block" in k else k: v for k, v in load_file(merged).items()}, merged)
    found = load_lynx(merged)
    assert found.config == official.config
    assert all(torch.equal(t, found.state_dict()[name]) for name, t in official.state_dict().items())


def test_several_files_and_another_dtype(tmp_path: Path) -> None:
    folder = write_official(golden_lynx("full"), tmp_path / "full")
    found = load_lynx(sorted(folder.glob("*.safetensors")), dtype=torch.float16)
    assert {tensor.dtype for tensor in found.parameters()} == {torch.float16}
    assert not found.training


def test_reference_layers_must_not_be_forgotten(tmp_path: Path) -> None:
    folder = write_official(golden_lynx("full"), tmp_path / "full")
    (folder / "ref_layers.safetensors").unlink()
    with pytest.raises(
        CheckpointMismatchError, match="Lynx full: expected all of its layers.*reference layers none"
    ):
        load_lynx(folder)


def test_resampler_must_not_be_forgotten(tmp_path: Path) -> None:
    folder = write_official(golden_lynx("lite"), tmp_path / "lite")
    with pytest.raises(
        CheckpointMismatchError, match=r"expected the tensor resampler.latents of 3 axes, got none"
    ):
        load_lynx(folder / "ip_layers.safetensors")
    (folder / "resampler.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"Lynx folder: .* got no resampler.safetensors"):
        load_lynx(folder)


def test_a_missing_layer_and_a_strange_tensor_are_named(tmp_path: Path) -> None:
    golden = golden_lynx("full")
    folder = write_official(golden, tmp_path / "full")
    layers = part(golden, "ip_layers.")
    save_file({k: v for k, v in layers.items() if k != "1.to_v_ip.bias"}, folder / "ip_layers.safetensors")
    with pytest.raises(CheckpointMismatchError, match=r"1 missing \(ip_layers.1.to_v_ip.bias\)"):
        load_lynx(folder)
    save_file({**layers, "head.weight": torch.zeros(1)}, folder / "ip_layers.safetensors")
    with pytest.raises(CheckpointMismatchError, match=r"1 unexpected \(head.weight\)"):
        load_lynx(folder)


def test_the_same_file_twice_and_something_else(tmp_path: Path) -> None:
    folder = write_official(golden_lynx("lite"), tmp_path / "lite")
    file = folder / "ip_layers.safetensors"
    with pytest.raises(CheckpointError, match="expected every tensor in one file only, got 0.to_k_ip.weight"):
        load_lynx([file, file])
    other = tmp_path / "other.safetensors"
    save_file({"blocks.0.self_attn.q.weight": torch.zeros(2, 2)}, other)
    with pytest.raises(UnknownCheckpointError, match="expected identity layers"):
        load_lynx(other)
