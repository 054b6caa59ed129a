"""What is said of a file, from its header."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from full_headers import official_shapes
from packed_files import write_comfy_quant, write_gguf, write_scaled_fp8
from safetensors.torch import save_file
from tiny_dit import wide_config, wide_state

from wan_core.checkpoints.describe import describe
from wan_core.checkpoints.published import PUBLISHED
from wan_core.errors import UnknownCheckpointError


def write_full_header(path: Path, family: str) -> None:
    """A safetensors file of true size whose weights are a hole in the file: it takes no room."""
    entries: dict[str, object] = {}
    end = 0
    for key, shape in official_shapes(family).items():
        start, end = end, end + 2 * torch.Size(shape).numel()
        entries[key] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


@pytest.mark.parametrize(
    ("family", "file", "name", "needs", "hint"),
    [
        ("Wan2.1-T2V-1.3B", "w.safetensors", "Wan2.1 T2V-1.3B", ["Wan 2.1 VAE", "umT5"], None),
        (
            "Wan2.2-T2V-A14B",
            "wan2.2_t2v_high_noise_14B.safetensors",
            "Wan2.1 T2V-14B or an expert of Wan2.2 T2V-A14B",
            ["Wan 2.1 VAE", "umT5", "other expert"],
            "the high-noise expert of a Wan2.2 A14B model",
        ),
        (
            "Wan2.2-I2V-A14B",
            "Wan2_2-I2V-A14B-LOW.safetensors",
            "expert of Wan2.2 I2V-A14B",
            ["Wan 2.1 VAE", "umT5", "other expert"],
            "Wan2.2",
        ),
        (
            "Wan2.1-I2V-14B",
            "wan2.1_i2v.safetensors",
            "Wan2.1 I2V-14B",
            ["Wan 2.1 VAE", "umT5", "CLIP"],
            "Wan2.1",
        ),
        ("Wan2.2-TI2V-5B", "w.safetensors", "Wan2.2 TI2V-5B", ["Wan 2.2 VAE", "umT5"], None),
        ("Ovi", "w.safetensors", "Ovi", ["Wan 2.2 VAE", "umT5", "vocoder"], None),
    ],
)
def test_published_files_at_true_size(
    tmp_path: Path, family: str, file: str, name: str, needs: list[str], hint: str | None
) -> None:
    write_full_header(tmp_path / file, family)
    found = describe(tmp_path / file)
    assert (found.model, found.hint, found.quantisation) == (name, hint, "none")
    assert len(found.needs) == len(needs) and all(
        word in text for word, text in zip(needs, found.needs, strict=True)
    )
    assert found.parameters == sum(torch.Size(shape).numel() for shape in official_shapes(family).values())
    assert found.file_bytes == (tmp_path / file).stat().st_size > 2 * found.parameters
    assert ("expert" in name) == (found.note is not None and "expert" in found.note)
    assert len(found.rejected) == len(PUBLISHED) - 1
    assert "--model" in found.place and ("Load Ovi" in found.place) == (family == "Ovi")


def test_quantisation_in_words(tmp_path: Path) -> None:
    state = wide_state(wide_config(ffn_dim=512, freq_dim=256, text_dim=256))
    path = tmp_path / "w.safetensors"
    write_scaled_fp8(path, state)
    assert describe(path).quantisation == "fp8 e4m3 scaled (16) of 42 tensors"
    write_comfy_quant(path, state, format="float8_e5m2")
    assert describe(path).quantisation == "fp8 e5m2 scaled (16) of 42 tensors"
    write_comfy_quant(path, state, format="int8_tensorwise")
    assert describe(path).quantisation == "int8 scaled (16) of 42 tensors"
    save_file({key: value.to(torch.float8_e4m3fn) for key, value in state.items()}, path)
    assert describe(path).quantisation == "fp8 e4m3 (42) of 42 tensors"
    write_gguf(tmp_path / "w.gguf", state, "Q4_K")
    found = describe(tmp_path / "w.gguf")
    assert found.quantisation == "GGUF Q4_K (16) of 42 tensors" and found.dtypes.startswith("Q4_K ")
    assert found.parameters == sum(value.numel() for value in state.values())
    torch.save(state, tmp_path / "w.pth")
    assert describe(tmp_path / "w.pth").quantisation == "none"


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"blocks.0.ffn.0.lora_down.weight": torch.zeros(4, 8)}, path)
    found = describe(path)
    assert (found.model, found.parameters, found.needs) == ("LoRA", 32, ()) and "--lora" in found.place
    save_file({"odd": torch.zeros(1)}, path)
    with pytest.raises(UnknownCheckpointError, match="expected a known layout of tensors, got none of them"):
        describe(path)
