"""How long a VAE takes to decode a clip and how much memory: ours, diffusers' and ComfyUI core's, same random weights.

    python -m benchmarks.vae_decode [--model 2.1] [--size 208*128] [--frames 9] [--runs 3] [--threads 1]
        [--memory-size 480*320] [--memory-frames 17] [--device cpu] [--dtype float32] [--comfyui FOLDER] [--json FILE]

The contenders decode turn by turn in one process and share the weights; the fastest run of each counts. On a CPU the
seconds are those that this process was given, so that other programs do not count. Memory is what a process of its own
holds at most above its weights: our stream, piece by piece, against diffusers' whole clip (untiled), by default of a
larger clip than the timed one: a small clip's memory is mostly buffers that do not grow with it. ComfyUI's core is its
VAE class, called directly; it needs its requirements in this Python, and its folder (--comfyui or COMFYUI_PATH).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wan_core.checkpoints.vae_keys import diffusers_vae_names
from wan_core.vae.wan_config import WAN21_VAE, WAN22_VAE, WanVAEConfig
from wan_core.vae.wan_vae import WanVAE

CONFIGS = {"2.1": WAN21_VAE, "2.2": WAN22_VAE}
SPEED_TARGET, MEMORY_TARGET = 1.5, 0.5
#: Makes the C library give freed blocks of a megabyte back at once, so that what a process holds is what it uses.
RETURN_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "1000000"}
Contender = Callable[[Tensor], Any]


def random_weights(config: WanVAEConfig) -> dict[str, Tensor]:
    """Random weights with which signals neither die nor explode, original names."""
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in WanVAE(config).state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    return {
        key: torch.ones(shape)
        if key.endswith("gamma")
        else torch.randn(shape, generator=generator) / max(shape[1:].numel(), 1) ** 0.5
        for key, shape in shapes.items()
    }


def random_latents(config: WanVAEConfig, size: str, frames: int) -> Tensor:
    """Noise for a clip of width*height pixels, (1, C, F, H, W)."""
    width, height = (int(side) // config.spatial_stride for side in size.split("*"))
    shape = (1, config.latent_channels, (frames - 1) // config.temporal_stride + 1, height, width)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def put(model: nn.Module, weights: dict[str, Tensor], place: dict[str, Any]) -> Any:
    """Give a model built on the meta device its weights, in inference mode."""
    model.load_state_dict(weights, assign=True)
    return model.to(**place).train(False)


def ours(config: WanVAEConfig, weights: dict[str, Tensor], place: dict[str, Any]) -> WanVAE:
    """This project's VAE, as `load_vae` gives it."""
    with torch.device("meta"):
        model = WanVAE(config)
    vae: WanVAE = put(model, weights, place)
    vae.arrange_weights()
    return vae


def diffusers_vae(config: WanVAEConfig, weights: dict[str, Tensor], place: dict[str, Any]) -> Contender:
    """Diffusers' VAE, which takes latents that are not normalised."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

    channels = 3 * config.patch**2
    with torch.device("meta"):
        model = AutoencoderKLWan(
            base_dim=config.encoder_width,
            decoder_base_dim=config.decoder_width,
            z_dim=config.latent_channels,
            is_residual=config.is_residual,
            in_channels=channels,
            out_channels=channels,
            patch_size=config.patch if config.patch > 1 else None,
        )
    names = diffusers_vae_names(model.state_dict(), "")
    vae = put(model, {key: weights[name] for key, name in names.items()}, place)
    return lambda z: vae.decode(denormalise(config, z)).sample


def comfyui_vae(
    config: WanVAEConfig, weights: dict[str, Tensor], place: dict[str, Any], folder: Path
) -> Contender:
    """The VAE class of ComfyUI's core, with the clamp that its node applies."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
        import_module("comfy.cli_args").args.cpu = place["device"] == "cpu"
    module = import_module("comfy.ldm.wan.vae2_2" if config.is_residual else "comfy.ldm.wan.vae")
    arguments: dict[str, Any] = {
        "dim": config.encoder_width,
        "z_dim": config.latent_channels,
        "temperal_downsample": list(config.temporal_downsample),
    }
    if config.is_residual:
        arguments["dec_dim"] = config.decoder_width
    with torch.device("meta"):
        model = module.WanVAE(**arguments)
    vae = put(model, weights, place)
    return lambda z: vae.decode(denormalise(config, z)).clamp(-1, 1)


def denormalise(config: WanVAEConfig, z: Tensor) -> Tensor:
    """Latents as the peers take them."""
    mean, std = (torch.tensor(v).to(z).view(-1, 1, 1, 1) for v in (config.latents_mean, config.latents_std))
    return z * std + mean


def clock(device: str) -> float:
    """Seconds of this process on a CPU, of the device when its work is done otherwise."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def measure(contenders: dict[str, Contender], z: Tensor, runs: int, device: str) -> dict[str, Any]:
    """Fastest seconds of each contender, and how far its pixels are from the first one's."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    results: dict[str, Tensor] = {}
    for _ in range(runs):
        for name, decode in contenders.items():
            started = clock(device)
            results[name] = decode(z)
            seconds[name].append(clock(device) - started)
    first = results["ours"].float()
    return {
        "seconds": {name: min(times) for name, times in seconds.items()},
        "relative_error": {n: float((r.float() - first).norm() / first.norm()) for n, r in results.items()},
    }


def status_bytes(field: str) -> int:
    """A line of this process's status: VmRSS is what it holds now, VmHWM the most it ever held (Linux)."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"no {field} in /proc/self/status: memory is measured on Linux or CUDA only")


def peak_above_weights(decode: Callable[[], None], device: str) -> int:
    """Most bytes that decoding holds beside the weights."""
    if device != "cpu":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        decode()
        return torch.cuda.max_memory_allocated() - before
    Path("/proc/self/clear_refs").write_text(
        "5", encoding="utf-8"
    )  # the most ever held becomes what is held now
    before = status_bytes("VmRSS")
    decode()
    return status_bytes("VmHWM") - before


def peak_in_own_process(name: str, command: list[str]) -> int:
    """Run this benchmark again for the memory of one contender."""
    done = subprocess.run(
        [*command, "--memory-of", name],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **RETURN_MEMORY},
    )
    return int(done.stdout.split()[-1])


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=CONFIGS, default="2.1")
    parser.add_argument("--size", default="208*128", help="width*height in pixels")
    parser.add_argument("--frames", type=int, default=9)
    parser.add_argument("--memory-size", default="480*320", help="as --size, where memory is measured")
    parser.add_argument("--memory-frames", type=int, default=17)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--comfyui", type=Path, default=os.environ.get("COMFYUI_PATH"))
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--memory-of", choices=("ours", "diffusers"), default=None, help=argparse.SUPPRESS)
    return parser.parse_args()


@torch.no_grad()
def main() -> None:
    """Measure time and memory and print the table."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    config, device = CONFIGS[arguments.model], arguments.device
    place = {"device": device, "dtype": getattr(torch, arguments.dtype)}
    weights = random_weights(config)
    if arguments.memory_of is not None:
        arguments.size, arguments.frames = arguments.memory_size, arguments.memory_frames
    z = random_latents(config, arguments.size, arguments.frames).to(**place)
    if arguments.memory_of == "ours":
        vae = ours(config, weights, place)
        print(
            peak_above_weights(lambda: sum(piece.shape[2] for piece in vae.decode_stream(z)) and None, device)
        )
        return
    if arguments.memory_of == "diffusers":
        decode = diffusers_vae(config, weights, place)
        print(peak_above_weights(lambda: decode(z) is None and None, device))
        return
    contenders: dict[str, Contender] = {
        "ours": ours(config, weights, place).decode,
        "diffusers": diffusers_vae(config, weights, place),
    }
    if arguments.comfyui is not None:
        contenders["comfyui"] = comfyui_vae(config, weights, place, Path(arguments.comfyui))
    row = measure(contenders, z, arguments.runs, device)
    for name, seconds in row["seconds"].items():
        ratio, error = seconds / row["seconds"]["ours"], row["relative_error"][name]
        print(f"{name:10s} {seconds:9.3f} s  {ratio:5.2f}x ours  difference {error:.1e}", flush=True)
    command = [sys.executable, "-m", "benchmarks.vae_decode", *sys.argv[1:]]
    row["peak_bytes"] = {name: peak_in_own_process(name, command) for name in ("ours", "diffusers")}
    speed = min(t for name, t in row["seconds"].items() if name != "ours") / row["seconds"]["ours"]
    memory = row["peak_bytes"]["ours"] / row["peak_bytes"]["diffusers"]
    for name, peak in row["peak_bytes"].items():
        print(f"{name:10s} {peak / 1e6:9.0f} MB above the weights")
    row["targets"] = {
        "best peer / ours": {"value": speed, "target": SPEED_TARGET, "met": speed >= SPEED_TARGET},
        "streamed peak / diffusers": {
            "value": memory,
            "target": MEMORY_TARGET,
            "met": memory <= MEMORY_TARGET,
        },
    }
    for name, target in row["targets"].items():
        print(f"{name}: {target['value']:.2f} (target {target['target']})")
    if arguments.comfyui is None:
        print("ComfyUI was left out: name its folder with --comfyui or COMFYUI_PATH")
    if arguments.json is not None:
        given = {
            key: str(value)
            for key, value in vars(arguments).items()
            if key not in ("json", "memory_of", "comfyui")
        }
        arguments.json.write_text(json.dumps({**given, **row}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
