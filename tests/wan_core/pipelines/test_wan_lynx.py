"""Lynx: runs equal the official procedure, written out plainly with the adapter's layers at every call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from lynx_release import LynxRelease, write_lynx
from tiny_dit import relative_error
from torch import Tensor, nn
from wan_release import write_release

from wan_core import load_dit, load_text_encoder, load_vae
from wan_core.checkpoints.lynx import load_lynx
from wan_core.checkpoints.lynx_face import load_arcface
from wan_core.errors import CheckpointMismatchError, InputError
from wan_core.identity.alignment import align_face
from wan_core.identity.arcface import face_input
from wan_core.identity.detectors import Detector, open_landmarks
from wan_core.identity.landmarks import find_views
from wan_core.identity.lynx_prepare import reference_features
from wan_core.identity.regions import Region
from wan_core.identity.strength import Strength
from wan_core.ops.attention import attend, split_heads
from wan_core.pipelines.identity_file import EncodedIdentity, encoder_fingerprint
from wan_core.pipelines.photos import align_person
from wan_core.pipelines.request import Character
from wan_core.pipelines.wan_files import WanFiles
from wan_core.pipelines.wan_generate import TEXT_DTYPE, sample_wan
from wan_core.pipelines.wan_plan import WanPlan, plan_wan
from wan_core.pipelines.wan_request import WanRequest
from wan_core.sampling.noise import draw_noise, make_generator
from wan_core.sampling.sigmas import wan_sigmas, wan_timesteps
from wan_core.sampling.solvers import UniPC

LIMIT, STEPS, SEED, FRAMES, SIZE = 2e-4, 2, 5, 5, (64, 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("release") / "t2v", "t2v")


@pytest.fixture(scope="module")
def lynx(tmp_path_factory: pytest.TempPathFactory) -> LynxRelease:
    return write_lynx(tmp_path_factory.mktemp("lynx"))


@pytest.fixture(scope="module")
def photo() -> Tensor:
    generator = torch.Generator().manual_seed(2)
    small = torch.randint(0, 256, (1, 3, 8, 8), generator=generator).float()
    return (
        nn.functional.interpolate(small, size=(320, 320), mode="bicubic")[0]
        .permute(1, 2, 0)
        .clamp(0, 255)
        .byte()
    )


def make_plan(folder: Path, files: WanFiles, *photos: Tensor, **changes: object) -> WanPlan:
    person = (Character(name="character1", photos=photos),) if photos else ()
    fields = {
        "prompt": "character1 waves",
        "characters": person,
        "size": SIZE,
        "frames": FRAMES,
        "seed": SEED,
    }
    request = WanRequest(**(fields | {"steps": STEPS} | changes))  # type: ignore[arg-type]
    return plan_wan(request, replace(files, model=folder))


def parts(lynx: LynxRelease, variant: str) -> WanFiles:
    return WanFiles(
        model=Path(), adapter=(getattr(lynx, variant),), detector=Detector(name="scrfd", model=lynx.detector)
    )


@dataclass(frozen=True)
class Live:
    """Keys and values made from the adapter's layers at every call."""

    tokens: Sequence[Tensor | None]
    layers: Sequence[nn.Module | None]
    norms: Sequence[nn.Module | None]
    scale: float

    def attend(self, block_index: int, query: Tensor) -> Tensor | None:
        tokens, layer, norm = (own[block_index] for own in (self.tokens, self.layers, self.norms))
        if tokens is None or layer is None:
            return None
        key, value = layer(tokens)
        key = key * torch.rsqrt(key.square().mean(-1, keepdim=True) + 1e-5) if norm is None else norm(key)
        return self.scale * attend(query, *(split_heads(own, query.shape[1]) for own in (key, value)))


@torch.no_grad()
def official(plan: WanPlan, folder: Path, lynx: LynxRelease, photo: Tensor, scale: float) -> Tensor:
    """infer.py and lynx_pipeline.py, or their lite forms."""
    assert plan.model.adapter is not None
    is_full = plan.model.adapter.config.has_reference
    encoder = load_text_encoder(
        folder / "models_t5_umt5-xxl-enc-bf16.pth", dtype=TEXT_DTYPE, tokenizer=plan.model.tokenizer
    )
    prompts = ["A person waves", plan.settings.negative_prompt, "image of a face"]
    text, negative, face_text = encoder.encode(prompts).float().split(1)
    model, adapter = load_dit(plan.model.transformers[0].path), load_lynx(plan.model.adapter.files[0])
    image = photo.numpy()
    landmarks = find_views(image, lynx.detector, is_lynx=True)[0].landmarks
    embed = load_arcface(lynx.recogniser)(face_input(align_face(image, landmarks)))[None]
    crop = align_face(image, landmarks, 256, is_extended=True)
    vae = load_vae(plan.model.vae)
    mean, std = (
        torch.tensor(own).view(1, -1, 1, 1, 1) for own in (vae.config.latents_mean, vae.config.latents_std)
    )

    def branch(is_person: bool) -> tuple[tuple[Live, ...], tuple[Live, ...]]:
        tokens = adapter.resampler(embed * float(is_person))
        layers: list[nn.Module | None] = [None] * 2
        for layer, number in zip(adapter.ip_layers, adapter.config.blocks, strict=True):
            layers[number] = layer
        identity = Live([tokens] * 2, layers, model.key_norms() if is_full else [None] * 2, scale)
        if not is_full:
            return (identity,), ()
        pixels = torch.from_numpy(crop).permute(2, 0, 1)[None, :, None] / 127.5 - 1
        middle, spread = vae.posterior(pixels * float(is_person))
        noise = torch.randn(middle.shape, generator=torch.Generator().manual_seed(SEED + 1))
        latents = (middle + (0.5 * spread).exp() * noise - mean) / std
        norms = [block.self_attn.norm_k for block in model.tower_blocks()]
        features = reference_features(model, latents, face_text)
        return (identity,), (Live(features, list(adapter.ref_layers), norms, scale),)

    person, nobody = branch(True), branch(False)
    sigmas = wan_sigmas(STEPS, 3.0)
    run, sample = UniPC().start(sigmas), draw_noise(plan.latent_shape, make_generator(SEED))
    for index, t in enumerate(wan_timesteps(STEPS, 3.0)[:-1]):
        u, i, c = (
            model(sample, t[None], context, injections=own[0], self_injections=own[1])
            for context, own in ((negative, nobody), (negative, person), (text, person))
        )
        guided = u + 2.0 * (i - u) + 5.0 * (c - i) if is_full else u + 5.0 * (c - u)
        sample = run.step(guided, sample, index)
    return sample


@pytest.mark.parametrize(("variant", "scale"), [("full", 1.0), ("lite", 0.6)])
def test_equals_the_official_procedure(
    variant: str, scale: float, folder: Path, lynx: LynxRelease, photo: Tensor
) -> None:
    plan = make_plan(folder, parts(lynx, variant), photo, strength=Strength(scale=scale))
    family = plan.model.family
    assert (family.name, family.fps, family.frames) == (
        ("Lynx", 16, 81) if variant == "full" else ("Lynx-lite", 24, 121)
    )
    found, notes = sample_wan(plan)
    assert [note.partition(":")[0] for note in notes] == ["identity adapter"]
    assert relative_error(found, official(plan, folder, lynx, photo, scale)) < LIMIT


def test_released_adapter_and_blocks_that_stream(folder: Path, lynx: LynxRelease, photo: Tensor) -> None:
    """Streamed blocks give the same clip; the notes name the bytes before and after, in the working dtype."""
    plan = make_plan(folder, parts(lynx, "full"), photo, steps=1)
    whole, notes = sample_wan(plan)
    streamed, _ = sample_wan(replace(plan, memory=replace(plan.memory, resident=1)))
    assert relative_error(streamed, whole) < LIMIT
    assert plan.model.adapter is not None
    # 2 sides x keys and values x 2 blocks x (4 identity tokens + 2 registers + 256 of the picture) x 128 numbers
    assert plan.references.key_values == 2 * 2 * 2 * (6 + 256) * 128
    kept = plan.references.key_values * 4 / 2**20
    assert f"{kept:.1f} MiB of keys and values after" in notes[0]


def test_strength_off_reads_no_face_and_is_bit_exact(folder: Path, lynx: LynxRelease, photo: Tensor) -> None:
    off = make_plan(folder, parts(lynx, "full"), photo, strength=Strength(scale=0.0), steps=1)
    assert not off.has_references and off.references.key_values == 0
    settings = off.settings
    plain = plan_wan(
        replace(
            off.request,
            characters=(),
            prompt="A person waves",
            shift=settings.shift,
            guidance=settings.guidance,
            negative_prompt=settings.negative_prompt,
        ),
        WanFiles(model=folder),
    )
    assert torch.equal(sample_wan(off)[0], sample_wan(plain)[0])


def test_misfits_are_named(folder: Path, lynx: LynxRelease, photo: Tensor, tmp_path: Path) -> None:
    full = parts(lynx, "full")
    with pytest.raises(InputError, match="expected one person for Lynx, got none"):
        make_plan(folder, full, prompt="a cat")
    with pytest.raises(InputError, match="method: expected lynx with --adapter, got phantom"):
        make_plan(folder, replace(full, method="phantom"), photo)
    people = tuple(Character(name=f"character{n}", photos=(photo,)) for n in (1, 2))
    with pytest.raises(InputError, match=r"one person for Lynx, got 2 \(character1, character2\)"):
        make_plan(folder, full, characters=people, prompt="character1 and character2")
    other = write_release(tmp_path / "experts", "t2v_a14b")
    with pytest.raises(CheckpointMismatchError, match="expected a transformer of 2 blocks of width 128"):
        make_plan(other, full, photo)
    alone = tmp_path / "apart" / "lynx_full"
    alone.mkdir(parents=True)
    for file in lynx.full.iterdir():
        (alone / file.name).symlink_to(file)
    with pytest.raises(InputError, match="recogniser: expected the ArcFace that Lynx was trained with"):
        make_plan(folder, replace(full, adapter=(alone,)), photo)
    found = make_plan(folder, replace(full, adapter=(alone,), recogniser=lynx.recogniser), photo)
    person = replace(found.request.characters[0], face="whole")
    with pytest.raises(InputError, match="expected a face to be found for Lynx, got 'whole'"):
        sample_wan(replace(found, request=replace(found.request, characters=(person,))))
    with pytest.raises(CheckpointMismatchError, match="Add the file with the reference layers"):
        make_plan(
            folder,
            replace(full, adapter=(lynx.full / "resampler.safetensors", lynx.full / "ip_layers.safetensors")),
            photo,
        )


def test_encoded_face_equals_its_photo_and_a_region_changes_the_clip(
    folder: Path, lynx: LynxRelease, photo: Tensor
) -> None:
    files = parts(lynx, "full")
    recogniser = load_arcface(lynx.recogniser)
    person = align_person(recogniser, [photo], "auto", open_landmarks(files.detector, is_lynx=True))
    assert (person.seen == (0, 220, 90)).all(axis=-1).any()
    identity = EncodedIdentity(
        kind="lynx",
        encoder=encoder_fingerprint(recogniser),
        source="me.png",
        photos=1,
        features=person.combined.embedding,
        picture=person.picture,
    )

    def run(*regions: Region) -> Tensor:
        own = Character(name="character1", identity=identity, regions=regions)
        return sample_wan(make_plan(folder, files, characters=(own,)))[0]

    plain = sample_wan(make_plan(folder, files, photo))[0]
    assert torch.equal(run(), plain)
    assert torch.equal(run(Region(left=0.0, top=0.0, right=1.0, bottom=1.0)), plain)
    assert not torch.equal(run(Region(left=0.0, top=0.0, right=0.5, bottom=1.0)), plain)
    other = replace(identity, kind="nano", picture=None)
    with pytest.raises(InputError, match="expected a face encoded for lynx, got one for nano"):
        sample_wan(make_plan(folder, files, characters=(Character(name="character1", identity=other),)))
