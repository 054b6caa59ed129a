"""Run by ComfyUI's Python, without a server: Lynx, Phantom and Bernini-R on the pack's Wan MODEL and on ComfyUI's own.

    python comfy_identity.py COMFYUI PACK FOLDER

FOLDER holds what `tiny_wan` and `tiny_adapter` write. Prints one line of JSON: distances relative to the plain result,
and what errors say.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import sys
import weakref
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
from comfy_extras import nodes_custom_sampler, nodes_easycache, nodes_wan  # noqa: E402
from torch import Tensor  # noqa: E402

import nodes as core_nodes  # noqa: E402

folder_paths.models_dir = FOLDER
spec = importlib.util.spec_from_file_location(
    "pack", f"{PACK}/__init__.py", submodule_search_locations=[PACK]
)
assert spec is not None and spec.loader is not None
sys.modules["pack"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["pack"])
from pack.nodes import (  # noqa: E402
    bernini,
    characters,
    encoders,
    faces,
    host,
    identity,
    lynx,
    recipe_guiders,
    regions,
    strength,
    wan_loaders,
    weigh,
)
from pack.wan_core.identity.lynx import LynxAdapter  # noqa: E402

STEPS, CFG, SIZE = 3, 3.0, (1, 16, 3, 8, 8)
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


def sampled(model: Any, positive: Any, negative: Any, steps: int = STEPS) -> Tensor:
    """Core's KSampler."""
    latent = {"samples": torch.zeros(SIZE)}
    made = core_nodes.KSampler().sample(
        model, 1, steps, CFG, "euler", "simple", positive, negative, latent, 1.0
    )
    return made[0]["samples"]


def guided(guider: Any) -> Tensor:
    """Core's SamplerCustomAdvanced."""
    (sigmas,) = values(nodes_custom_sampler.BasicScheduler.execute(CORE, "simple", STEPS, 1.0))
    (noise,) = values(nodes_custom_sampler.RandomNoise.execute(1))
    (solver,) = values(nodes_custom_sampler.KSamplerSelect.execute("euler"))
    latent = {"samples": torch.zeros(SIZE)}
    made = nodes_custom_sampler.SamplerCustomAdvanced.execute(noise, guider, solver, sigmas, latent)
    return values(made)[0]["samples"]


def apply(
    model: Any, face: Any, scales: tuple[float, float] = (1.0, 1.0), shape: Any = None, region: Any = None
) -> tuple[Any, Any, Any, str]:
    """Apply Identity with everything that full needs."""
    made = identity.ApplyIdentity.execute(model, PROMPT, NOTHING, face, *scales, 5, VAE, CLIP, shape, region)
    return values(made)  # type: ignore[return-value]


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


class Around:
    """As a node would replace an attention: computes the same, and does not ask what was there."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def __call__(self, x: Tensor, context: Tensor, **_: Any) -> Tensor:
        from comfy.ldm.modules.attention import optimized_attention

        own = self.module
        query, key = own.norm_q(own.q(x)), own.norm_k(own.k(context))
        return own.o(optimized_attention(query, key, own.v(context), heads=own.num_heads))


class Sealed(torch.nn.Module):
    """A linear layer whose weight nobody can read, as a GGUF loader's."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.call = [inner]

    def forward(self, x: Tensor) -> Tensor:
        return self.call[0](x)


def replaced(model: Any) -> Any:
    """A clone whose cross-attention another node has replaced."""
    result = model.clone()
    for index, block in enumerate(result.model.diffusion_model.blocks):
        result.add_object_patch(
            f"diffusion_model.blocks.{index}.cross_attn.forward", Around(block.cross_attn)
        )
    return result


def both(name: str, run: Callable[[Any], Tensor]) -> Tensor:
    """The same on both MODELs: their distance, and how far it is from the plain result."""
    ours, core = run(OURS), run(CORE)
    results[f"{name}: ours/core"] = distance(ours, core)
    results[f"{name}: effect"] = distance(core, PLAIN)
    return core


def try_lynx(variant: str) -> None:
    """All that is asked of one variant."""
    files, _ = values(faces.LoadIdentityAdapter.execute(f"lynx_{variant}", "arcface.safetensors"))
    face, _, _ = values(
        faces.EncodeFace.execute(
            files, torch.rand(1, 150, 150, 3, generator=GENERATOR), "aligned", "fictional"
        )
    )

    blank = torch.zeros(1, 8, 8, 3)
    results[f"{variant} in nano's encoder"] = error(
        lambda: encoders.EncodeIdentity.execute(files, blank, "whole")
    )
    results[f"{variant} in nano's character"] = error(
        lambda: characters.Character.execute("character1", "own", face)
    )

    def lora(model: Any) -> Any:
        return comfy.sd.load_lora_for_models(model, None, LORA, 0.8, 0.0)[0]

    alive: list[weakref.ref[Any]] = []
    load = lynx.load_lynx

    def remember(*arguments: Any, **options: Any) -> LynxAdapter:
        adapter = load(*arguments, **options)
        alive.append(weakref.ref(adapter))
        return adapter

    lynx.load_lynx = remember
    *_, results[f"{variant}: notes"] = apply(OURS, face)
    lynx.load_lynx = load
    gc.collect()
    results[f"{variant}: adapters left"] = sum(one() is not None for one in alive)

    plain = both(f"{variant}", lambda model: sampled(*apply(model, face)[:3]))
    both(f"{variant} guided", lambda model: guided(values(recipe_guiders.LynxGuider.execute(
        *apply(model, face)[:3], 5.0, 2.0))[0]))  # fmt: skip
    with_lora = both(f"{variant} LoRA", lambda model: sampled(*apply(lora(model), face)[:3]))
    results[f"{variant} LoRA: changes"] = distance(with_lora, plain)
    (shape, _) = values(strength.IdentityStrength.execute("slider", -0.7, 1.0, 0.95, 0.1, "", "0:1, 1:0.5"))
    shaped = both(f"{variant} shaped", lambda model: sampled(*apply(model, face, shape=shape)[:3]))
    results[f"{variant} shaped: changes"] = distance(shaped, plain)
    left = values(regions.IdentityRegion.execute(0.0, 0.0, 0.5, 1.0, 0.0, 0.7))[0]
    both(f"{variant} region", lambda model: sampled(*apply(model, face, region=left)[:3]))
    everywhere = values(regions.IdentityRegion.execute(0.0, 0.0, 1.0, 1.0, 0.0, 1.0))[0]
    results[f"{variant} region: everywhere"] = distance(
        sampled(*apply(CORE, face, region=everywhere)[:3]), plain
    )
    right = values(regions.IdentityRegion.execute(0.5, 0.0, 1.0, 1.0, 0.0, 1.0))[0]
    whole_left = values(regions.IdentityRegion.execute(0.0, 0.0, 0.5, 1.0, 0.0, 1.0))[0]
    stacked = apply(apply(CORE, face, region=whole_left)[0], face, region=right)
    results[f"{variant} region: halves"] = distance(sampled(*stacked[:3]), plain)
    for name, model in (("ours", OURS), ("core", CORE)):
        off = apply(model, face, (0.0, 0.0))
        results[f"{variant}: off on {name}"] = off[0] is model and off[1] is PROMPT and off[2] is NOTHING
        results[f"{variant}: left on {name}"] = float(
            (sampled(model, PROMPT, NOTHING) - BASE[name]).abs().max()
        )

    def cached(model: Any) -> Any:
        return values(nodes_easycache.EasyCacheNode.execute(model, 3.0, 0.0, 1.0, False))[0]

    def after(model: Any) -> Tensor:
        changed, *conditions = apply(model, face)[:3]
        return sampled(cached(changed), *conditions, 6)

    first = both(f"{variant} EasyCache", after)
    results[f"{variant} EasyCache: order"] = distance(sampled(*apply(cached(CORE), face)[:3], 6), first)
    results[f"{variant} EasyCache: changes"] = distance(first, sampled(*apply(CORE, face)[:3], 6))
    results[f"{variant} replaced before"] = distance(sampled(*apply(replaced(CORE), face)[:3]), plain)
    model, positive, negative, _ = apply(CORE, face)
    results[f"{variant} replaced after"] = error(lambda: sampled(replaced(model), positive, negative))
    results[f"{variant} unmarked"] = error(lambda: sampled(model, positive, NOTHING))
    results[f"{variant} LoRA after"] = error(lambda: sampled(lora(model), positive, negative))
    outputs = [block.cross_attn for block in CORE.model.diffusion_model.blocks]
    kept = [attention.o for attention in outputs]
    for attention in outputs:
        attention.o = Sealed(attention.o)
    results[f"{variant} sealed"] = distance(sampled(*apply(CORE, face)[:3]), plain)
    for attention, inner in zip(outputs, kept, strict=True):
        attention.o = inner
    other = host.manage(torch.nn.Linear(1, 1))
    other.model.diffusion_model = torch.nn.Linear(1, 1)
    results[f"{variant} no blocks"] = error(lambda: apply(other, face))


def try_weights(given: Any) -> None:
    """References that count as trained, more, and not at all."""
    shape = strength.IdentityStrength.execute

    def weighed(model: Any, scale: float) -> Any:
        made = values(shape("as trained", 0.0, scale, 1.0, 0.0, "", ""))[0]
        return values(weigh.WeighReferences.execute(model, made))[0]

    as_trained = sampled(OURS, given[0], given[1])
    results["weights: 1"] = float((sampled(weighed(OURS, 1.0), given[0], given[1]) - as_trained).abs().max())
    results["weights: 2"] = distance(sampled(weighed(OURS, 2.0), given[0], given[1]), as_trained)
    results["weights: 0"] = distance(sampled(weighed(OURS, 0.0), given[0], given[1]), BASE["ours"])
    results["weights: references"] = distance(as_trained, BASE["ours"])
    results["weights: core"] = error(lambda: weighed(CORE, 2.0))


def try_streams() -> None:
    """Phantom's and Bernini-R's guiders over what core's nodes put in."""
    pictures = torch.rand(2, 64, 64, 3, generator=GENERATOR)
    given = values(nodes_wan.WanPhantomSubjectToVideo.execute(PROMPT, NOTHING, VAE, 64, 64, 9, 1, pictures))[
        :3
    ]
    phantom = recipe_guiders.PhantomGuider.execute
    core = both("phantom", lambda model: guided(values(phantom(model, *given, 7.5, 5.0, "own"))[0]))
    results["phantom: no consent"] = error(lambda: phantom(CORE, *given, 7.5, 5.0))
    dual = nodes_custom_sampler.DualCFGGuider.execute(CORE, given[0], given[1], given[2], 7.5, 5.0, "regular")
    results["phantom: as DualCFGGuider"] = distance(guided(values(dual)[0]), core)
    is_known = importlib.util.find_spec("comfy_extras.nodes_bernini") is not None
    results["bernini: core knows streams"] = is_known
    try_weights(given)
    clip, photo = (numbers(seed, 1, 16, frames, 8, 6) for seed, frames in ((8, 3), (9, 1)))
    make = bernini.BerniniGuider.execute
    for name, streams in {"pictures": [photo, photo * 0.5], "mixed": [clip, photo], "videos": [clip]}.items():
        marked = [[[text[0][0], {"context_latents": streams}]] for text in (PROMPT, NOTHING)]
        for size in (bernini.ONE_MODEL, bernini.TWO_EXPERTS):

            def run(model: Any, marked: Any = marked, size: str = size) -> Tensor:
                return guided(values(make(model, *marked, "auto", size, 4.0, 4.5, 1.25, "own"))[0])

            if is_known:
                both(f"bernini {name} {size}", run)
            else:
                results[f"bernini {name} {size}: effect"] = distance(run(OURS), PLAIN)
                results[f"bernini {name} {size}: refused"] = error(lambda run=run: run(CORE))
    marked = [[[text[0][0], {"context_latents": [photo]}]] for text in (PROMPT, NOTHING)]
    results["bernini: no consent"] = error(
        lambda: make(OURS, *marked, "auto", bernini.ONE_MODEL, 4.0, 4.5, 1.25)
    )
    bare = error(
        lambda: bernini.BerniniGuider.execute(CORE, PROMPT, NOTHING, "rv2v", bernini.ONE_MODEL, 4.0, 4.5, 1.0)
    )
    results["bernini: no references"] = bare


with torch.inference_mode():
    torch.set_num_threads(1)
    GENERATOR = torch.Generator().manual_seed(0)
    PROMPT, NOTHING = prompt(1), prompt(2)
    file = Path(FOLDER) / "diffusion_models" / "tiny_t2v.safetensors"
    CORE, OURS = comfy.sd.load_diffusion_model(str(file)), host.load_wan(file, "default")
    for key in ("vae", "text_encoders"):
        folder_paths.add_model_folder_path(key, f"{FOLDER}/{key}")
    (VAE,) = values(wan_loaders.LoadWanVAE.execute("tiny_vae.safetensors"))
    (CLIP,) = values(wan_loaders.LoadWanText.execute("tiny_umt5.safetensors", "float32"))
    LORA = comfy.utils.load_torch_file(f"{FOLDER}/loras/wan.safetensors", safe_load=True)
    BASE = {"ours": sampled(OURS, PROMPT, NOTHING), "core": sampled(CORE, PROMPT, NOTHING)}
    PLAIN = BASE["core"]
    results["plain: ours/core"] = distance(BASE["ours"], PLAIN)
    for kind in ("full", "lite"):
        try_lynx(kind)
    try_streams()
sys.stdout.write(json.dumps(results) + "\n")
