"""Phantom and Bernini-R: runs equal the official procedures, written out plainly, on the same weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_dit import relative_error
from torch import Tensor
from wan_release import write_release

from wan_core import load_dit, load_text_encoder, load_vae
from wan_core.errors import CheckpointMismatchError, InputError
from wan_core.identity.recipes import BERNINI_PREFIXES
from wan_core.identity.strength import Strength
from wan_core.pipelines.request import Character
from wan_core.pipelines.wan_family import T2V
from wan_core.pipelines.wan_files import WanFiles
from wan_core.pipelines.wan_generate import TEXT_DTYPE, sample_wan
from wan_core.pipelines.wan_methods import family_of_method
from wan_core.pipelines.wan_plan import WanPlan, plan_wan
from wan_core.pipelines.wan_request import WanRequest
from wan_core.sampling.noise import draw_noise, make_generator
from wan_core.sampling.sigmas import wan_sigmas, wan_timesteps
from wan_core.sampling.solvers import UniPC
from wan_core.types import TokenStream

LIMIT, STEPS, SEED, FRAMES, SIZE = 2e-4, 2, 5, 5, (64, 64)


def picture(shift: int, height: int = 40, width: int = 64) -> Tensor:
    rows = torch.arange(height)[:, None, None] * 3 + torch.arange(width)[None, :, None]
    return ((rows + shift * torch.arange(1, 4)) % 256).to(torch.uint8)


def person(number: int, **fields: tuple[Tensor, ...]) -> Character:
    return Character(name=f"character{number}", **(fields or {"photos": (picture(number),)}))


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("releases")
    return {name: write_release(folder / name, name) for name in ("t2v", "t2v_a14b")}


def make_plan(folder: Path, method: str | None, *characters: Character, **changes: object) -> WanPlan:
    names = " and ".join(own.name for own in characters) or "a cat"
    fields = {"prompt": f"{names} wave", "size": SIZE, "frames": FRAMES, "seed": SEED, "steps": STEPS}
    request = WanRequest(characters=characters, **(fields | changes))  # type: ignore[arg-type]
    return plan_wan(request, WanFiles(model=folder, method=method))  # type: ignore[arg-type]


def contexts(folder: Path, plan: WanPlan, prompt: str) -> tuple[Tensor, ...]:
    encoder = load_text_encoder(
        folder / "models_t5_umt5-xxl-enc-bf16.pth", dtype=TEXT_DTYPE, tokenizer=plan.model.tokenizer
    )
    return encoder.encode([prompt, plan.settings.negative_prompt]).float().split(1)


def pixels(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None, :, None].float() / 127.5 - 1


def resized(image: Tensor) -> np.ndarray:
    """40 x 64 to Bernini-R's grid."""
    return np.asarray(Image.fromarray(image.numpy()).resize((64, 32), Image.Resampling.LANCZOS))


@torch.no_grad()
def test_phantom_equals_the_official_procedure(releases: dict[str, Path]) -> None:
    folder = releases["t2v"]
    plan = make_plan(folder, "phantom", person(1), person(2))
    assert (plan.model.family.name, plan.settings.shift) == ("Phantom-Wan-1.3B", 5.0)
    found, notes = sample_wan(plan)
    assert notes == ()
    text, negative = contexts(folder, plan, "The first person and the second person wave")
    vae, model = load_vae(plan.model.vae), load_dit(plan.model.transformers[0].path)
    white = []
    for shift in (1, 2):
        page = np.full((64, 64, 3), 255, np.uint8)
        page[12:52] = picture(shift).numpy()
        white.append(vae.encode(pixels(page)))
    subjects = torch.cat(white, dim=2)
    latents = draw_noise(plan.latent_shape, make_generator(SEED))
    run = UniPC().start(wan_sigmas(STEPS, 5.0))
    for index, t in enumerate(wan_timesteps(STEPS, 5.0)[:-1]):

        def seen(references: Tensor, context: Tensor, t: Tensor = t, own: Tensor = latents) -> Tensor:
            return model(torch.cat((own, references), dim=2), t[None], context)[:, :, :2]

        both, image = seen(subjects, text), seen(subjects, negative)
        none = seen(torch.zeros_like(subjects), negative)
        latents = run.step(none + 5.0 * (image - none) + 7.5 * (both - image), latents, index)
    assert relative_error(found, latents) < LIMIT


def normalised(difference: Tensor, along: Tensor) -> Tensor:
    """Adaptive projected guidance of Bernini-R: norms of each latent frame, half of the parallel part."""
    norm = torch.linalg.vector_norm(difference, dim=(1, 3, 4), keepdim=True)
    difference = difference * torch.minimum(torch.ones_like(norm), 50.0 / norm)
    unit = along / torch.linalg.vector_norm(along, dim=(1, 3, 4), keepdim=True)
    parallel = (difference * unit).sum(dim=(1, 3, 4), keepdim=True) * unit
    return difference - parallel + 0.5 * parallel


@pytest.mark.parametrize("name", ["t2v", "t2v_a14b"])
@torch.no_grad()
def test_bernini_pictures_equal_the_official_procedure(name: str, releases: dict[str, Path]) -> None:
    folder = releases[name]
    plan = make_plan(folder, "bernini", person(1), person(2), steps=3)
    found, _ = sample_wan(plan)
    prompt = BERNINI_PREFIXES["r2v"] + "The person in image 1 and the person in image 2 wave"
    text, negative = contexts(folder, plan, prompt)
    vae = load_vae(plan.model.vae)
    experts = [load_dit(each.path) for each in plan.model.transformers]
    streams = tuple(
        TokenStream(latents=vae.encode(pixels(resized(picture(n)))), source=n, timestep=None) for n in (1, 2)
    )
    sigmas, shown = wan_sigmas(3, 3.0), wan_timesteps(3, 3.0)
    latents = draw_noise(plan.latent_shape, make_generator(SEED))
    run = UniPC().start(sigmas)
    for index, t in enumerate(shown[:-1]):
        is_low = float(t) < 875 and len(experts) == 2
        model, factor = experts[1 if is_low else 0], 0.8 if is_low else 1.0
        u = model(latents, t[None], negative)
        i = model(latents, t[None], negative, streams=streams)
        ti = model(latents, t[None], text, streams=streams)
        sigma = sigmas[index].double()
        x_u, x_i, x_ti = (latents.double() - sigma * own.double() for own in (u, i, ti))
        x = x_u + factor * (4.5 * normalised(x_i - x_u, x_i) + 4.0 * normalised(x_ti - x_i, x_ti))
        latents = run.step(((latents.double() - x) / sigma).float(), latents, index)
    assert [float(t) < 875 for t in shown[:-1]] == [False, True, True]
    assert relative_error(found, latents) < LIMIT


@torch.no_grad()
def test_bernini_video_and_picture(releases: dict[str, Path]) -> None:
    """A video is cut to the clip; the chain of four evaluations."""
    folder = releases["t2v"]
    video = torch.stack([picture(n, 32, 48) for n in range(7)])
    plan = make_plan(folder, "bernini", person(1, videos=(video,)), person(2), steps=1)
    found, notes = sample_wan(plan)
    assert notes == ("character1: the first 5 of 7 frames of the video are used.",)
    prompt = BERNINI_PREFIXES["rv2v"] + "The person in image 1 and the person in image 2 wave"
    text, negative = contexts(folder, plan, prompt)
    vae, model = load_vae(plan.model.vae), load_dit(plan.model.transformers[0].path)
    clip = torch.cat([pixels(frame.numpy()) for frame in video[:5]], dim=2)
    first = TokenStream(latents=vae.encode(clip), source=1, timestep=None)
    second = TokenStream(latents=vae.encode(pixels(resized(picture(2)))), source=2, timestep=None)
    latents = draw_noise(plan.latent_shape, make_generator(SEED))
    t = wan_timesteps(1, 3.0)[:1]
    u, v = model(latents, t, negative), model(latents, t, negative, streams=(first,))
    vi, vti = (model(latents, t, c, streams=(first, second)) for c in (negative, text))
    guided = u + 1.25 * (v - u) + 4.5 * (vi - v) + 4.0 * (vti - vi)
    expected = UniPC().start(wan_sigmas(1, 3.0)).step(guided, latents, 0)
    assert relative_error(found, expected) < LIMIT


def test_strength_zero_is_the_clip_without_references(releases: dict[str, Path]) -> None:
    off = make_plan(releases["t2v"], "phantom", person(1), strength=Strength(scale=0.0), prompt="a cat")
    assert not off.has_references and off.references.streams == ()
    settings = off.settings
    plain = make_plan(
        releases["t2v"],
        None,
        prompt="a cat",
        shift=settings.shift,
        guidance=settings.guidance,
        negative_prompt=settings.negative_prompt,
    )
    assert torch.equal(sample_wan(off)[0], sample_wan(plain)[0])


def test_guidance_of_one_is_one_evaluation(releases: dict[str, Path]) -> None:
    plan = make_plan(releases["t2v"], "phantom", person(1), guidance=(1.0, 1.0))
    assert plan.settings.reference_guidance == (1.0, 1.0)
    kept = make_plan(releases["t2v"], "phantom", person(1), guidance=(1.0, 1.0), reference_guidance=3.0)
    assert [kept.recipe.scale(i)(0.5) for i in range(2)] == [3.0, 1.0]
    assert [plan.recipe.scale(i)(0.5) for i in range(2)] == [1.0, 1.0]
    both = make_plan(releases["t2v_a14b"], "bernini", person(1), guidance=(2.0, 3.0))
    assert [both.recipe.scale(i)(sigma) for i in range(2) for sigma in (0.5, 0.9)] == [3.6, 4.5, 2.0, 3.0]


def test_tokens_and_pictures_count_in_the_memory_plan(releases: dict[str, Path]) -> None:
    """Phantom at its own size: three subjects are three latent frames of tokens; Bernini's are scaled first."""
    folder = releases["t2v"]
    alone = make_plan(folder, None, size=(832, 480), frames=81)
    three = make_plan(folder, "phantom", person(1), person(2), person(3), size=(832, 480), frames=81)
    assert three.references.streams == ((3, 60, 104),) and three.references.picture == (832, 480)
    works = [{p.name: p.work for p in plan.memory.phases} for plan in (alone, three)]
    ratio = works[1]["transformer"] / works[0]["transformer"]
    assert 1.10 < ratio < 1.16
    assert "VAE encode" in works[1] and "VAE encode" not in works[0]
    large = person(1, photos=(picture(1, 1000, 2000),))
    clip = person(2, videos=(torch.zeros(9, 480, 848, 3, dtype=torch.uint8),))
    bernini = make_plan(folder, "bernini", clip, large)
    assert bernini.references.streams == ((2, 60, 106), (1, 52, 106))
    assert bernini.references.picture == (848, 480)


def test_misfits_are_named(releases: dict[str, Path], tmp_path: Path) -> None:
    t2v = releases["t2v"]
    with pytest.raises(InputError, match="expected none for Wan2.1-T2V-1.3B, which takes no references"):
        make_plan(t2v, None, person(1))
    (tmp_path / "Phantom-Wan").symlink_to(t2v)
    with pytest.raises(InputError, match="The file's name suggests --method phantom"):
        make_plan(tmp_path / "Phantom-Wan", None, person(1))
    with pytest.raises(InputError, match="1 to 4 pictures for Phantom-Wan-1.3B, got 5"):
        make_plan(t2v, "phantom", *(person(n) for n in range(1, 6)))
    with pytest.raises(InputError, match="1 to 4 pictures for Phantom-Wan-1.3B, got 0. Give one"):
        make_plan(t2v, "phantom")
    with pytest.raises(InputError, match="expected photos for Phantom-Wan-1.3B, got a video"):
        make_plan(t2v, "phantom", person(1, videos=(torch.zeros(5, 32, 32, 3, dtype=torch.uint8),)))
    with pytest.raises(InputError, match="expected the files of the adapter for Lynx"):
        make_plan(t2v, "lynx", person(1))
    with pytest.raises(
        CheckpointMismatchError, match="got Wan2.1-T2V-14B in half. Name the low-noise expert"
    ):
        family_of_method(T2V, "bernini", "half")
    with pytest.raises(InputError, match="expected one of lynx, phantom, bernini, got 'humo'"):
        make_plan(t2v, "humo", person(1))
    with pytest.raises(
        CheckpointMismatchError, match="Phantom-Wan-1.3B or Phantom-Wan-14B, got Wan2.2-T2V-A14B"
    ):
        make_plan(releases["t2v_a14b"], "phantom", person(1))
    with pytest.raises(
        InputError, match="expected a reference for every character it names, got none for character2"
    ):
        make_plan(t2v, "phantom", person(1), prompt="character1 and character2 wave")
    with pytest.raises(InputError, match="expected a reference for every character"):
        make_plan(t2v, None, prompt="character1 waves")
    with pytest.raises(
        InputError, match=r"strength: expected characters of the request \(character1\), got character3"
    ):
        make_plan(t2v, "phantom", person(1), strength=Strength(subjects={"character3": 0.5}))
    with pytest.raises(InputError, match="each name once, got character1 twice"):
        make_plan(t2v, "phantom", person(1), person(1))
    with pytest.raises(InputError, match="reference guidance: expected none for Wan2.1-T2V-1.3B"):
        make_plan(t2v, None, reference_guidance=2.0)
    with pytest.raises(InputError, match="expected the files of Lynx with it"):
        plan = make_plan(t2v, None)
        plan_wan(plan.request, WanFiles(model=t2v, recogniser=Path("a")))


def test_a_video_alone(releases: dict[str, Path]) -> None:
    """v2v has no scale of references of its own; the name stands for the video."""
    clip = person(1, videos=(torch.zeros(5, 32, 32, 3, dtype=torch.uint8),))
    plan = make_plan(releases["t2v"], "bernini", clip)
    assert plan.settings.prompt == BERNINI_PREFIXES["v2v"] + "The person in image 1 wave"
    assert [step.evaluation.references for step in plan.recipe.steps] == ["every"]
    with pytest.raises(InputError, match="expected a picture with it for Bernini-R-1.3B, got none"):
        make_plan(releases["t2v"], "bernini", clip, reference_guidance=2.0)
    alone = replace(plan.request, characters=(), prompt="a cat")
    text = plan_wan(alone, WanFiles(model=releases["t2v"], method="bernini"))
    assert text.settings.prompt == BERNINI_PREFIXES["t2v"] + "a cat"
    assert text.settings.schedule().shown == wan_timesteps(STEPS, 3.0)[:-1].tolist()


@torch.no_grad()
def test_strength_shapes_the_tokens_of_each_character(releases: dict[str, Path]) -> None:
    """One step: character1 is off, character2 counts half in the first block and twice in the last."""
    folder = releases["t2v"]
    strength = Strength(layers=((0.0, 0.5), (1.0, 2.0)), subjects={"character1": 0.0})
    plan = make_plan(folder, "phantom", person(1), person(2), strength=strength, steps=1, guidance=(1.0, 1.0))
    found, _ = sample_wan(plan)
    text, _ = contexts(folder, plan, "The first person and the second person wave")
    vae, model = load_vae(plan.model.vae), load_dit(plan.model.transformers[0].path)
    page = np.full((64, 64, 3), 255, np.uint8)
    page[12:52] = picture(2).numpy()
    stream = TokenStream(
        latents=vae.encode(pixels(page)), offset=(3.0, 0.0, 0.0), timestep=None, weights=(0.5, 2.0)
    )
    latents, t = draw_noise(plan.latent_shape, make_generator(SEED)), wan_timesteps(1, 5.0)[:1]
    velocity = model(latents, t, text, streams=(stream,))
    expected = UniPC().start(wan_sigmas(1, 5.0)).step(velocity, latents, 0)
    assert relative_error(found, expected) < LIMIT
    trained = model(latents, t, text, streams=(replace(stream, weights=None),))
    assert relative_error(velocity, trained) > 100 * LIMIT
