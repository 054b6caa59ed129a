"""Run by ComfyUI's Python, without a server: Lynx beside the nodes of other packs, as they are installed.

    python comfy_packs.py COMFYUI PACK FOLDER

COMFYUI's custom_nodes holds ComfyUI-KJNodes (NAG) and ComfyUI-GGUF. FOLDER holds what `tiny_wan` and `tiny_adapter`
write, and in diffusion_models tiny.gguf with its unpacked values in tiny_unpacked.safetensors. Prints one line of JSON:
distances relative to the plain result, and what errors say.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from collections.abc import Callable
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
from comfy_extras import nodes_easycache  # noqa: E402
from torch import Tensor  # noqa: E402

import nodes as core_nodes  # noqa: E402

folder_paths.models_dir = FOLDER
folder_paths.folder_names_and_paths["diffusion_models"] = (
    [f"{FOLDER}/diffusion_models"],
    folder_paths.supported_pt_extensions,
)
for other in ("ComfyUI-KJNodes", "ComfyUI-GGUF"):
    assert asyncio.run(core_nodes.load_custom_node(f"{COMFYUI}/custom_nodes/{other}")), other
spec = importlib.util.spec_from_file_location(
    "pack", f"{PACK}/__init__.py", submodule_search_locations=[PACK]
)
assert spec is not None and spec.loader is not None
sys.modules["pack"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["pack"])
from pack.nodes import faces, host, identity, wan_loaders  # noqa: E402

STEPS, CFG, SIZE = 3, 3.0, (1, 16, 3, 8, 8)
NAG_OFF, NAG_ON = (1.0, 0.0, 2.5), (11.0, 0.25, 2.5)
results: dict[str, Any] = {}


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def prompt(seed: int) -> list[Any]:
    context = numbers(seed, 1, 64, 4096) * 0.2
    context[:, 9:] = 0
    return [[context, {}]]


def sampled(
    model: Any, positive: Any, negative: Any, steps: int = STEPS, *, batch: int = 1, cfg: float = CFG
) -> Tensor:
    """Core's KSampler."""
    latent = {"samples": torch.zeros(batch, *SIZE[1:])}
    made = core_nodes.KSampler().sample(
        model, 1, steps, cfg, "euler", "simple", positive, negative, latent, 1.0
    )
    return made[0]["samples"]


def nag(model: Any, settings: tuple[float, float, float]) -> Any:
    """KJNodes' WanVideoNAG."""
    node = core_nodes.NODE_CLASS_MAPPINGS["WanVideoNAG"]()
    return node.patch(model, prompt(3), *settings)[0]


def cached(model: Any) -> Any:
    """Core's EasyCache, made to skip steps."""
    return nodes_easycache.EasyCacheNode.execute(model, 3.0, 0.0, 1.0, False).result[0]


def with_lora(model: Any) -> Any:
    return comfy.sd.load_lora_for_models(model, None, LORA, 0.8, 0.0)[0]


def distance(first: Tensor, second: Tensor) -> float:
    assert first.isfinite().all() and float(first.std()) > 0.5
    return float((first - second).norm() / second.norm())


def error(call: Callable[[], Any]) -> str:
    """What an error says, or nothing."""
    try:
        call()
    except Exception as fault:
        return f"{type(fault).__name__}: {fault}"
    return ""


def try_variant(variant: str) -> None:
    """Full or lite on a GGUF model and under NAG, with LoRA and cached steps."""
    files = faces.LoadIdentityAdapter.execute(f"lynx_{variant}", "arcface.safetensors").result[0]
    crop = torch.rand(1, 150, 150, 3, generator=GENERATOR)
    face = faces.EncodeFace.execute(files, crop, "aligned", "fictional").result[0]

    def apply(model: Any, scale: float = 1.0) -> tuple[Any, Any, Any]:
        made = identity.ApplyIdentity.execute(model, PROMPT, NOTHING, face, scale, scale, 5, VAE, CLIP)
        return made.result[:3]

    plain = sampled(*apply(PLAIN))
    packed = sampled(*apply(PACKED))
    results[f"{variant} GGUF: as unpacked"] = distance(packed, plain)
    results[f"{variant} GGUF: effect"] = distance(packed, BASE["packed"])
    results[f"{variant} GGUF: left"] = float((sampled(PACKED, PROMPT, NOTHING) - BASE["packed"]).abs().max())
    results[f"{variant} GGUF: off"] = apply(PACKED, 0.0)[0] is PACKED
    lora = sampled(*apply(with_lora(PACKED)))
    results[f"{variant} GGUF LoRA: as unpacked"] = distance(lora, sampled(*apply(with_lora(PLAIN))))
    results[f"{variant} GGUF LoRA: changes"] = distance(lora, packed)

    results[f"{variant} NAG off: as without"] = distance(sampled(*apply(nag(PLAIN, NAG_OFF))), plain)
    guided = sampled(*apply(nag(PLAIN, NAG_ON)))
    results[f"{variant} NAG: changes"] = distance(guided, plain)
    results[f"{variant} NAG: effect"] = distance(guided, sampled(nag(PLAIN, NAG_ON), PROMPT, NOTHING))
    results[f"{variant} NAG: off"] = float(
        (sampled(*apply(nag(PLAIN, NAG_ON), 0.0)) - sampled(nag(PLAIN, NAG_ON), PROMPT, NOTHING)).abs().max()
    )
    two = sampled(*apply(nag(PLAIN, NAG_OFF)), batch=2)
    results[f"{variant} NAG: two clips"] = distance(two, sampled(*apply(PLAIN), batch=2))
    model, *conditions = apply(PLAIN)
    results[f"{variant} NAG after"] = error(lambda: sampled(nag(model, NAG_ON), *conditions))
    results[f"{variant} NAG: ours/core"] = distance(sampled(*apply(nag(OURS, NAG_ON))), guided)
    model, *conditions = apply(OURS)
    results[f"{variant} NAG after: ours/core"] = distance(sampled(nag(model, NAG_ON), *conditions), guided)

    everything = nag(with_lora(PACKED), NAG_ON)
    first, *conditions = apply(everything)
    before = sampled(*apply(cached(everything)), 6)
    results[f"{variant} all: order"] = distance(sampled(cached(first), *conditions, 6), before)
    results[f"{variant} all: skips"] = distance(before, sampled(first, *conditions, 6))
    results[f"{variant} all: as unpacked"] = distance(
        sampled(*apply(nag(with_lora(PLAIN), NAG_ON))), sampled(first, *conditions)
    )


with torch.inference_mode():
    torch.set_num_threads(1)
    GENERATOR = torch.Generator().manual_seed(0)
    PROMPT, NOTHING = prompt(1), prompt(2)
    PLAIN = comfy.sd.load_diffusion_model(f"{FOLDER}/diffusion_models/tiny_unpacked.safetensors")
    PACKED = core_nodes.NODE_CLASS_MAPPINGS["UnetLoaderGGUF"]().load_unet("tiny.gguf")[0]
    for key in ("vae", "text_encoders"):
        folder_paths.add_model_folder_path(key, f"{FOLDER}/{key}")
    VAE = wan_loaders.LoadWanVAE.execute("tiny_vae.safetensors").result[0]
    CLIP = wan_loaders.LoadWanText.execute("tiny_umt5.safetensors", "float32").result[0]
    LORA = comfy.utils.load_torch_file(f"{FOLDER}/loras/wan.safetensors", safe_load=True)
    BASE = {"plain": sampled(PLAIN, PROMPT, NOTHING), "packed": sampled(PACKED, PROMPT, NOTHING)}
    results["GGUF: packed layers"] = sum(
        type(parameter).__name__ == "GGMLTensor" or hasattr(parameter, "tensor_type")
        for parameter in PACKED.model.parameters()
    )
    results["GGUF: as unpacked"] = distance(BASE["packed"], BASE["plain"])
    OURS = host.load_wan(Path(FOLDER) / "diffusion_models" / "tiny_unpacked.safetensors", "default")
    BASE["ours"] = sampled(OURS, PROMPT, NOTHING)
    # without guidance: core runs both prompts in one batch, of which NAG changes one; ours runs each alone
    alone = [sampled(nag(model, NAG_ON), PROMPT, NOTHING, cfg=1.0) for model in (OURS, PLAIN)]
    results["NAG: ours/core"] = distance(*alone)
    results["NAG: left on ours"] = float((sampled(OURS, PROMPT, NOTHING) - BASE["ours"]).abs().max())
    for kind in ("full", "lite"):
        try_variant(kind)
sys.stdout.write(json.dumps(results) + "\n")
