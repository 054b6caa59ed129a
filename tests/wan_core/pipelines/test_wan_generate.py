"""Sampling of every family equals the official procedure, written out plainly, on the same tiny weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_dit import relative_error
from torch import Tensor
from wan_release import CONFIGS, write_release

from wan_core import generate_wan, load_dit, load_text_encoder, load_vae
from wan_core.checkpoints.clip_image import load_clip_image
from wan_core.errors import WanCoreError
from wan_core.pipelines.generate import Progress
from wan_core.pipelines.wan_files import WanFiles, find_model
from wan_core.pipelines.wan_generate import TEXT_DTYPE, encode_wan, sample_seeds, sample_wan
from wan_core.pipelines.wan_plan import WanOptions, WanPlan, plan_wan
from wan_core.pipelines.wan_request import WanRequest
from wan_core.pipelines.wan_transformer import WanTransformers
from wan_core.sampling.sigmas import wan_sigmas, wan_timesteps
from wan_core.sampling.solvers import UniPC

STEPS, SEED, FRAMES, SIZE = 3, 5, 5, (64, 64)


def photo(shift: int) -> Tensor:
    rows = torch.arange(64)[:, None, None] * 3 + torch.arange(64)[None, :, None]
    return ((rows + shift * torch.arange(3)) % 256).to(torch.uint8)


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("releases")
    return {name: write_release(folder / name, name) for name in CONFIGS}


def make_plan(name: str, folder: Path, options: WanOptions | None = None) -> WanPlan:
    first = photo(10) if name not in ("t2v", "t2v_a14b") else None
    last = photo(40) if name == "flf2v" else None
    request = WanRequest(
        prompt="a cat", first_frame=first, last_frame=last, size=SIZE, frames=FRAMES, seed=SEED, steps=STEPS
    )
    return plan_wan(request, WanFiles(model=folder), options)


@torch.no_grad()
def official(plan: WanPlan, folder: Path) -> Tensor:
    """The loop of wan/text2video.py, image2video.py and textimage2video.py, without any of this project's shortcuts."""
    family, request = plan.model.family, plan.request
    encoder = load_text_encoder(
        folder / "models_t5_umt5-xxl-enc-bf16.pth", dtype=TEXT_DTYPE, tokenizer=plan.model.tokenizer
    )
    context, empty = encoder.encode([request.prompt, plan.settings.negative_prompt]).float().split(1)
    vae = load_vae(plan.model.vae)
    experts = [load_dit(each.path) for each in plan.model.transformers]
    cells = SIZE[0] // family.stride
    generator = torch.Generator().manual_seed(SEED)
    latent = torch.randn(family.latent_channels, 2, cells, cells, generator=generator)[None]
    image, extra, clean = None, None, None
    if request.first_frame is not None:
        first = request.first_frame.permute(2, 0, 1).float() / 127.5 - 1
        if family.conditioning == "first_frame":
            clean = vae.encode(first[None, :, None])
        else:
            ends = (
                [first]
                if request.last_frame is None
                else [first, request.last_frame.permute(2, 0, 1) / 127.5 - 1]
            )
            clip = torch.zeros(1, 3, FRAMES, *SIZE)
            mask = torch.zeros(1, 4, 2, cells, cells)
            clip[:, :, 0], mask[:, :, 0] = first, 1
            if len(ends) == 2:
                clip[:, :, -1], mask[:, 3, -1] = ends[1], 1
            extra = torch.cat([mask, vae.encode(clip)], dim=1)
            if plan.model.clip_vision is not None:
                image = load_clip_image(plan.model.clip_vision).encode(ends)
    sigmas = wan_sigmas(STEPS, plan.settings.shift)
    run = UniPC().start(sigmas)
    if clean is not None:
        latent[:, :, :1] = clean
    for index, t in enumerate(wan_timesteps(STEPS, plan.settings.shift)[:-1]):
        is_low = family.boundary is not None and float(t) < family.boundary * 1000
        model = experts[1 if is_low else 0]
        scale = plan.settings.guidance[0 if is_low or family.boundary is None else 1]
        seen = latent if extra is None else torch.cat([latent, extra], dim=1)
        shown = t[None] if clean is None else torch.stack([torch.zeros(()), t])[None]
        positive, negative = (model(seen, shown, c, image_embeds=image) for c in (context, empty))
        latent = run.step(negative + scale * (positive - negative), latent, index)
        if clean is not None:
            latent[:, :, :1] = clean
    return latent


@pytest.mark.parametrize("name", list(CONFIGS))
def test_equals_the_official_procedure(name: str, releases: dict[str, Path]) -> None:
    plan = make_plan(name, releases[name])
    stages: list[str] = []
    found, notes = sample_wan(plan, lambda progress: stages.append(f"{progress.stage} {progress.done}"))
    assert stages == ["encode 0", "encode 1", "sample 1", "sample 2", "sample 3"]
    assert notes == ()
    assert relative_error(found, official(plan, releases[name])) < 2e-4


def test_only_one_expert_is_in_memory(releases: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """When the second one is loaded the first is gone; each is loaded once."""
    alive: list[tuple[str, bool]] = []
    load = WanTransformers.load

    def watched(self: WanTransformers, expert: str) -> object:
        alive.append((expert, self.network() is not None))
        return load(self, expert)  # type: ignore[arg-type]

    monkeypatch.setattr(WanTransformers, "load", watched)
    sample_wan(make_plan("t2v_a14b", releases["t2v_a14b"]))
    assert alive == [("high", False), ("low", False)]


def test_experts_are_loaded_once_for_all_seeds(
    releases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan("t2v_a14b", releases["t2v_a14b"])
    loaded: list[str] = []
    load = WanTransformers.load

    def watched(self: WanTransformers, expert: str) -> object:
        loaded.append(expert)
        return load(self, expert)  # type: ignore[arg-type]

    monkeypatch.setattr(WanTransformers, "load", watched)
    found = list(sample_seeds(plan, encode_wan(plan), [SEED + 1, SEED]))
    assert loaded == ["high", "low"]
    assert torch.equal(found[1], sample_wan(plan)[0]) and not torch.equal(found[0], found[1])


def test_lora_for_one_expert_or_both(releases: dict[str, Path], tmp_path: Path) -> None:
    from wan_core.checkpoints.lora import Lora

    lora = (Lora(tmp_path / "a.safetensors"),)
    files = WanFiles(model=releases["t2v_a14b"])
    for field, expected in (("loras", (1, 1)), ("loras_high", (1, 0)), ("loras_low", (0, 1))):
        found = find_model(replace(files, **{field: lora}))
        assert tuple(len(each.loras) for each in found.transformers) == expected


def test_safe_repeats_a_step_in_float32_with_blocks_on_the_way(
    releases: dict[str, Path], tmp_path: Path
) -> None:
    """A weight that overflows float16: without `safe` the block is named, with it the clip is made, streamed too."""
    folder = releases["t2v"]
    state = load_file(folder / "diffusion_pytorch_model.safetensors")
    state["blocks.1.ffn.0.weight"] *= 30_000.0
    state["blocks.1.ffn.0.bias"] *= 0.0
    state["blocks.1.ffn.2.weight"] /= 30_000.0
    save_file(state, tmp_path / "large.safetensors")
    plan = make_plan("t2v", folder, WanOptions(dtype=torch.float16))
    large = replace(plan.model.transformers[0], path=tmp_path / "large.safetensors")
    plan = replace(plan, model=replace(plan.model, transformers=(large,)))
    with pytest.raises(WanCoreError, match=r"blocks\.1"):
        sample_wan(plan)
    expected, _ = sample_wan(replace(plan, options=WanOptions(dtype=torch.float32)))
    safe = replace(plan, options=WanOptions(dtype=torch.float16, safe=True))
    for resident in (None, 1):
        found, _ = sample_wan(replace(safe, memory=replace(plan.memory, resident=resident)))
        assert relative_error(found, expected) < 0.05


def test_clip_in_memory(releases: dict[str, Path]) -> None:
    stages: list[Progress] = []
    request = WanRequest(prompt="a cat", size=SIZE, frames=FRAMES, steps=1, guidance=(1.0, 1.0))
    result = generate_wan(request, WanFiles(model=releases["t2v"]), progress=stages.append)
    assert result.video.shape == (1, 3, FRAMES, 64, 64) and result.fps == 16
    assert result.video.abs().max() <= 1
    assert (stages[-1].stage, stages[-1].done, stages[-1].total) == ("decode", 2, 2)


def test_without_guidance_a_step_is_one_evaluation(
    releases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from wan_core.dit.model import WanModel

    calls: list[int] = []
    forward = WanModel.forward

    def counted(self: WanModel, *args: object, **kwargs: object) -> Tensor:
        calls.append(1)
        return forward(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(WanModel, "forward", counted)
    plan = make_plan("t2v", releases["t2v"])
    for guidance, evaluations in (((1.0, 1.0), STEPS), ((5.0, 5.0), 2 * STEPS)):
        calls.clear()
        sample_wan(replace(plan, settings=replace(plan.settings, guidance=guidance)))
        assert len(calls) == evaluations


def test_a_diffusers_folder(releases: dict[str, Path], tmp_path: Path) -> None:
    """Parts of a pipeline folder are found by its sub-folders; parts that are named win."""
    for part in ("transformer", "transformer_2", "vae", "text_encoder", "tokenizer"):
        (tmp_path / part).mkdir()
    (tmp_path / "model_index.json").write_text("{}")
    from wan_core.pipelines.wan_files import complete

    found = complete(WanFiles(model=tmp_path, vae=Path("mine.safetensors")))
    assert (found.model, found.model_low) == (tmp_path / "transformer", tmp_path / "transformer_2")
    assert (found.vae, found.text_encoder) == (Path("mine.safetensors"), tmp_path / "text_encoder")
    assert (found.tokenizer, found.clip_vision) == (tmp_path / "tokenizer", None)
