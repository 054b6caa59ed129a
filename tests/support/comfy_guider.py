"""Run by ComfyUI's Python, without a server: guidance chains in core's samplers, against the engine's own loop.

    python comfy_guider.py COMFYUI PACK FOLDER

FOLDER holds what `tiny_wan` writes. Prints one line of JSON: relative distances, and how often the model ran.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

COMFYUI, PACK, FOLDER = sys.argv[1:4]
STEPS, SIZE = 4, (1, 16, 3, 8, 8)


def main() -> None:
    sys.path.insert(0, COMFYUI)
    sys.argv = ["main.py", "--cpu"]
    import comfy.options

    comfy.options.enable_args_parsing()
    import comfy.samplers
    import torch
    from torch import Tensor

    torch.set_num_threads(1)
    spec = importlib.util.spec_from_file_location(
        "pack", f"{PACK}/__init__.py", submodule_search_locations=[PACK]
    )
    assert spec is not None and spec.loader is not None
    sys.modules["pack"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["pack"])
    from pack.nodes import host
    from pack.wan_core.sampling import AVSigmas, GuidanceChain, GuidanceTerm, sample
    from pack.wan_core.sampling.guidance_rules import Projected, StepWindow, ZeroStar
    from pack.wan_core.types import AVLatents

    model = host.load_wan(Path(FOLDER) / "diffusion_models" / "tiny_t2v.safetensors", "default")
    generator = torch.Generator().manual_seed(0)
    contexts = {name: torch.randn(1, 64, 4096, generator=generator) * 0.2 for name in ("no", "yes")}
    noise = torch.randn(SIZE, generator=generator)
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "simple", STEPS)
    scales = (4.0, 2.0, 5.0, 3.0)
    projected = Projected(eta=0.3, norm_threshold=20.0, momentum=-0.5)
    choices: dict[str, dict[str, Any]] = {
        "plain": {},
        "window": {"window": StepWindow(first=1, stop=3)},
        "zero star": {"rule": ZeroStar(zero_steps=1)},
        "projected": {"rule": projected},
        "projected, base": {"rule": Projected(form="base", space="clean", momentum=-0.5)},
    }
    calls: list[str] = []

    def chain_of(choice: dict[str, Any]) -> Any:
        return GuidanceChain("no", [GuidanceTerm(condition="yes", video=scales)], **choice)

    def guided(choice: dict[str, Any], solver: str) -> Tensor:
        guider = host.ChainGuider(model)
        guider.set_chain(chain_of(choice), {name: [[context, {}]] for name, context in contexts.items()})
        calls.clear()
        sampler = comfy.samplers.sampler_object(solver)
        return guider.sample(noise, torch.zeros(SIZE), sampler, sigmas, disable_pbar=True, seed=0)

    def velocity(latents: AVLatents, timesteps: Any, name: str) -> AVLatents:
        x, sigma = latents.video, timesteps.video / 1000
        clean = model.model.apply_model(x, sigma, c_crossattn=contexts[name])
        return AVLatents((x - clean) / sigma.view(-1, 1, 1, 1, 1), None)

    def distance(first: Tensor, second: Tensor) -> float:
        assert first.isfinite().all() and float(first.std()) > 0.1
        return float((first - second).norm() / second.norm())

    results: dict[str, Any] = {}
    original = comfy.samplers.calc_cond_batch

    def counted(inner: Any, conds: Any, *rest: Any) -> Any:
        calls.append(str(len(conds)))
        return original(inner, conds, *rest)

    comfy.samplers.calc_cond_batch = counted
    made: dict[str, Tensor] = {}
    with torch.inference_mode():
        for name, choice in choices.items():
            made[name] = guided(choice, "euler")
            results[f"{name}: evaluations"] = "".join(calls)
            plan = AVSigmas(sigmas.cpu(), None)
            expected = sample(velocity, AVLatents(noise, None), plan, chain_of(choice)).video
            results[name] = distance(made[name], model.model.process_latent_out(expected))
            results[f"{name}: effect"] = distance(made[name], made["plain"]) if name != "plain" else 1.0
        # A sampler that looks twice in a step: remembering must not count its second look as a step.
        heun = guided({"rule": projected}, "heun")
        results["heun: evaluations"] = "".join(calls)
        results["heun: repeatable"] = distance(heun, guided({"rule": projected}, "heun"))
    print(json.dumps(results))  # noqa: T201


if __name__ == "__main__":
    main()
