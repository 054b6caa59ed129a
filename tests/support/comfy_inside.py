"""Run by ComfyUI's Python, without a server: what a MODEL of the pack does when its weights do not all fit.

    python comfy_inside.py COMFYUI PACK FOLDER

FOLDER holds what `tiny_wan` writes, and tiny_t2v.gguf. Prints one line of JSON.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

COMFYUI, PACK, FOLDER = sys.argv[1:4]
SMALL = 150_000


def main() -> None:
    sys.path.insert(0, COMFYUI)
    sys.argv = ["main.py", "--cpu"]
    import comfy.options

    comfy.options.enable_args_parsing()
    import comfy.sd
    import comfy.utils
    import torch

    torch.set_num_threads(1)
    spec = importlib.util.spec_from_file_location(
        "pack", f"{PACK}/__init__.py", submodule_search_locations=[PACK]
    )
    assert spec is not None and spec.loader is not None
    sys.modules["pack"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["pack"])
    from pack.nodes import host

    generator = torch.Generator().manual_seed(0)
    context = torch.randn(1, 64, 4096, generator=generator) * 0.2
    context[:, 9:] = 0
    x = torch.randn(1, 16, 3, 8, 8, generator=generator)
    lora = comfy.utils.load_torch_file(f"{FOLDER}/loras/wan.safetensors", safe_load=True)
    models = {
        "core": comfy.sd.load_diffusion_model(f"{FOLDER}/diffusion_models/tiny_t2v.safetensors"),
        "whole": host.load_wan(Path(FOLDER) / "diffusion_models" / "tiny_t2v.safetensors", "default"),
        "packed": host.load_wan(Path(FOLDER) / "diffusion_models" / "tiny_t2v.gguf", "default"),
    }

    def forward(patcher: Any, memory: int) -> torch.Tensor:
        """Load with at most `memory` bytes of weights (0: all of them), compute, and take the patches off again."""
        patcher.patch_model(torch.device("cpu"), lowvram_model_memory=memory)
        assert patcher.model.model_lowvram == (memory > 0), "the load was to be a partial one"
        denoised = patcher.model.apply_model(x, torch.tensor([0.7]), c_crossattn=context)
        patcher.unpatch_model(torch.device("cpu"))
        return denoised

    results: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        for name, model in models.items():
            patched, _ = comfy.sd.load_lora_for_models(model, None, lora, 0.8, 0.0)
            results[f"{name}"] = forward(model.clone(), 0)
            results[f"{name}_partial"] = forward(model.clone(), SMALL)
            results[f"{name}_lora"] = forward(patched, 0)
            results[f"{name}_lora_partial"] = forward(patched.clone(), SMALL)
            results[f"{name}_after"] = forward(model.clone(), 0)
    reference = results["core"].norm()
    distances = {
        f"{first}/{second}": float((results[first] - results[second]).norm() / reference)
        for first in results
        for second in results
    }
    distances["text embeddings in a run"] = count_text_embeddings(models["whole"], context)
    distances["blocks before an interruption"] = count_blocks(models["whole"], x, context)
    sys.stdout.write(json.dumps(distances) + "\n")


def count_text_embeddings(patcher: Any, context: Any) -> int:
    """How often a run of four steps with guidance reads the prompts."""
    import torch

    import nodes

    calls: list[int] = []
    layer = patcher.model.diffusion_model.text_embedding
    handle = layer.register_forward_hook(lambda *_: calls.append(1))
    latent = {"samples": torch.zeros(1, 16, 2, 8, 8)}
    positive, negative = [[context, {}]], [[context * 0.5, {}]]
    with torch.inference_mode():
        nodes.KSampler().sample(patcher, 1, 4, 3.0, "euler", "simple", positive, negative, latent)
    handle.remove()
    return len(calls)


def count_blocks(patcher: Any, x: Any, context: Any) -> int:
    """How many blocks a forward computes when Interrupt is pressed during the first of them."""
    import comfy.model_management
    import torch

    calls: list[int] = []

    def press(*_: Any) -> None:
        calls.append(1)
        comfy.model_management.interrupt_current_processing(True)

    handles = [block.ffn.register_forward_hook(press) for block in patcher.model.diffusion_model.blocks]
    patcher.patch_model(torch.device("cpu"))
    try:
        patcher.model.apply_model(x, torch.tensor([0.7]), c_crossattn=context)
    except comfy.model_management.InterruptProcessingException:
        return len(calls)
    finally:
        for handle in handles:
            handle.remove()
    return -1


main()
