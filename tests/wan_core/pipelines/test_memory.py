"""The memory plan: bytes of weights as they are, work as measured; what does not fit is refused with the numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import resident_copies
import torch
from peak_memory import peak_bytes
from safetensors.torch import save_file
from tiny_dit import normal, randomise, tiny_config
from wan_release import CONFIGS, write_release

from wan_core.checkpoints.header import Header, Packing, TensorInfo
from wan_core.checkpoints.load import load_dit
from wan_core.checkpoints.lora import Lora
from wan_core.checkpoints.source import open_source
from wan_core.dit.config import WanConfig
from wan_core.dit.model import WanModel
from wan_core.errors import InputError
from wan_core.pipelines import memory_plan
from wan_core.pipelines.memory import (
    codec_bytes,
    context_bytes,
    copy_bytes,
    file_bytes,
    forward_bytes,
    token_count,
    transformer_bytes,
)
from wan_core.pipelines.memory_plan import plan_memory
from wan_core.pipelines.wan_family import FAMILIES, I2V, T2V, T2V_SMALL, TI2V, WanFamily, find_family
from wan_core.pipelines.wan_files import FoundModel, FoundTransformer, WanFiles, find_model


def true_config(**changes: object) -> WanConfig:
    fields: dict[str, object] = {
        "dim": 5120, "ffn_dim": 13824, "num_heads": 40, "num_layers": 40, "in_channels": 16, "out_channels": 16,
        "text_dim": 4096,
    }  # fmt: skip
    return WanConfig(**{**fields, **changes})  # type: ignore[arg-type]


TRUE = {
    "Wan2.1-T2V-1.3B": (true_config(dim=1536, ffn_dim=8960, num_heads=12, num_layers=30), 1_418_996_800),
    "Wan2.1-T2V-14B": (true_config(), 14_288_491_584),
    "Wan2.1-I2V-14B": (true_config(in_channels=36, image_dim=1280), 16_394_878_784),
    "Wan2.1-FLF2V-14B": (true_config(in_channels=36, image_dim=1280, image_positions=514), 16_395_536_704),
    "Wan2.2-I2V-A14B": (true_config(in_channels=36), 14_288_901_184),
    "Wan2.2-TI2V-5B": (
        true_config(dim=3072, ffn_dim=14336, num_heads=24, num_layers=30, in_channels=48, out_channels=48),
        4_999_787_712,
    ),
}


def meta_header(config: WanConfig, dtype: str = "BF16") -> tuple[WanModel, Header]:
    """A model of the true size without memory, and the header of its file."""
    model = WanModel(config, device="meta")
    tensors = {name: TensorInfo(tuple(value.shape), dtype) for name, value in model.state_dict().items()}
    return model, Header(tensors, dict.fromkeys(tensors, Path("model.safetensors")), {}, "model.safetensors")


@pytest.mark.parametrize("name", list(TRUE))
def test_weights_of_the_true_sizes_to_the_byte(name: str) -> None:
    """The estimate from the header is what the parameters of the model take, whole and block by block."""
    config, parameters = TRUE[name]
    assert find_family(config, has_experts=False, where="").name == name
    model, header = meta_header(config)
    names = {key: key for key in header.tensors}
    assert sum(p.numel() for p in model.parameters()) == parameters
    for dtype in (torch.bfloat16, torch.float32):
        found = transformer_bytes(header, names, dtype)
        assert found.total == sum(p.numel() * dtype.itemsize for p in model.parameters())
        assert found.blocks[3] == sum(p.numel() * dtype.itemsize for p in model.blocks[3].parameters())
        assert len(found.blocks) == config.num_layers
    assert file_bytes(header, None) == 2 * parameters


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory in use is read from /proc")
def test_copies_for_the_processor_are_as_large_as_counted() -> None:
    """Second copies of float32 weights, which the fastest form makes when a size comes a second time."""
    _, header = meta_header(resident_copies.wide_config(), "F32")
    names = {name: name for name in header.tensors}
    script = [sys.executable, resident_copies.__file__]
    held = json.loads(subprocess.run(script, check=True, capture_output=True, text=True).stdout)
    counted = copy_bytes(header, names, "cpu", torch.float32)
    assert counted > 45_000_000 and held[2] - held[1] < 5_000_000
    assert held[1] - held[0] == pytest.approx(counted, rel=0.1)
    assert (
        copy_bytes(header, names, "cpu", torch.bfloat16)
        == copy_bytes(header, names, "cuda", torch.float32)
        == 0
    )


def test_plan_without_room_for_copies_keeps_weights_as_they_are(tmp_path: Path) -> None:
    model = true_model("Wan2.1-T2V-1.3B", tmp_path)
    whole = plan_memory(model, (832, 480), 81, device="cpu", dtype=torch.float32)
    (phase,) = (phase for phase in whole.phases if phase.name == "transformer")
    assert whole.resident is None and "copies for the processor" in phase.note
    tight = plan_memory(model, (832, 480), 81, device="cpu", dtype=torch.float32, limit=phase.total - 1)
    (smaller,) = (phase for phase in tight.phases if phase.name == "transformer")
    assert tight.resident == 30 and smaller.weights < phase.weights and smaller.work == phase.work


def test_packed_weights_stay_packed(tmp_path: Path) -> None:
    """As many bytes as the loaded model holds, with the scale of each layer; LoRA beside them count in float32."""
    state = randomise(WanModel(tiny_config(dim=256, ffn_dim=32))).state_dict()
    stored = {}
    for key, value in state.items():
        is_matrix = key.startswith("blocks.") and value.ndim == 2
        stored[key] = value.to(torch.float8_e4m3fn) if is_matrix else value.contiguous()
        if is_matrix:
            stored[key.replace(".weight", ".scale_weight")] = torch.tensor(2.0)
    save_file(stored | {"scaled_fp8": torch.zeros(2).to(torch.float8_e4m3fn)}, tmp_path / "fp8.safetensors")
    found = _look(tmp_path / "fp8.safetensors")
    model = load_dit(tmp_path / "fp8.safetensors", dtype=torch.bfloat16)
    held = sum(t.nbytes for t in (*model.parameters(), *model.buffers()))
    estimate = transformer_bytes(found.header, found.detected.names, torch.bfloat16)
    assert estimate.total == held
    save_file({"x.lora_up.weight": torch.zeros(10, dtype=torch.float16)}, tmp_path / "lora.safetensors")
    lora = (Lora(tmp_path / "lora.safetensors"),)
    assert transformer_bytes(found.header, found.detected.names, torch.bfloat16, lora).total == held + 40
    plain, header = meta_header(tiny_config())
    names = {key: key for key in header.tensors}
    assert transformer_bytes(header, names, torch.bfloat16, lora) == transformer_bytes(
        header, names, torch.bfloat16
    )


def _look(path: Path) -> FoundTransformer:
    from wan_core.checkpoints.families import detect

    source = open_source(path)
    return FoundTransformer(path=path, header=source.header, detected=detect(source))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("ffn_dim", [256, 1536])
def test_work_of_a_forward_as_measured(dtype: torch.dtype, ffn_dim: int) -> None:
    """With the latents, never less than what is held, and at most a twentieth more."""
    config = tiny_config(dim=256, ffn_dim=ffn_dim)
    model = randomise(WanModel(config)).to(dtype).requires_grad_(False)
    assert isinstance(model, WanModel)
    latents = normal(1, 4, 4, 32, 64).to(dtype)
    with torch.no_grad():
        prepared = model.prepare(normal(1, 8, 12).to(dtype))
    kept = [t for block in prepared.blocks for t in block.text if t is not None]
    held = peak_bytes(
        lambda: model(latents, torch.tensor([500.0]), prepared), [latents, *kept, *model.parameters()]
    )
    tokens = token_count(config, (4, 32, 64))
    assert tokens == 2048
    estimate = forward_bytes(config, tokens, dtype) + 4 * latents.numel()
    assert held <= estimate <= 1.05 * held


def test_prepared_prompts_as_they_are() -> None:
    """Without padding to merge, keys and values of two prompts take what is planned."""
    config = tiny_config(text_len=40)
    model = randomise(WanModel(config))
    assert isinstance(model, WanModel)
    with torch.no_grad():
        size = sum(model.prepare(normal(1, 40, 12, seed=seed)).nbytes for seed in (1, 2))
    assert size == context_bytes(config, torch.float32, rows=40)


def true_model(name: str, tmp_path: Path, *, dtype: str = "BF16") -> FoundModel:
    """A model of true size in headers alone, with the tiny other parts of a release."""
    release = "ti2v" if name == "Wan2.2-TI2V-5B" else "i2v" if "I2V" in name or "FLF" in name else "t2v"
    folder = tmp_path / release
    found = find_model(WanFiles(model=folder if folder.exists() else write_release(folder, release)))
    config, _ = TRUE[name]
    _, header = meta_header(config, dtype)
    if dtype.startswith("F8"):
        matrices = [key for key, info in header.tensors.items() if len(info.shape) == 2]
        header = replace(header, packing=dict.fromkeys(matrices, Packing(dtype)))
    names = {key: key for key in header.tensors}
    looked = FoundTransformer(
        path=Path("x"),
        header=header,
        detected=replace(found.transformers[0].detected, config=config, names=names),
    )
    family = find_family(config, has_experts=False, where="")
    return replace(found, family=family, transformers=(looked,))


def test_plan_of_14b_for_24_gb(tmp_path: Path) -> None:
    """In bfloat16 some blocks wait in main memory; in fp8 all stay; both within the limit."""
    common = {"device": "cpu", "dtype": torch.bfloat16, "limit": 24 * 10**9}
    plan = plan_memory(true_model("Wan2.1-T2V-14B", tmp_path), (832, 480), 81, **common)  # type: ignore[arg-type]
    assert plan.resident is not None and 20 < plan.resident < 30
    assert 23 * 10**9 < plan.peak <= 24 * 10**9
    assert f"{plan.resident} of 40 blocks stay, {40 - plan.resident} come from main memory" in "\n".join(
        plan.lines()
    )
    packed = true_model("Wan2.1-T2V-14B", tmp_path, dtype="F8_E4M3")
    plan = plan_memory(packed, (832, 480), 81, **common)  # type: ignore[arg-type]
    assert plan.resident is None
    assert 14 * 10**9 < plan.peak < 24 * 10**9


def test_more_memory_keeps_more_blocks(tmp_path: Path) -> None:
    model = true_model("Wan2.1-T2V-14B", tmp_path)
    kept = [
        plan_memory(model, (832, 480), 81, device="cpu", dtype=torch.bfloat16, limit=gb * 10**9).resident
        for gb in (10, 16, 24, 40)
    ]
    assert kept[3] is None
    assert kept[0] is not None and kept[1] is not None and kept[2] is not None and kept[0] < kept[1] < kept[2]


def test_what_can_not_fit_is_refused_with_the_numbers(tmp_path: Path) -> None:
    model = true_model("Wan2.1-T2V-14B", tmp_path)
    with pytest.raises(
        InputError, match=r"expected at least \d+\.\d\d GB for the transformer of Wan2.1-T2V-14B.*got 6\.00"
    ):
        plan_memory(model, (1280, 720), 81, device="cpu", dtype=torch.bfloat16, limit=6 * 10**9)


@pytest.mark.parametrize(("family", "measured"), [(T2V_SMALL, 1_175_000_000), (TI2V, 1_099_000_000)])
def test_decoding_on_a_processor_is_counted_as_measured(family: WanFamily, measured: int) -> None:
    """At 384*288 pixels with the published sizes; large pictures need less than on a graphics card."""
    found = codec_bytes(family, (384, 288), None, "cpu", encodes=False)
    assert measured <= found < 1.15 * measured
    large = [codec_bytes(family, (1280, 704), None, device, encodes=False) for device in ("cpu", "cuda")]
    assert large[0] < 0.85 * large[1]
    encoded = [codec_bytes(family, (1280, 704), None, device, encodes=True) for device in ("cpu", "cuda")]
    assert encoded[0] == encoded[1]


def test_codec_takes_tiles_where_a_picture_is_too_large(tmp_path: Path) -> None:
    model = true_model("Wan2.2-TI2V-5B", tmp_path)
    need = codec_bytes(TI2V, (1280, 704), None, "cpu", encodes=False)
    plan = plan_memory(model, (1280, 704), 17, device="cpu", dtype=torch.bfloat16, limit=need)
    assert plan.tiling is not None and plan.tiling.size % 32 == 0
    assert "in tiles of" in "\n".join(plan.lines())
    assert plan.peak <= need


def test_text_encoder_that_does_not_fit_works_on_the_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_plan, "TEXT_ACTIVATIONS", 30 * 10**9)
    model = true_model("Wan2.1-T2V-1.3B", tmp_path)
    plan = plan_memory(model, (832, 480), 81, device="cpu", dtype=torch.bfloat16, limit=24 * 10**9)
    assert plan.text_device == "cpu"
    assert "it works in main memory" in plan.lines()[1]


def test_families_of_the_tiny_releases() -> None:
    names = {name: find_family(c, has_experts="a14b" in name, where="").name for name, c in CONFIGS.items()}
    assert set(names.values()) | {"Wan2.1-T2V-14B"} == {family.name for family in FAMILIES}
    assert (I2V.usual_shift((832, 480)), I2V.usual_shift((1280, 720)), T2V.usual_shift((832, 480))) == (
        3,
        5,
        5,
    )
    assert T2V_SMALL.sizes == ((832, 480), (480, 832))
