"""How long umT5-xxl takes for a prompt: ours, diffusers' way, and ComfyUI's core, on the same random weights.

    python -m benchmarks.text_encode [--comfyui FOLDER] [--layers 2] [--runs 3] [--threads 1]
        [--dtypes float32 bfloat16] [--json FILE]

Two layers of the true width (the other 22 cost the same) and a small vocabulary; all contenders share one copy of the
weights, take token ids and give the zero-padded (B, 512, 4096), turn by turn in one process, on the CPU; the time is
processor time (`benchmarks/clock.py`). Diffusers' way is transformers' encoder on the prompt padded to 512 tokens, one
prompt after the other, as in WanPipeline. ComfyUI is COMFYUI_PATH or comfy-cli's default workspace unless named.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wan_core.checkpoints.key_maps import rename
from wan_core.checkpoints.text_umt5 import TRANSFORMERS_RULES
from wan_core.ops.thin_linear import THIN_OPERATIONS
from wan_core.text.umt5 import UMT5Config, UMT5Encoder

from .clock import interleaved
from .peers import find_comfyui, open_comfyui

TEXT_LEN = 512
VOCABULARY = 1024
TARGET = 8.0
DTYPES = ("float32", "bfloat16")
#: Tokens of each prompt of a case: a usual prompt, and one with the official negative prompt.
CASES = {"30 tokens": (30,), "30 and 126 tokens": (30, 126)}
Contender = Callable[[list[list[int]]], Tensor]


def random_weights(config: UMT5Config, dtype: torch.dtype) -> dict[str, Tensor]:
    """Random weights of the sizes that umT5 is initialised with, official names."""
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in UMT5Encoder(config).state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    weights: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        tensor = torch.randn(shape, generator=generator)
        if "norm" in name:
            tensor = 1 + tensor / 10
        elif "embedding" not in name:
            tensor *= shape[1] ** -0.5
            if name.endswith("attn.q.weight"):
                tensor *= (config.attention_dim // config.num_heads) ** -0.5
        weights[name] = tensor.to(dtype)
    return weights


def ours(config: UMT5Config, weights: dict[str, Tensor]) -> Contender:
    """This project: each prompt at its true length, all in one pass."""
    with torch.device("meta"):
        model = UMT5Encoder(config, operations=THIN_OPERATIONS).train(False)
    model.load_state_dict(weights, assign=True)

    def encode(prompts: list[list[int]]) -> Tensor:
        context = torch.zeros(len(prompts), TEXT_LEN, config.dim, dtype=model.dtype)
        for row, encoded in zip(context, model(prompts), strict=True):
            row[: len(encoded)] = encoded
        return context

    return encode


def diffusers_way(config: UMT5Config, weights: dict[str, Tensor]) -> Contender:
    """transformers' encoder on 512 tokens with a mask."""
    import transformers

    theirs = transformers.UMT5Config(
        vocab_size=config.vocab_size,
        d_model=config.dim,
        d_kv=config.attention_dim // config.num_heads,
        d_ff=config.ffn_dim,
        num_layers=config.num_layers,
        num_heads=config.num_heads,
    )
    with torch.device("meta"):
        model = transformers.UMT5EncoderModel(theirs).train(False)
    named = _transformers_names(model.state_dict(), weights)
    named["encoder.embed_tokens.weight"] = named["shared.weight"]
    model.load_state_dict(named, assign=True)

    def encode(prompts: list[list[int]]) -> Tensor:
        rows: list[Tensor] = []
        for ids in prompts:
            padded = torch.tensor([ids + [0] * (TEXT_LEN - len(ids))])
            hidden = model(padded, (padded != 0).long()).last_hidden_state
            rows.append(torch.cat([hidden[0, : len(ids)], hidden.new_zeros(TEXT_LEN - len(ids), config.dim)]))
        return torch.stack(rows)

    return encode


def comfyui_core(folder: Path, config: UMT5Config, weights: dict[str, Tensor]) -> Contender:
    """ComfyUI's own encoder with the settings of its class for Wan (type wan)."""
    open_comfyui(folder)
    t5, sd1_clip = import_module("comfy.text_encoders.t5"), import_module("comfy.sd1_clip")
    wan = Path(str(import_module("comfy.text_encoders.wan").__file__))
    settings: dict[str, Any] = json.loads(wan.with_name("umt5_config_xxl.json").read_text(encoding="utf-8"))
    settings |= {"num_layers": config.num_layers, "vocab_size": config.vocab_size}
    model = sd1_clip.SDClipModel(
        device="meta",
        textmodel_json_config=settings,
        dtype=weights["norm.weight"].dtype,
        special_tokens={"end": 1, "pad": 0},
        model_class=t5.T5,
        enable_attention_masks=True,
        zero_out_masked=True,
    )
    named = _transformers_names(model.transformer.state_dict(), weights)
    model.transformer.load_state_dict(named, assign=True)
    model.execution_device = torch.device("cpu")

    def encode(prompts: list[list[int]]) -> Tensor:
        rows = [model([ids + [0] * (TEXT_LEN - len(ids))])[0] for ids in prompts]
        return torch.cat(rows)

    return encode


def _transformers_names(keys: dict[str, Tensor], weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights under the names that a peer's model has."""
    names = rename(keys, "", TRANSFORMERS_RULES)
    return {key: weights[name] for key, name in names.items()}


def measure(contenders: dict[str, Contender], lengths: tuple[int, ...], runs: int) -> dict[str, Any]:
    """Median seconds of each contender, and how far its result is from the first one's.

    Args: lengths: tokens of each prompt.   runs: of each, after one that warms up.
    """
    generator = torch.Generator().manual_seed(1)
    prompts = [
        [*torch.randint(3, VOCABULARY, (length - 1,), generator=generator).tolist(), 1] for length in lengths
    ]
    work = {name: lambda encode=encode: encode(prompts) for name, encode in contenders.items()}
    results = {name: call().float() for name, call in work.items()}
    seconds = interleaved(work, runs, torch.device("cpu"))
    first = next(iter(results.values()))
    return {
        "seconds": seconds,
        "relative_error": {n: float((r - first).norm() / first.norm()) for n, r in results.items()},
        "ratio_to_best_peer": min(t for name, t in seconds.items() if name != "ours") / seconds["ours"],
    }


@torch.no_grad()
def main() -> None:
    """Measure every case in float32 and bfloat16 and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--comfyui", type=Path, default=find_comfyui())
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES)
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    config = UMT5Config(vocab_size=VOCABULARY, num_layers=arguments.layers)
    rows: dict[str, dict[str, Any]] = {}
    for dtype in arguments.dtypes:
        weights = random_weights(config, getattr(torch, dtype))
        contenders = {"ours": ours(config, weights), "diffusers": diffusers_way(config, weights)}
        if arguments.comfyui is not None:
            contenders["comfyui"] = comfyui_core(arguments.comfyui, config, weights)
        for case, lengths in CASES.items():
            row = measure(contenders, lengths, arguments.runs)
            rows[f"{case}, {dtype}"] = row
            for name, seconds in row["seconds"].items():
                ratio, error = seconds / row["seconds"]["ours"], row["relative_error"][name]
                label = f"{case}, {dtype}"
                text = f"{label:28s} {name:10s} {seconds:8.3f} s  {ratio:6.2f}x ours  difference {error:.1e}"
                print(text, flush=True)
    value = min(rows[f"30 tokens, {dtype}"]["ratio_to_best_peer"] for dtype in arguments.dtypes)
    targets = {"30 tokens, best peer / ours": {"value": value, "target": TARGET, "met": value >= TARGET}}
    print(f"30 tokens: {value:.1f} times as fast as the best peer (target {TARGET:.0f})")
    if arguments.comfyui is None:
        print("ComfyUI was left out: name its folder with --comfyui")
    if arguments.json is not None:
        summary = {
            "threads": arguments.threads,
            "layers": arguments.layers,
            "cases": rows,
            "targets": targets,
        }
        arguments.json.write_text(json.dumps(summary, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
