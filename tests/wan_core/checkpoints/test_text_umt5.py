"""umT5 from every layout that is published gives the context of the same weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from packed_files import write_comfy_quant, write_scaled_fp8
from safetensors.torch import save_file
from tiny_umt5 import (
    OFFICIAL_TO_HF,
    renamed,
    spiece,
    tiny_umt5,
    tiny_umt5_config,
    tokenizer_json,
    write_umt5_gguf,
)
from torch import Tensor

from wan_core import load_text_encoder
from wan_core.checkpoints.header import Header, TensorInfo
from wan_core.checkpoints.key_maps import rename
from wan_core.checkpoints.packing import find_packing
from wan_core.checkpoints.source import Source
from wan_core.checkpoints.text_umt5 import GGUF_RULES, detect_text
from wan_core.errors import CheckpointError, CheckpointMismatchError, InputError, UnknownCheckpointError
from wan_core.ops.quantized import QuantizedEmbedding, QuantizedLinear
from wan_core.text.tokenizer import SentencePieceTokenizer
from wan_core.text.umt5 import UMT5Config, UMT5Encoder
from wan_core.text.umt5_encoder import UMT5TextEncoder

PROMPTS = ["the cat sits on the beach , and waves .", ""]
LINEAR = tuple(f".{name}.weight" for name in ("q", "k", "v", "o", "wi_0", "wi_1", "wo"))
EMBEDDED = torch.tensor(list(spiece()), dtype=torch.uint8)


@pytest.fixture
def state() -> dict[str, Tensor]:
    return tiny_umt5(tiny_umt5_config(dim=64)).state_dict()


def context_of(state: dict[str, Tensor]) -> Tensor:
    """Context of `PROMPTS` with these weights, official names."""
    model = UMT5Encoder(tiny_umt5_config(dim=state["norm.weight"].shape[0])).train(False)
    model.load_state_dict(state)
    return UMT5TextEncoder(model, SentencePieceTokenizer(spiece(), "test")).encode(PROMPTS)


def error(got: Tensor, expected: Tensor) -> float:
    return float((got.float() - expected).norm() / expected.norm())


def loaded(path: Path) -> UMT5TextEncoder:
    encoder = load_text_encoder(path)
    assert isinstance(encoder, UMT5TextEncoder) and not encoder.training
    return encoder


def write_comfy(folder: Path, state: dict[str, Tensor]) -> Path:
    save_file(
        {**renamed(state, OFFICIAL_TO_HF), "spiece_model": EMBEDDED}, folder / "umt5_xxl_fp16.safetensors"
    )
    return folder / "umt5_xxl_fp16.safetensors"


def write_saved_clip(folder: Path, state: dict[str, Tensor]) -> Path:
    prefix = "text_encoders.umt5xxl.transformer."
    content = {prefix + key: value for key, value in renamed(state, OFFICIAL_TO_HF).items()}
    content |= {"text_encoders.umt5xxl.logit_scale": torch.zeros(()), "spiece_model": EMBEDDED}
    save_file(content, folder / "clip.safetensors")
    return folder / "clip.safetensors"


def write_folder(folder: Path, state: dict[str, Tensor]) -> Path:
    content = renamed(state, OFFICIAL_TO_HF)
    keys = sorted(content)
    shards = {"model-00001-of-00002.safetensors": keys[::2], "model-00002-of-00002.safetensors": keys[1::2]}
    for name, own in shards.items():
        save_file({key: content[key] for key in own}, folder / name)
    index = {"weight_map": {key: name for name, own in shards.items() for key in own}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    config = {"model_type": "umt5", "d_model": 64, "num_layers": 2, "relative_attention_max_distance": 128}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(tokenizer_json(), encoding="utf-8")
    return folder


def write_pipeline(folder: Path, state: dict[str, Tensor]) -> Path:
    (folder / "model_index.json").write_text("{}")
    (folder / "text_encoder").mkdir()
    (folder / "tokenizer").mkdir()
    content = renamed(state, OFFICIAL_TO_HF)
    content["encoder.embed_tokens.weight"] = content["shared.weight"].clone()
    save_file(content, folder / "text_encoder" / "model.safetensors")
    (folder / "tokenizer" / "spiece.model").write_bytes(spiece())
    return folder


def write_official(folder: Path, state: dict[str, Tensor]) -> Path:
    torch.save(state, folder / "models_t5_umt5-xxl-enc-bf16.pth")
    (folder / "config.json").write_text(json.dumps({"_class_name": "WanModel", "model_type": "t2v"}))
    save_file({"x": torch.zeros(1)}, folder / "diffusion_pytorch_model.safetensors")
    (folder / "google" / "umt5-xxl").mkdir(parents=True)
    (folder / "google" / "umt5-xxl" / "tokenizer.json").write_text(tokenizer_json(), encoding="utf-8")
    return folder


def write_official_safetensors(folder: Path, state: dict[str, Tensor]) -> Path:
    save_file(state, folder / "umt5-xxl-enc.safetensors")
    (folder / "spiece.model").write_bytes(spiece())
    return folder / "umt5-xxl-enc.safetensors"


@pytest.mark.parametrize(
    "write",
    [
        write_comfy,
        write_saved_clip,
        write_folder,
        write_pipeline,
        write_official,
        write_official_safetensors,
    ],
)
def test_plain_layouts(
    tmp_path: Path, state: dict[str, Tensor], write: Callable[[Path, dict[str, Tensor]], Path]
) -> None:
    encoder = loaded(write(tmp_path, state))
    assert encoder.config == tiny_umt5_config(dim=64)
    assert error(encoder.encode(PROMPTS), context_of(state)) < 1e-6


def test_the_embedding_keeps_its_dtype(tmp_path: Path, state: dict[str, Tensor]) -> None:
    half = {key: value.half() for key, value in state.items()}
    path = write_comfy(tmp_path, half)
    encoder = loaded(path)
    dtypes = {name: parameter.dtype for name, parameter in encoder.named_parameters()}
    assert dtypes.pop("model.token_embedding.weight") == torch.float16
    assert set(dtypes.values()) == {torch.float32}
    assert (
        error(encoder.encode(PROMPTS), context_of({key: value.float() for key, value in half.items()})) < 1e-6
    )
    for dtype in (None, torch.bfloat16):
        other = load_text_encoder(path, dtype=dtype).encode(PROMPTS)
        assert other.dtype == (dtype or torch.float16)
        assert error(other, context_of(state)) < 0.03


@pytest.mark.parametrize("write", [write_scaled_fp8, write_comfy_quant])
def test_scaled_fp8_stays_packed(
    tmp_path: Path, state: dict[str, Tensor], write: Callable[[Path, dict[str, Tensor]], None]
) -> None:
    path = tmp_path / "umt5_xxl_fp8_e4m3fn_scaled.safetensors"
    write(path, renamed(state, OFFICIAL_TO_HF))
    (tmp_path / "spiece.model").write_bytes(spiece())
    encoder = loaded(path)
    assert encoder.model is not None
    assert isinstance(encoder.model.blocks[1].attn.q, QuantizedLinear)
    assert isinstance(encoder.model.token_embedding, QuantizedEmbedding)
    exact = {}
    for key, value in state.items():
        scale = value.abs().max() / 448 if value.ndim == 2 else None
        exact[key] = value if scale is None else (value / scale).to(torch.float8_e4m3fn).float() * scale
    assert error(encoder.encode(PROMPTS), context_of(exact)) < 1e-5
    # three bits of mantissa: a weight is off by 1/16 at most
    assert error(encoder.encode(PROMPTS), context_of(state)) < 0.1
    packed = sum(buffer.numel() * buffer.element_size() for buffer in encoder.buffers())
    assert packed < 1.1 * sum(value.numel() for value in state.values())


def test_plain_fp8_with_official_names(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file(
        {k: v.to(torch.float8_e4m3fn) if v.ndim == 2 else v.bfloat16() for k, v in state.items()},
        tmp_path / "umt5-xxl-enc-fp8_e4m3fn.safetensors",
    )
    (tmp_path / "spiece.model").write_bytes(spiece())
    exact = {
        k: v.to(torch.float8_e4m3fn if v.ndim == 2 else torch.bfloat16).float() for k, v in state.items()
    }
    path = tmp_path / "umt5-xxl-enc-fp8_e4m3fn.safetensors"
    assert error(loaded(path).encode(PROMPTS), context_of(exact)) < 1e-5
    assert load_text_encoder(path, dtype=None).encode(PROMPTS).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("kind", "bound"), [("F16", 1e-3), ("BF16", 0.02), ("Q8_0", 0.02), ("Q4_0", 0.25), ("Q6_K", None)]
)
def test_gguf_with_its_tokenizer(
    tmp_path: Path, state: dict[str, Tensor], kind: str, bound: float | None
) -> None:
    if kind.endswith("_K"):
        state = tiny_umt5(tiny_umt5_config(dim=256, num_layers=1)).state_dict()
    stood_for = write_umt5_gguf(tmp_path / "umt5.gguf", state, kind)
    encoder = loaded(tmp_path / "umt5.gguf")
    model = UMT5Encoder(encoder.config).train(False)
    model.load_state_dict(stood_for)
    expected = UMT5TextEncoder(model, SentencePieceTokenizer(spiece(), "test")).encode(PROMPTS)
    assert error(encoder.encode(PROMPTS), expected) < 1e-5
    if bound is not None:
        assert error(encoder.encode(PROMPTS), context_of(state)) < bound
    assert load_text_encoder(tmp_path / "umt5.gguf", dtype=None).encode(PROMPTS).isfinite().all()


@pytest.mark.parametrize("names", ["official", "transformers", "comfyui"])
def test_full_size_header(tmp_path: Path, names: str) -> None:
    """Every name and shape of the true checkpoint, from the official module or from transformers' own."""
    if names == "official":
        golden = Path(__file__).parents[2] / "golden" / "wan_umt5_xxl.json"
        shapes = {key: tuple(shape) for key, shape in json.loads(golden.read_text()).items()}
    else:
        import transformers

        config = transformers.UMT5Config(
            vocab_size=256384, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64
        )
        with torch.device("meta"):
            theirs = transformers.UMT5EncoderModel(config).state_dict()
        shapes = {key: tuple(value.shape) for key, value in theirs.items()}
    tensors = {key: TensorInfo(shape, "BF16") for key, shape in shapes.items()}
    if names == "comfyui":  # umt5_xxl_fp8_e4m3fn_scaled.safetensors
        linear = [key for key in shapes if key.endswith(LINEAR)]
        tensors = {key: info for key, info in tensors.items() if "embed_tokens" not in key}
        tensors |= {key: TensorInfo(shapes[key], "F8_E4M3") for key in linear}
        tensors |= {f"{key.removesuffix('.weight')}.scale_weight": TensorInfo((), "F32") for key in linear}
        tensors |= {"scaled_fp8": TensorInfo((2,), "F8_E4M3"), "spiece_model": TensorInfo((4548313,), "U8")}
    header = find_packing(Header(tensors, {}, {}, "full size"))
    found = detect_text(Source(header, {}))
    assert len(found.header.packing) == (168 if names == "comfyui" else 0)
    assert found.config == UMT5Config()
    with torch.device("meta"):
        expected = UMT5Encoder(found.config).state_dict()
    assert {name: shapes[key] for key, name in found.names.items()} == {
        name: tuple(value.shape) for name, value in expected.items()
    }
    assert set(found.names) == set(found.header.tensors)
    assert set(shapes) - set(found.names) <= {"encoder.embed_tokens.weight"} and len(expected) == 242


def test_gguf_names_are_those_of_llama_cpp() -> None:
    import gguf

    names = [gguf.TENSOR_NAMES[kind] for kind in gguf.MODEL_TENSORS[gguf.MODEL_ARCH.T5ENCODER]]
    layers = range(24)
    keys = {f"{n.format(bid=i)}.weight" for n in names for i in (layers if "{bid}" in n else (0,))}
    keys.discard("output.weight")  # of the decoder
    with torch.device("meta"):
        expected = set(UMT5Encoder(UMT5Config()).state_dict())
    assert set(rename(keys, "", GGUF_RULES).values()) == expected and len(keys) == len(expected)


def test_other_models_are_refused(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file({"patch_embedding.weight": torch.zeros(1)}, tmp_path / "dit.safetensors")
    with pytest.raises(
        UnknownCheckpointError, match=r"no shared\.weight; .*no token_embd\.weight.* Name the file of"
    ):
        load_text_encoder(tmp_path / "dit.safetensors")
    content = renamed(state, OFFICIAL_TO_HF)
    t5 = {
        k: v
        for k, v in content.items()
        if "relative_attention_bias" not in k or k.startswith("encoder.block.0.")
    }
    save_file(t5, tmp_path / "t5.safetensors")
    with pytest.raises(CheckpointMismatchError, match="This is T5: use umT5-xxl"):
        load_text_encoder(tmp_path / "t5.safetensors")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"blocks.1.ffn.fc2.weight": None}, r"1 missing \(blocks\.1\.ffn\.fc2\.weight\)"),
        ({"decoder.norm.weight": torch.zeros(3)}, r"1 unexpected \(decoder\.norm\.weight\)"),
        ({"blocks.1.norm2.weight": torch.zeros(3)}, r"blocks\.1\.norm2\.weight \(3,\) instead of \(64,\)"),
        ({"blocks.0.pos_embedding.embedding.weight": None}, "expected a matrix, got none"),
        ({"blocks.0.ffn.fc1.weight": torch.zeros(3)}, r"expected a matrix, got shape \(3,\)"),
    ],
)
def test_wrong_tensors(
    tmp_path: Path, state: dict[str, Tensor], change: dict[str, Tensor | None], text: str
) -> None:
    content = {key: value for key, value in {**state, **change}.items() if value is not None}
    save_file(content, tmp_path / "w.safetensors")
    (tmp_path / "spiece.model").write_bytes(spiece())
    with pytest.raises(CheckpointMismatchError, match=text):
        load_text_encoder(tmp_path / "w.safetensors")


@pytest.mark.parametrize(("name", "value"), [("d_ff", 99), ("feed_forward_proj", "relu"), ("num_heads", 8)])
def test_config_json_must_agree(tmp_path: Path, state: dict[str, Tensor], name: str, value: object) -> None:
    folder = write_folder(tmp_path, state)
    (folder / "config.json").write_text(json.dumps({"model_type": "umt5", name: value}))
    with pytest.raises(
        CheckpointMismatchError, match=rf"{name}: expected .*, got {value} in the config\.json"
    ):
        load_text_encoder(folder)


def test_dtype_of_packed_weights(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file({k: v.to(torch.float8_e5m2) for k, v in state.items()}, tmp_path / "w.safetensors")
    (tmp_path / "spiece.model").write_bytes(spiece())
    exact = {key: value.to(torch.float8_e5m2).float() for key, value in state.items()}
    assert error(load_text_encoder(tmp_path / "w.safetensors").encode(PROMPTS), context_of(exact)) < 1e-5
    kept = load_text_encoder(tmp_path / "w.safetensors", dtype=None).encode(PROMPTS)
    assert kept.dtype == torch.bfloat16 and error(kept, context_of(exact)) < 0.03


def test_a_damaged_file(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = write_comfy(tmp_path, state)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match=r"weights file: expected \d+ bytes"):
        load_text_encoder(path)


def test_nothing_is_read_before_the_tokenizer_is_there(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="tokenizer: expected one inside the weights file or beside it"):
        load_text_encoder(tmp_path / "w.safetensors")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "spiece.model").write_bytes(spiece())
    encoder = load_text_encoder(tmp_path / "w.safetensors", tokenizer=tmp_path / "elsewhere")
    assert error(encoder.encode(PROMPTS), context_of(state)) < 1e-6


def test_a_tokenizer_of_another_model(tmp_path: Path, state: dict[str, Tensor]) -> None:
    large = {**state, "token_embedding.weight": torch.zeros(2000, 64)}
    save_file(large, tmp_path / "w.safetensors")
    (tmp_path / "spiece.model").write_bytes(spiece())
    with pytest.raises(CheckpointMismatchError, match="tokenizer: expected about 2000 tokens, .* got 42"):
        load_text_encoder(tmp_path / "w.safetensors")


def test_nano_takes_no_tokenizer(tmp_path: Path) -> None:
    from wan_core.pipelines.bundle import default_folder

    with pytest.raises(InputError, match="tokenizer: expected none for nano"):
        load_text_encoder(default_folder() / "text.safetensors", tokenizer=tmp_path)
