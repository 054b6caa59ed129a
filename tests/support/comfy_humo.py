"""Run by ComfyUI's Python, without a server: HuMo on the pack's Wan MODEL and on ComfyUI's own.

    python comfy_humo.py COMFYUI PACK FOLDER

FOLDER holds two transformers, a VAE and a speech encoder, all tiny. Prints one line of JSON: largest differences,
and what errors say.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

COMFYUI, PACK, FOLDER = sys.argv[1:4]
sys.path.insert(0, COMFYUI)
sys.argv = ["main.py", "--cpu"]
import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
import comfy.sd  # noqa: E402
import comfy.utils  # noqa: E402
import folder_paths  # noqa: E402
import torch  # noqa: E402
from comfy_extras import nodes_custom_sampler, nodes_wan  # noqa: E402
from torch import Tensor  # noqa: E402

import nodes as core_nodes  # noqa: E402

torch.set_num_threads(1)
folder_paths.models_dir = FOLDER
folder_paths.folder_names_and_paths["audio_encoders"] = ([f"{FOLDER}/audio_encoders"], {".safetensors"})
spec = importlib.util.spec_from_file_location(
    "pack", f"{PACK}/__init__.py", submodule_search_locations=[PACK]
)
assert spec is not None and spec.loader is not None
sys.modules["pack"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["pack"])
from pack.nodes import host, humo, humo_guider, speech  # noqa: E402

STEPS = 2
results: dict[str, Any] = {}


def values(output: Any) -> tuple[Any, ...]:
    """What a node gives."""
    return tuple(output.result)


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def prompt(seed: int) -> list[Any]:
    context = numbers(seed, 1, 64, 4096) * 0.2
    context[:, 9:] = 0
    return [[context, {}]]


def sampled(model: Any, made: tuple[Any, ...], cfg: float = 3.0) -> Tensor:
    """Core's KSampler."""
    positive, negative, latent = made
    (result,) = core_nodes.KSampler().sample(
        model, 1, STEPS, cfg, "euler", "simple", positive, negative, latent, 1.0
    )
    return result["samples"]


def guided(model: Any, made: tuple[Any, ...], **scales: float) -> Tensor:
    """The pack's guider in core's SamplerCustomAdvanced."""
    named = {
        "text_scale": -1.0,
        "late_text_scale": -1.0,
        "voice_scale": -1.0,
        "likeness_scale": -1.0,
        **scales,
    }
    (guider,) = values(humo_guider.HumoGuider.execute(model, made[0], made[1], **named))
    (sigmas,) = values(nodes_custom_sampler.BasicScheduler.execute(model, "simple", STEPS, 1.0))
    (noise,) = values(nodes_custom_sampler.RandomNoise.execute(1))
    (solver,) = values(nodes_custom_sampler.KSamplerSelect.execute("euler"))
    output = nodes_custom_sampler.SamplerCustomAdvanced.execute(noise, guider, solver, sigmas, made[2])
    return values(output)[0]["samples"]


def far(first: Tensor, second: Tensor) -> float:
    assert first.shape == second.shape and bool(first.isfinite().all()) and float(first.std()) > 0.1
    return float((first - second).abs().max())


def compare(name: str, vae: Any, photo: Tensor, heard: dict[str, Any]) -> None:
    """Both MODELs of one size."""
    path = f"{FOLDER}/diffusion_models/tiny_{name}.safetensors"
    ours, core = host.load_wan(Path(path), "default"), comfy.sd.load_diffusion_model(path)
    node = nodes_wan.WanHuMoImageToVideo
    shape = (vae, 64, 64, 9, 1)
    made = values(node.execute(prompt(1), prompt(2), *shape, ref_image=photo, audio_encoder_output=heard))
    results[f"{name}: ours/core"] = far(sampled(ours, made), sampled(core, made))
    alone = values(node.execute(prompt(1), prompt(2), *shape, audio_encoder_output=heard))
    results[f"{name}: without a picture"] = far(sampled(ours, alone), sampled(core, alone))
    silent = {**heard, "encoded_audio_all_layers": [0 * own for own in heard["encoded_audio_all_layers"]]}
    mute = values(node.execute(prompt(1), prompt(2), *shape, ref_image=photo, audio_encoder_output=silent))
    results[f"{name}: speech"] = far(sampled(ours, made), sampled(ours, mute))
    results[f"{name}: picture"] = far(sampled(ours, made), sampled(ours, alone))
    # core's node without speech makes windows that core's own model refuses
    results[f"{name}: no speech"] = tuple(
        sampled(ours, values(node.execute(prompt(1), prompt(2), *shape))).shape
    )
    nobody = host.null_reference(ours, made[0][0][1]["reference_latents"][-1])
    results[f"{name}: null size"] = float(ours.model.process_latent_in(nobody).abs().max())
    results[f"{name}: guided ours/core"] = far(guided(ours, made), guided(core, made))
    ones = {"text_scale": 1.0, "late_text_scale": 1.0, "voice_scale": 1.0, "likeness_scale": 1.0}
    results[f"{name}: scales of 1"] = far(guided(ours, made, **ones), sampled(ours, made, cfg=1.0))
    results[f"{name}: guidance"] = far(guided(ours, made), sampled(ours, made, cfg=1.0))
    own = values(
        humo.HumoConditioning.execute(
            prompt(1), prompt(2), vae, heard, 64, 64, 0, photo.repeat(2, 1, 1, 1), "own"
        )
    )
    results[f"{name}: own frames"] = own[2]["samples"].shape[2]
    results[f"{name}: own"] = far(guided(ours, own), guided(core, own))
    try:
        humo_guider.HumoGuider.execute(ours, prompt(1), prompt(2), -1.0, -1.0, -1.0, -1.0)
    except Exception as error:
        results[f"{name}: bare prompt"] = str(error)


with torch.inference_mode():
    codec = comfy.sd.VAE(sd=comfy.utils.load_torch_file(f"{FOLDER}/vae/tiny_vae.safetensors"))
    picture = torch.rand(1, 40, 64, 3, generator=torch.Generator().manual_seed(5))
    layers = [numbers(30 + number, 1, 30, 1280) for number in range(33)]
    recording = {"encoded_audio_all_layers": layers, "audio_samples": 30 * 320}
    for size in ("humo_1_7b", "humo_17b"):
        compare(size, codec, picture, recording)
    sound = {"waveform": 0.2 * numbers(9, 1, 2, 22050), "sample_rate": 44100}
    (encoded,) = values(speech.EncodeSpeech.execute("whisper.safetensors", sound))
    states = encoded["encoded_audio_all_layers"]
    results["speech: layers"] = [len(states), *states[0].shape, int(encoded["audio_samples"])]
sys.stdout.write(json.dumps(results) + "\n")
