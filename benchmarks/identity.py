"""What a prepared face costs in each forward: Lynx, full and lite, as a ratio to the same forward without it.

    python -m benchmarks.identity [--tokens 1024 8192 32768] [--narrow-from 32768] [--runs 5] [--parts-only]
        [--dtype bfloat16] [--threads 1] [--device cpu] [--json FILE]

Keys and values are prepared by the real adapter with random weights; only forwards are timed. The transformer has the
widths of Wan2.1-T2V-14B and 2 of its 40 blocks, so that lite has its layers in one of two as it has them in 20 of 40.
From `--narrow-from` tokens on it has the widths of 1.3B instead (the same heads of 128 channels, fewer of them): every
token then costs less beside its references, so that the ratio is higher than that of 14B at this length.

On a CPU the time is processor time. Other programs still disturb it, through the caches, by more than what is measured.
So there are two ratios: `forward` times whole forwards in turns and takes the median of the turns' ratios; `parts`
times what the face adds by itself (queries, attention to it, the sum) in every block, over the time of the forward
without. `parts` is the steadier one and is held to the target; `--parts-only` leaves the forwards with a face out.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wan_core.dit.config import WanConfig
from wan_core.dit.execution import for_inference
from wan_core.dit.model import WanModel
from wan_core.identity.config import ResamplerConfig
from wan_core.identity.lynx import LynxAdapter, LynxConfig
from wan_core.ops.attention import split_heads
from wan_core.ops.key_value import add_injections
from wan_core.protocols import Injection

from .clock import seconds

LAYERS = 2
#: Tokens of the aligned picture of the face, 256 pixels a side; of the resampler; registers of the full version.
PICTURE_TOKENS, FACE_TOKENS, REGISTERS = 256, 16, 16
LITE_WIDTH = 2048
PROMPT_TOKENS, TEXT_LEN = 30, 512
#: Latent frames, height and width by tokens.
SIZES = {64: (1, 16, 16), 1024: (4, 32, 32), 8192: (8, 64, 64), 32768: (32, 64, 64)}
#: Highest ratio that is accepted from 8192 tokens on.
TARGETS = {"full": 1.03, "lite": 1.01}


class Face(NamedTuple):
    """Injections of one variant: into cross-attention, and into self-attention."""

    cross: tuple[Injection, ...]
    own: tuple[Injection, ...]


def make_config(dim: int, ffn_dim: int) -> WanConfig:
    """A Wan2.1 text-to-video model of two blocks, with heads of 128 channels."""
    return WanConfig(
        dim=dim,
        ffn_dim=ffn_dim,
        num_heads=dim // 128,
        num_layers=LAYERS,
        in_channels=16,
        out_channels=16,
        text_dim=4096,
    )


def make_model(config: WanConfig, dtype: torch.dtype, device: torch.device) -> WanModel:
    """The transformer with random weights that keep activations near 1, as sampling runs it."""
    model = WanModel(config, device=device, dtype=dtype)
    generator = torch.Generator(device).manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(std=parameter.shape[1:].numel() ** -0.5, generator=generator)
    return model.train(False).requires_grad_(False)


def make_face(model: WanModel, variant: str) -> Face:
    """Prepare a face with an adapter of random weights, which is dropped."""
    config, weight = model.config, model.time_embedding[0].weight
    is_full = variant == "full"
    sizes = LynxConfig(
        variant="full" if is_full else "lite",
        resampler=ResamplerConfig(
            dim=256,
            depth=1,
            heads=4,
            queries=FACE_TOKENS,
            in_dim=512,
            out_dim=config.dim if is_full else LITE_WIDTH,
        ),
        dim=config.dim,
        num_blocks=config.num_layers,
        blocks=tuple(range(0, config.num_layers, 1 if is_full else 2)),
        registers=REGISTERS if is_full else 0,
        has_reference=is_full,
    )
    adapter = LynxAdapter(sizes, device=weight.device, dtype=weight.dtype)
    embeds = torch.randn(1, 1, 512, generator=torch.Generator().manual_seed(2)).to(weight)
    cross = adapter.prepare_identity(embeds, model.key_norms(), config.num_heads)
    if not is_full:
        return Face((cross,), ())
    shape = (1, PICTURE_TOKENS, config.dim)
    features = [
        torch.randn(shape, generator=torch.Generator().manual_seed(3 + k)).to(weight)
        for k in range(config.num_layers)
    ]
    norms = [block.self_attn.norm_k for block in model.tower_blocks()]
    return Face((cross,), (adapter.prepare_reference(features, norms, config.num_heads),))


def added_work(face: Face, query: Tensor) -> Callable[[], None]:
    """What a face adds to the blocks of one forward, by itself.

    Args: query: (1, heads, tokens, 128), token by token in memory as the blocks have it; self-attention has its queries
        in float32.
    """
    base, exact = torch.zeros_like(query), query.float()

    def work() -> None:
        for index in range(LAYERS):
            add_injections(base, face.cross, index, query)
            add_injections(base, face.own, index, exact)

    return work


def paired_ratios(
    contenders: dict[str, Callable[[], object]], runs: int, device: torch.device
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Median seconds of each contender, and its ratios to the first of the same turn; each turn goes back and forth."""
    names = list(contenders)
    times: dict[str, list[float]] = {name: [] for name in names}
    for call in contenders.values():
        call()
    for _ in range(runs):
        turn: dict[str, float] = dict.fromkeys(names, 0.0)
        for name in (*names, *reversed(names)):
            turn[name] += seconds(contenders[name], device) / 2
        for name, taken in turn.items():
            times[name].append(taken)
    first = times[names[0]]
    ratios = {name: [own / base for own, base in zip(times[name], first, strict=True)] for name in names[1:]}
    return {name: statistics.median(taken) for name, taken in times.items()}, ratios


def measure(
    config: WanConfig,
    tokens: int,
    runs: int,
    dtype: torch.dtype,
    device: torch.device,
    *,
    parts_only: bool = False,
) -> dict[str, dict[str, Any]]:
    """Cost of both variants at a number of tokens.

    Returns:
        By variant: seconds of the forward without, ratios as the module's docstring says, whether the target is met.
    """
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn((1, 16, *SIZES[tokens]), generator=generator).to(device=device, dtype=dtype)
    plain = make_model(config, dtype, device)
    faces = {variant: make_face(plain, variant) for variant in TARGETS}
    context = torch.zeros(1, TEXT_LEN, config.text_dim)
    context[:, :PROMPT_TOKENS] = torch.randn(1, PROMPT_TOKENS, config.text_dim, generator=generator)
    model = for_inference(plain)
    del plain
    prompt = model.prepare(context.to(device=device, dtype=dtype))
    timestep = torch.tensor([700.0], device=device)

    def forward(face: Face) -> Callable[[], Tensor]:
        return lambda: model(latents, timestep, prompt, injections=face.cross, self_injections=face.own)

    contenders: dict[str, Callable[[], object]] = {"without": forward(Face((), ()))}
    if not parts_only:
        contenders |= {variant: forward(face) for variant, face in faces.items()}
    taken, ratios = paired_ratios(contenders, runs, device)
    query = torch.randn((1, tokens, config.dim), generator=generator).to(device=device, dtype=dtype)
    query = split_heads(query, config.num_heads)
    rows: dict[str, dict[str, Any]] = {}
    for variant, face in faces.items():
        work = added_work(face, query)
        work()
        alone = statistics.median(seconds(work, device) for _ in range(max(3, runs)))
        parts, whole = 1 + alone / taken["without"], ratios.get(variant)
        rows[variant] = {
            "seconds_without": taken["without"],
            "forward": None if whole is None else statistics.median(whole),
            "forward_range": None if whole is None else [min(whole), max(whole)],
            "parts": parts,
            "target": TARGETS[variant] if tokens >= 8192 else None,
            "met": None if tokens < 8192 else parts <= TARGETS[variant],
        }
    return rows


def show(tokens: int, config: WanConfig, rows: dict[str, dict[str, Any]]) -> None:
    """Print the rows of one number of tokens."""
    for variant, row in rows.items():
        whole = "-" if row["forward"] is None else f"{row['forward']:.4f}"
        spread = "-" if row["forward_range"] is None else "{:.3f}-{:.3f}".format(*row["forward_range"])
        verdict = "-" if row["met"] is None else "met" if row["met"] else "MISSED"
        target = "" if row["target"] is None else f"{row['target']:.2f}"
        print(
            f"{tokens:8d} {config.dim:6d} {variant:6s} {row['seconds_without']:9.2f} {whole:>8s} {spread:>11s} "
            f"{row['parts']:8.4f} {target:>7s}  {verdict}",
            flush=True,
        )


def main(given: Sequence[str] | None = None) -> None:
    """Measure every number of tokens and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, nargs="+", choices=list(SIZES), default=[1024, 8192, 32768])
    parser.add_argument("--narrow-from", type=int, default=32768)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--parts-only", action="store_true", help="leave out the forwards with a face")
    parser.add_argument("--dtype", choices=["bfloat16", "float32", "float16"], default="bfloat16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args(given)
    torch.set_num_threads(arguments.threads)
    device, dtype = torch.device(arguments.device), getattr(torch, arguments.dtype)
    print(
        f"{'tokens':>8s} {'width':>6s} {'Lynx':6s} {'s without':>9s} {'forward':>8s} {'range':>11s} {'parts':>8s} "
        f"{'target':>7s}"
    )
    cases: list[dict[str, Any]] = []
    with torch.inference_mode():
        for tokens in arguments.tokens:
            is_narrow = tokens >= arguments.narrow_from
            config = make_config(1536, 8960) if is_narrow else make_config(5120, 13824)
            rows = measure(config, tokens, arguments.runs, dtype, device, parts_only=arguments.parts_only)
            show(tokens, config, rows)
            cases.append({"tokens": tokens, "width": config.dim, "layers": LAYERS, **rows})
            if arguments.json is not None:
                names = ("runs", "parts_only", "dtype", "threads", "device")
                settings = {key: getattr(arguments, key) for key in names}
                arguments.json.write_text(
                    json.dumps({**settings, "cases": cases}, indent=1), encoding="utf-8"
                )


if __name__ == "__main__":
    main()
