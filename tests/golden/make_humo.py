"""Make `humo.safetensors`: HuMo's speech features, windows, projection, transformer and guidance, by the official code.

    python tests/golden/make_humo.py HUMO_FOLDER

HUMO_FOLDER is a checkout of Phantom-video/HuMo at commit 17094e9 (Apache-2.0). Its model and audio files are used from
a temporary copy in which widths are small and the CUDA-only attention is PyTorch's; the methods of its generators and
of its audio processor are run by themselves, since their files import CUDA-only packages. What its `inference` builds
for them (mask, `zero_vae`, references at the end, silent windows) is written out here. Nothing of it is kept.

2 blocks of width 24 (2 heads), 4 channels; windows of 8 x 5 features of width 6, 16 tokens of width 12. Whisper has 32
layers of width 8, as only 33 hidden states fit the grouping. Weights are rounded to float16; calculations are float32.
"""

from __future__ import annotations

import ast
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from make_wan_dit import ATTENTION
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from formula_weights import formula_state, formula_tensor  # noqa: E402

COMMIT = "Phantom-video/HuMo@17094e9"
SIZES = {
    "dim": 24,
    "ffn_dim": 40,
    "num_heads": 2,
    "num_layers": 2,
    "text_dim": 10,
    "freq_dim": 16,
    "out_dim": 4,
}
FRAMES, HEIGHT, WIDTH = 13, 4, 6
SECONDS = 30.4


def prepare(humo: Path, folder: Path, is_small: bool = True) -> None:
    """Write copies of the official files, with small widths or their own, and stand-ins for what they import."""
    package = folder / "humo_small"
    package.mkdir()
    (package / "__init__.py").write_text("def get_device():\n    return 'cpu'\n")
    (package / "attention.py").write_text(ATTENTION)
    text = (humo / "humo/models/audio/audio_proj.py").read_text()
    (package / "audio_proj.py").write_text(text)
    text = (humo / "humo/models/wan_modules/model_humo.py").read_text()
    imports = (
        ("from common.distributed import", "from humo_small import"),
        ("from models.audio.audio_proj", "from humo_small.audio_proj"),
        ("from humo.models.wan_modules.attention", "from humo_small.attention"),
        (
            "from common.distributed.advanced import is_unified_parallel_initialized",
            "is_unified_parallel_initialized = lambda: False",
        ),
    )
    widths = (
        ("channels=1280, ", "channels=6, "),
        ("intermediate_dim=512, output_dim=1536", "intermediate_dim=10, output_dim=12"),
        ("AudioCrossAttentionWrapper(dim, 1536,", "AudioCrossAttentionWrapper(dim, 12,"),
    )
    for old, new in imports + (widths if is_small else ()):
        if old not in text:
            raise ValueError(f"model_humo.py lacks {old}")
        text = text.replace(old, new)
    (package / "model.py").write_text(text)


def functions(path: Path, names: tuple[str, ...], namespace: dict[str, Any]) -> dict[str, Any]:
    """Functions and methods of a file by name, without the rest of it."""
    tree = ast.parse(path.read_text())
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in names]
    for node in found:
        node.decorator_list = []
    exec(compile(ast.Module(body=list(found), type_ignores=[]), str(path), "exec"), namespace)
    return namespace


def make_whisper() -> WhisperModel:
    """Whisper with the mel bands and the layers of large-v3, but narrow; weights by a formula."""
    config = WhisperConfig(
        num_mel_bins=128, d_model=8, encoder_layers=32, encoder_attention_heads=2, encoder_ffn_dim=16,
        decoder_layers=1, decoder_attention_heads=1, decoder_ffn_dim=4, vocab_size=8, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    model = WhisperModel(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.encoder.state_dict().items()}
    model.encoder.load_state_dict(formula_state(shapes))
    return model.train(False)


def run_features(humo: Path) -> dict[str, Tensor]:
    """Features of a recording longer than one piece of 30 s."""
    waveform = formula_tensor((round(SECONDS * 16000),), 5, 0.5)
    namespace: dict[str, Any] = {
        "torch": torch,
        "F": F,
        "librosa": SimpleNamespace(load=lambda path, sr: (waveform.numpy(), sr)),
    }
    processor = humo / "humo/utils/audio_processor_whisper.py"
    found = functions(
        processor, ("linear_interpolation_fps", "get_audio_feature", "preprocess", "audio_emb_enc"), namespace
    )
    me = SimpleNamespace(whisper=make_whisper(), feature_extractor=WhisperFeatureExtractor(feature_size=128))
    me.get_audio_feature = lambda path: found["get_audio_feature"](me, path)
    me.audio_emb_enc = lambda emb, wav_enc_type: found["audio_emb_enc"](me, emb, wav_enc_type)
    with torch.no_grad():
        features, count = found["preprocess"](me, "talk.wav")
    edge = 750
    return {
        "features.count": torch.tensor(count),
        "features.start": features[:30].contiguous(),
        "features.edge": features[edge - 8 : edge + 8].contiguous(),
        "features.end": features[-2:].contiguous(),
    }


def make_model(kind: str, channels: int) -> nn.Module:
    """A transformer with seeded weights."""
    from humo_small.model import WanModel

    model = WanModel(model_type=kind, in_dim=channels, text_len=12, **SIZES).train(False)
    for name, parameter in model.named_parameters():
        is_norm_weight = "norm" in name and name.endswith("weight")
        values = torch.randn(parameter.shape) * 0.25 + float(is_norm_weight)
        parameter.data.copy_(values.half().float())
    return model


def run_large(model: nn.Module, humo: Path, t: dict[str, Tensor]) -> dict[str, Tensor]:
    """A guided step of 17B on both sides of the change, and one without a picture."""
    found = functions(
        humo / "humo/generate.py", ("parse_output", "forward_tia", "forward_ta"), {"torch": torch}
    )
    scales = SimpleNamespace(scale_a=5.5, scale_t=5.0)
    me = SimpleNamespace(dit=model, config=SimpleNamespace(generation=scales))
    me.parse_output = lambda output: found["parse_output"](me, output)
    latents, count = [t["noisy"]], t["references"].shape[1]
    mask = torch.ones(4, *t["noisy"].shape[1:])
    mask[:, :-count] = 0
    known = torch.cat(
        [mask, torch.cat([t["zero_vae"][:, : t["noisy"].shape[1] - count], t["references"]], dim=1)]
    )
    null = torch.cat([mask, t["zero_vae"][:, : t["noisy"].shape[1]]])
    heard = torch.cat([t["windows"], torch.zeros(count, *t["windows"].shape[1:])])
    base = {"seq_len": 1000}
    length = t["noisy"][0].numel() // 4
    base["seq_len"] = length

    def arg(audio: Tensor, y: Tensor, context: Tensor) -> dict[str, Any]:
        return {**base, "audio": [audio], "y": [y], "context": [context]}

    silent = torch.zeros_like(heard)
    args = {
        "tia": arg(heard, known, t["context"]), "ti": arg(silent, known, t["context"]),
        "i": arg(silent, known, t["negative"]), "null": arg(silent, null, t["negative"]),
        "ta": arg(heard, null, t["context"]), "t": arg(silent, null, t["context"]),
    }  # fmt: skip
    result: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, time in (("early", 982), ("late", 978)):
            step = torch.tensor(time)
            result[name] = found["forward_tia"](
                me, latents, torch.stack([step]), step, 980, args["tia"], args["ti"], args["i"], args["null"]
            )
        step = torch.tensor(437)
        result["ta"] = found["forward_ta"](
            me, latents, torch.stack([step]), args["ta"], args["t"], args["null"]
        )
        result["forward"] = model(latents, t=torch.stack([step]), **args["tia"])[0]
    return {f"large.{name}": value.contiguous() for name, value in result.items()}


def run_small(model: nn.Module, humo: Path, t: dict[str, Tensor]) -> dict[str, Tensor]:
    """A guided step of 1.7B, with and without a picture."""
    found = functions(humo / "humo/generate_1_7B.py", ("forward_tia", "forward_ta"), {"torch": torch})
    scales = SimpleNamespace(scale_a=7.5, scale_t=7.5, scale_i=4.0)
    me = SimpleNamespace(dit=model, config=SimpleNamespace(generation=scales))
    latents, references = [t["noisy"]], [t["references"]]
    heard = torch.cat([t["windows"], torch.zeros(references[0].shape[1], *t["windows"].shape[1:])])
    base = {"seq_len": t["noisy"][0].numel() // 4}
    arg_ta = {"context": [t["context"]], "audio": [heard], **base}
    arg_t = {"context": [t["context"]], "audio": [torch.zeros_like(heard)], **base}
    arg_null = {"context": [t["negative"]], "audio": [torch.zeros_like(heard)], **base}
    null, step = [torch.zeros_like(references[0])], torch.stack([torch.tensor(437)])
    with torch.no_grad():
        result = {
            "tia": found["forward_tia"](me, latents, references, null, step, arg_t, arg_ta, arg_null),
            "ta": found["forward_ta"](me, latents, null, step, arg_t, arg_ta, arg_null),
        }
    return {f"small.{name}": value.contiguous() for name, value in result.items()}


def main() -> None:
    """Run upstream and write the file."""
    humo = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        prepare(humo, Path(folder))
        sys.path.insert(0, folder)
        torch.manual_seed(0)
        features = torch.randn(11, 5, 6)
        processor = humo / "humo/utils/audio_processor_whisper.py"
        window = functions(processor, ("get_audio_emb_window",), {"torch": torch})["get_audio_emb_window"]
        windows, _ = window(None, features, FRAMES, 0)
        latent_frames = 1 + (FRAMES - 1) // 4
        tensors = {
            "speech": features,
            "windows": windows,
            "windows.from_8": window(None, features, 9, 8)[0],
            "noisy": torch.randn(4, latent_frames + 2, HEIGHT, WIDTH),
            "references": torch.randn(4, 2, HEIGHT, WIDTH),
            "zero_vae": torch.randn(4, latent_frames + 2, HEIGHT, WIDTH),
            "context": torch.randn(5, SIZES["text_dim"]),
            "negative": torch.randn(3, SIZES["text_dim"]),
        }
        small, large = make_model("t2v", 4), make_model("i2v", 12)
        tensors["tokens"] = small.audio_proj(windows[None]).detach()
        tensors |= {f"small.weight.{name}": value.half() for name, value in small.state_dict().items()}
        tensors |= {f"large.weight.{name}": value.half() for name, value in large.state_dict().items()}
        tensors |= run_small(small, humo, tensors) | run_large(large, humo, tensors)
        tensors |= run_features(humo)
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    save_file(tensors, HERE / "humo.safetensors", metadata={"source": COMMIT, "arithmetic": "float32"})


if __name__ == "__main__":
    main()
