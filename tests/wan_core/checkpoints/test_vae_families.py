"""Causal video VAEs from every file that they are published in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_dit import wide_state
from tiny_vae import TINY, diffusers_config, diffusers_vae, formula_vae_state
from torch import Tensor

from wan_core import load_vae
from wan_core.checkpoints.header import Header, TensorInfo
from wan_core.checkpoints.nano import save_part
from wan_core.checkpoints.source import Source
from wan_core.checkpoints.vae_families import VAE_FAMILIES, detect_vae
from wan_core.checkpoints.vae_keys import diffusers_vae_names
from wan_core.errors import (
    AmbiguousCheckpointError,
    CheckpointError,
    CheckpointMismatchError,
    UnknownCheckpointError,
)
from wan_core.vae.wan_config import WAN21_VAE, WAN22_VAE, WanVAEConfig
from wan_core.vae.wan_vae import WanVAE

GOLDEN = Path(__file__).parents[2] / "golden"
FULL = {"2.1": WAN21_VAE, "2.2": WAN22_VAE}
KINDS = pytest.mark.parametrize("kind", TINY)
Writer = Callable[[Path, str, dict[str, Tensor]], Path]


def tiny_state(kind: str) -> dict[str, Tensor]:
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in WanVAE(TINY[kind]).state_dict().items()}
    return formula_vae_state(shapes)


def diffusers_state(kind: str) -> dict[str, Tensor]:
    """The same weights under Diffusers' names."""
    with torch.device("meta"):
        keys = diffusers_vae(TINY[kind], None).state_dict()
    state, names = tiny_state(kind), diffusers_vae_names(keys, "")
    assert set(names) == set(keys)
    return {key: state[name] for key, name in names.items()}


def write_pth(folder: Path, kind: str, state: dict[str, Tensor]) -> Path:
    torch.save(state, folder / "Wan_VAE.pth")
    # The config.json of the transformer lies beside it in the official releases.
    (folder / "config.json").write_text(json.dumps({"_class_name": "WanModel", "dim": 1536}))
    return folder / "Wan_VAE.pth"


def write_comfy(folder: Path, kind: str, state: dict[str, Tensor]) -> Path:
    save_file(state, folder / "wan_vae.safetensors")
    return folder / "wan_vae.safetensors"


def write_prefixed(folder: Path, kind: str, state: dict[str, Tensor]) -> Path:
    save_file({f"model.{key}": value for key, value in state.items()}, folder / "vae.safetensors")
    return folder / "vae.safetensors"


def write_diffusers_file(folder: Path, kind: str, state: dict[str, Tensor]) -> Path:
    save_file(diffusers_state(kind), folder / "diffusion_pytorch_model.safetensors")
    return folder / "diffusion_pytorch_model.safetensors"


def write_diffusers(folder: Path, kind: str, state: dict[str, Tensor]) -> Path:
    write_diffusers_file(folder, kind, state)
    config = {"_class_name": "AutoencoderKLWan", **diffusers_config(TINY[kind])}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def write_pipeline(folder: Path, kind: str, state: dict[str, Tensor]) -> Path:
    (folder / "vae").mkdir()
    (folder / "model_index.json").write_text("{}")
    write_diffusers(folder / "vae", kind, state)
    return folder


def write_own(folder: Path, kind: str, state: dict[str, Tensor]) -> Path:
    vae = WanVAE(TINY[kind])
    vae.load_state_dict(state)
    save_part(folder / "vae.safetensors", "wan_vae", vae.config, vae)
    return folder / "vae.safetensors"


WRITERS = (
    write_pth,
    write_comfy,
    write_prefixed,
    write_diffusers_file,
    write_diffusers,
    write_pipeline,
    write_own,
)


@KINDS
@pytest.mark.parametrize("write", WRITERS)
def test_every_file_gives_the_same_model(tmp_path: Path, kind: str, write: Writer) -> None:
    state = tiny_state(kind)
    vae = load_vae(write(tmp_path, kind, state))
    assert isinstance(vae, WanVAE) and not vae.training and vae.config == TINY[kind]
    found = vae.state_dict()
    assert set(found) == set(state) and all(torch.equal(found[key], value) for key, value in state.items())


def test_dtype_is_chosen_or_kept(tmp_path: Path) -> None:
    path = write_comfy(tmp_path, "2.1", {key: value.bfloat16() for key, value in tiny_state("2.1").items()})
    assert {p.dtype for p in load_vae(path).parameters()} == {torch.float32}
    assert {p.dtype for p in load_vae(path, dtype=None).parameters()} == {torch.bfloat16}


def header_of(shapes: dict[str, tuple[int, ...]], name: str = "full.safetensors") -> Header:
    return Header(
        {key: TensorInfo(shape, "F32") for key, shape in shapes.items()},
        dict.fromkeys(shapes, Path(name)),
        {},
        name,
    )


def check_full(shapes: dict[str, tuple[int, ...]], config: WanVAEConfig, family: str) -> None:
    """Exactly one family takes the key list of the true file, and every tensor finds its place."""
    found = detect_vae(Source(header_of(shapes), {}))
    assert found.family == family and found.config == config
    with torch.device("meta"):
        expected = {key: tuple(value.shape) for key, value in found.build().state_dict().items()}
    assert {found.names[key]: shape for key, shape in shapes.items()} == expected


@KINDS
def test_full_size_original(kind: str) -> None:
    """The tensors of the official code's own model (tests/golden/make_wan_vae.py)."""
    listed = json.loads((GOLDEN / "wan_vae_full.json").read_text(encoding="utf-8"))[kind]
    shapes = {key: tuple(shape) for key, shape in listed.items()}
    assert (
        sum(torch.Size(shape).numel() for shape in shapes.values())
        == {"2.1": 126_892_531, "2.2": 704_688_668}[kind]
    )
    check_full(shapes, FULL[kind], f"Wan {kind} VAE, original names")


@KINDS
def test_full_size_diffusers(kind: str) -> None:
    with torch.device("meta"):
        theirs = diffusers_vae(FULL[kind], None)
    shapes = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    check_full(shapes, FULL[kind], f"Wan {kind} VAE, Diffusers names")


def test_other_model(tmp_path: Path) -> None:
    save_file(wide_state(), tmp_path / "dit.safetensors")
    with pytest.raises(UnknownCheckpointError) as caught:
        load_vae(tmp_path / "dit.safetensors")
    text = str(caught.value)
    assert "\n" not in text and all(f"{family.name}: no " in text for family in VAE_FAMILIES)


def test_two_models_in_a_file(tmp_path: Path) -> None:
    save_file(tiny_state("2.1") | diffusers_state("2.1"), tmp_path / "two.safetensors")
    with pytest.raises(
        AmbiguousCheckpointError, match="2.1 VAE, original names and Wan 2.1 VAE, Diffusers names"
    ):
        load_vae(tmp_path / "two.safetensors")


@KINDS
@pytest.mark.parametrize("key", ["decoder.head.2.weight", "conv1.bias", "encoder.middle.1.norm.gamma"])
def test_missing_and_unexpected_tensors(tmp_path: Path, kind: str, key: str) -> None:
    state = tiny_state(kind)
    save_file({k: v for k, v in state.items() if k != key}, tmp_path / "less.safetensors")
    with pytest.raises(CheckpointMismatchError, match=rf"1 missing \({key}\), 0 unexpected"):
        load_vae(tmp_path / "less.safetensors")
    save_file(state | {"extra.weight": torch.zeros(1)}, tmp_path / "more.safetensors")
    with pytest.raises(CheckpointMismatchError, match=r"1 unexpected \(extra.weight\)"):
        load_vae(tmp_path / "more.safetensors")


def test_tensors_without_which_there_is_no_configuration(tmp_path: Path) -> None:
    state = {k: v for k, v in tiny_state("2.1").items() if not k.startswith("decoder.head")}
    save_file(state, tmp_path / "less.safetensors")
    with pytest.raises(CheckpointMismatchError, match=r"got none that fit \('decoder.head.0.gamma'\)"):
        load_vae(tmp_path / "less.safetensors")


def test_unknown_statistics(tmp_path: Path) -> None:
    state = diffusers_state("2.1")
    for key in ("post_quant_conv.weight", "post_quant_conv.bias"):
        state[key] = state[key][:8].contiguous()
    save_file(state, tmp_path / "eight.safetensors")
    with pytest.raises(
        CheckpointMismatchError, match="statistics|latents_mean and latents_std of 8 channels"
    ):
        load_vae(tmp_path / "eight.safetensors")


def test_config_json_of_another_model(tmp_path: Path) -> None:
    folder = write_diffusers(tmp_path, "2.1", {})
    config = json.loads((folder / "config.json").read_text()) | {"num_res_blocks": 2}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        CheckpointMismatchError, match="num_res_blocks: expected 1 as the tensors have it, got 2"
    ):
        load_vae(folder)


@pytest.mark.parametrize("write", [write_pth, write_comfy])
def test_truncated_file(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path, "2.1", tiny_state("2.1"))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(CheckpointError, match="damaged or incomplete") as caught:
        load_vae(path)
    assert "\n" not in str(caught.value)


class Trap:
    """What a hostile pickle holds."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("sprung"),))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ([1, 2, 3], "expected named tensors, got none"),
        ({"epoch": 3}, "expected named tensors, got none"),
        ({"weight": Trap()}, "expected tensors alone, got a file that asks to run code"),
    ],
)
def test_pickled_file_that_is_no_state_dict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object, match: str
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "vae.pth")
    with pytest.raises(CheckpointError, match=match) as caught:
        load_vae(tmp_path / "vae.pth")
    assert "\n" not in str(caught.value) and not (tmp_path / "sprung").exists()


def test_nothing_at_the_path(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="got nothing at"):
        load_vae(tmp_path / "none.safetensors")
