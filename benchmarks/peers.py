"""Our transformer, diffusers' and ComfyUI core's around the same random weights, for the benchmarks of it."""

from __future__ import annotations

import argparse
import configparser
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wan_core.checkpoints.key_maps import DIFFUSERS_RULES, rename
from wan_core.dit.config import WanConfig
from wan_core.dit.execution import for_inference
from wan_core.dit.model import WanModel

TEXT_LEN = 512
#: Tokens of the prompt and of the negative prompt (the official one has 126).
PROMPT_TOKENS = (30, 126)
#: Latent frames, height and width.
SIZES = {400: (5, 20, 16), 2000: (5, 40, 40), 32760: (21, 60, 104)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One implementation.

    forward: (latents, timestep) -> velocity with the prompt.
    guided: (latents, timestep, scale) -> velocity with classifier-free guidance.
    once: seconds of what it does once before a run.
    """

    forward: Callable[[Tensor, Tensor], Tensor]
    guided: Callable[[Tensor, Tensor, float], Tensor]
    once: float = 0.0


def wan_config(layers: int) -> WanConfig:
    """Wan2.1 T2V-1.3B with fewer blocks."""
    return WanConfig(
        dim=1536,
        ffn_dim=8960,
        num_heads=12,
        num_layers=layers,
        in_channels=16,
        out_channels=16,
        text_dim=4096,
    )


def random_weights(config: WanConfig, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    """Random weights under the official names, of a size that keeps activations near 1."""
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in WanModel(config).state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    weights: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        value = torch.randn(shape, generator=generator) * (
            0.1 if len(shape) == 1 else shape[1:].numel() ** -0.5
        )
        is_scale = "norm" in name and name.endswith("weight")
        weights[name] = (1 + value if is_scale else value).to(device=device, dtype=dtype)
    return weights


def make_inputs(tokens: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, list[Tensor]]:
    """Noise (1, 16, F, H, W) for a number of tokens, and the two zero-padded contexts (1, 512, 4096)."""
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn((1, 16, *SIZES[tokens]), generator=generator).to(device=device, dtype=dtype)
    contexts: list[Tensor] = []
    for count in PROMPT_TOKENS:
        context = torch.zeros(1, TEXT_LEN, 4096)
        context[:, :count] = torch.randn(1, count, 4096, generator=generator)
        contexts.append(context.to(device=device, dtype=dtype))
    return latents, contexts


def combine(positive: Tensor, negative: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance."""
    return negative + scale * (positive - negative)


def ours(
    config: WanConfig, weights: dict[str, Tensor], contexts: list[Tensor], *, prepared: bool
) -> Contender:
    """This project; prepared: as its pipelines call it, else as the official code is called."""
    with torch.device("meta"):
        model = WanModel(config).train(False)
    model.load_state_dict(weights, assign=True)
    if not prepared:

        def plain(latents: Tensor, timestep: Tensor, context: Tensor = contexts[0]) -> Tensor:
            return model(latents, timestep, context)

        return Contender(
            forward=plain,
            guided=lambda x, t, s: combine(plain(x, t), plain(x, t, contexts[1]), s),
        )
    started = time.process_time()
    fast = for_inference(model)
    positive, negative = (fast.prepare(context) for context in contexts)
    once = time.process_time() - started
    return Contender(
        forward=lambda x, t: fast(x, t, positive),
        guided=lambda x, t, s: combine(fast(x, t, positive), fast(x, t, negative), s),
        once=once,
    )


def diffusers(config: WanConfig, weights: dict[str, Tensor], contexts: list[Tensor]) -> Contender:
    """diffusers' transformer, called as its WanPipeline does: one prompt after the other."""
    from diffusers import WanTransformer3DModel

    with torch.device("meta"):
        model = WanTransformer3DModel(
            num_attention_heads=config.num_heads,
            attention_head_dim=config.head_dim,
            ffn_dim=config.ffn_dim,
            num_layers=config.num_layers,
        ).train(False)
    names = rename(model.state_dict(), "", DIFFUSERS_RULES)
    model.load_state_dict({theirs: weights[name] for theirs, name in names.items()}, assign=True)
    # Tables that are not in the state dict stay behind on the meta device.
    model.rope = type(model.rope)(config.head_dim, (1, 2, 2), 1024).to(contexts[0].device)

    def predict(latents: Tensor, timestep: Tensor, context: Tensor = contexts[0]) -> Tensor:
        return model(latents, timestep, context, return_dict=False)[0]

    return Contender(
        forward=predict, guided=lambda x, t, s: combine(predict(x, t), predict(x, t, contexts[1]), s)
    )


def comfyui_core(
    folder: Path, config: WanConfig, weights: dict[str, Tensor], contexts: list[Tensor], *, sdpa: bool
) -> Contender:
    """ComfyUI core's transformer, both prompts in one batch as its sampler evaluates them.

    Args: sdpa: with PyTorch's attention, else with what core chooses on a CPU by itself.
    """
    model_file, operations, attention = _import_comfyui(folder)
    weight = contexts[0]
    with torch.device("meta"):
        model = model_file.WanModel(
            model_type="t2v",
            dim=config.dim,
            ffn_dim=config.ffn_dim,
            num_heads=config.num_heads,
            num_layers=config.num_layers,
            dtype=weight.dtype,
            operations=operations.disable_weight_init,
        )
    # Core keeps the first layer in float32.
    first = {name: value.float() for name, value in weights.items() if name.startswith("patch_embedding.")}
    model.train(False).load_state_dict(weights | first, assign=True)
    attend = attention.attention_pytorch if sdpa else attention.attention_sub_quad
    both = torch.cat(contexts)

    def predict(latents: Tensor, timestep: Tensor, context: Tensor = contexts[0]) -> Tensor:
        model_file.optimized_attention = attend
        return model(latents, timestep, context)

    def guided(latents: Tensor, timestep: Tensor, scale: float) -> Tensor:
        positive, negative = predict(latents.repeat(2, 1, 1, 1, 1), timestep.repeat(2), both).chunk(2)
        return combine(positive, negative, scale)

    return Contender(forward=predict, guided=guided)


def make_contenders(
    config: WanConfig,
    weights: dict[str, Tensor],
    contexts: list[Tensor],
    comfyui: Path | None,
    *,
    few: bool = False,
) -> dict[str, Contender]:
    """Everyone who takes part, ours first; few: one form of each implementation, its fastest."""
    if few:
        contenders = {
            "ours": ours(config, weights, contexts, prepared=True),
            "diffusers": diffusers(config, weights, contexts),
        }
        if comfyui is not None:
            contenders["ComfyUI core, SDPA"] = comfyui_core(comfyui, config, weights, contexts, sdpa=True)
        return contenders
    contenders = {
        "ours": ours(config, weights, contexts, prepared=True),
        "ours, nothing prepared": ours(config, weights, contexts, prepared=False),
        "diffusers": diffusers(config, weights, contexts),
    }
    if comfyui is not None:
        contenders["ComfyUI core, SDPA"] = comfyui_core(comfyui, config, weights, contexts, sdpa=True)
        if contexts[0].device.type == "cpu":
            contenders["ComfyUI core"] = comfyui_core(comfyui, config, weights, contexts, sdpa=False)
    return contenders


def find_comfyui() -> Path | None:
    """COMFYUI_PATH, else comfy-cli's default workspace, else None."""
    named = os.environ.get("COMFYUI_PATH")
    if named:
        return Path(named).expanduser()
    parser = configparser.ConfigParser()
    parser.read(Path.home() / ".config" / "comfy-cli" / "config.ini")
    workspace = parser.get("DEFAULT", "default_workspace", fallback="")
    return Path(workspace).expanduser() if workspace else None


def transformer_options(description: str | None) -> argparse.ArgumentParser:
    """Options that all benchmarks of the transformer share."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--comfyui", type=Path, default=find_comfyui())
    parser.add_argument("--tokens", type=int, nargs="+", choices=list(SIZES), default=[400, 2000])
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, default=None)
    return parser


def print_head(ratio: str) -> None:
    """Heads of the columns of `print_row`; ratio: what its number is."""
    print(f"{'case':22s} {'contender':24s} {'seconds':>8s} {ratio:>12s} {'peak MB':>8s} {'difference':>11s}")


def print_row(case: str, contender: str, found: Mapping[str, Any], ratio: str) -> None:
    """One line: found holds `seconds`, `peak_mb`, `relative_error` and, under the key `ratio`, a number."""
    memory = "-" if found["peak_mb"] is None else f"{found['peak_mb']:.0f}"
    print(
        f"{case:22s} {contender:24s} {found['seconds']:8.3f} {found[ratio]:12.2f} {memory:>8s} "
        f"{found['relative_error']:11.1e}",
        flush=True,
    )


def open_comfyui(folder: Path) -> None:
    """Make ComfyUI's modules importable; what it needs and this Python lacks comes from its own .venv."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
        sys.path.extend(str(path) for path in sorted(folder.glob(".venv/lib/python3*/site-packages")))
        import_module("comfy.cli_args").args.cpu = not torch.cuda.is_available()


def _import_comfyui(folder: Path) -> tuple[Any, Any, Any]:
    """ComfyUI's model file, layers and attention."""
    open_comfyui(folder)
    return (
        import_module("comfy.ldm.wan.model"),
        import_module("comfy.ops"),
        import_module("comfy.ldm.modules.attention"),
    )
