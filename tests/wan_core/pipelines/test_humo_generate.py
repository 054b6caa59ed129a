"""HuMo end to end with tiny random weights, and its guided step against the official code (golden/make_humo.py)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from humo_release import humo_files, talk, write_humo
from safetensors.torch import load_file
from tiny_dit import relative_error, tiny_config

from wan_core.dit.config import SpeechConfig
from wan_core.dit.model import WanModel
from wan_core.errors import CheckpointError, CheckpointMismatchError, InputError
from wan_core.identity.recipes import HUMO_LARGE, HUMO_SMALL, HumoScales, humo_recipe
from wan_core.pipelines.generate import Progress
from wan_core.pipelines.humo_generate import (
    HumoInputs,
    encode_references,
    encode_speech,
    generate_humo,
    reference_sets,
)
from wan_core.pipelines.humo_request import HumoRequest, plan_humo
from wan_core.pipelines.humo_windows import Window, WindowedDenoiser
from wan_core.pipelines.wan_conditions import WanCondition
from wan_core.pipelines.wan_generate import encode_prompts
from wan_core.pipelines.wan_guidance import recipe_chain, wan_condition
from wan_core.pipelines.wan_plan import WanOptions
from wan_core.pipelines.wan_request import WanRequest
from wan_core.sampling.denoiser import AVTimesteps
from wan_core.types import AVLatents

GOLDEN = load_file(Path(__file__).parents[2] / "golden" / "humo.safetensors")
FRAMES = 4
CLIP = WanRequest(prompt="a woman speaks", size=(32, 48), steps=2, seed=3)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_humo(tmp_path_factory.mktemp("humo"))


def photo(seed: int = 0) -> torch.Tensor:
    """A picture of another shape than the clip."""
    return torch.randint(0, 256, (20, 30, 3), generator=torch.Generator().manual_seed(seed)).byte()


class Engine:
    """The denoiser of a golden transformer."""

    def __init__(self, size: str, *, has_pictures: bool = True) -> None:
        speech = SpeechConfig(features=6, hidden=10, width=12)
        config = tiny_config(
            dim=24,
            ffn_dim=40,
            in_channels=4 if size == "small" else 12,
            text_dim=10,
            freq_dim=16,
            speech=speech,
        )
        self.model = WanModel(config)
        prefix = f"{size}.weight."
        weights = {k.removeprefix(prefix): t.float() for k, t in GOLDEN.items() if k.startswith(prefix)}
        self.model.load_state_dict(weights, strict=True)
        inputs = HumoInputs(
            speech=GOLDEN["windows"],
            pictures=GOLDEN["references"][None],
            has_pictures=has_pictures,
            grey=None if size == "small" else GOLDEN["zero_vae"][None],
        )
        self.sets = reference_sets(self.model, inputs, (Window(0, FRAMES),), "cpu", torch.float32)
        slots = 0 if size == "small" else 2
        self.denoise = WindowedDenoiser(self, (Window(0, FRAMES),), slots)
        self.noisy = AVLatents(GOLDEN["noisy"][None, :, : FRAMES + slots])

    def __call__(self, latents: AVLatents, timesteps: AVTimesteps, condition: WanCondition) -> AVLatents:
        text = GOLDEN["context" if condition.prompt == 0 else "negative"]
        context = torch.cat((text, torch.zeros(12 - len(text), 10)))[None]
        own = self.sets[condition.references]
        video = latents.video if own.channels is None else torch.cat((latents.video, own.channels), dim=1)
        return AVLatents(self.model(video, timesteps.video, context, streams=own.streams, speech=own.speech))

    def guided(self, scales: HumoScales, timestep: float, *, has_picture: bool) -> tuple[torch.Tensor, int]:
        """Velocity of a guided step, and how many evaluations it took."""
        recipe = humo_recipe(scales, has_picture=has_picture)
        run = recipe_chain(recipe, [timestep], wan_condition).start()
        planned = run.plan(0, (timestep / 1000, 0.0), (True, False))
        time = AVTimesteps(torch.tensor([timestep]))
        found = {own.place: self.denoise(self.noisy, time, own.condition).video for own in planned}
        return run.combine("video", found, self.noisy.video), len(planned)


@torch.no_grad()
@pytest.mark.parametrize(("timestep", "name"), [(982.0, "early"), (978.0, "late"), (437.0, "ta")])
def test_large_guided_step_equals_the_official_code(timestep: float, name: str) -> None:
    found, count = Engine("large").guided(HUMO_LARGE, timestep, has_picture=name != "ta")
    assert count == 3
    assert relative_error(found, GOLDEN[f"large.{name}"][None]) < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("name", ["tia", "ta"])
def test_small_guided_step_equals_the_official_code(name: str) -> None:
    found, count = Engine("small").guided(HUMO_SMALL, 437.0, has_picture=name == "tia")
    # The official code evaluates the prompt alone too, whose share is 7.5 - 7.5.
    assert count == (3 if name == "tia" else 2)
    assert relative_error(found, GOLDEN[f"small.{name}"][None, :, :FRAMES]) < 1e-5


@pytest.mark.parametrize(("size", "pictures"), [("17B", 2), ("17B", 0), ("1.7B", 1)])
def test_a_clip_is_as_long_as_its_speech(paths: dict[str, Path], size: str, pictures: int) -> None:
    stages: list[str] = []

    def show(progress: Progress) -> None:
        stages.append(progress.stage)

    request = HumoRequest(clip=CLIP, speech=talk(0.5), pictures=tuple(map(photo, range(pictures))))
    plan = plan_humo(request, humo_files(paths, size), paths["whisper"])
    assert [phase.name for phase in plan.wan.memory.phases][:2] == ["Whisper", "text encoder"]
    result = generate_humo(plan, show)
    assert result.video.shape == (1, 3, 13, 48, 32) and bool(torch.isfinite(result.video).all())
    assert result.fps == 25 and result.audio.waveform.shape == (1, 8320)  # 13 frames of 40 ms
    assert torch.equal(result.audio.waveform[:, :8000], request.speech.waveform)
    assert not result.audio.waveform[:, 8000:].any()
    assert list(dict.fromkeys(stages)) == ["encode", "sample", "decode"]


def test_speech_and_pictures_matter_and_seeds_repeat(paths: dict[str, Path]) -> None:
    def clip(speech: float = 0.2, pictures: tuple[torch.Tensor, ...] = (photo(),)) -> torch.Tensor:
        request = HumoRequest(clip=replace(CLIP, frames=5, steps=1), speech=talk(speech), pictures=pictures)
        return generate_humo(plan_humo(request, humo_files(paths, "1.7B"), paths["whisper"])).video

    first = clip()
    assert torch.equal(first, clip())
    assert (clip(speech=0.1) - first).abs().max() > 1e-4
    assert (clip(pictures=(photo(1),)) - first).abs().max() > 1e-4
    assert (clip(pictures=()) - first).abs().max() > 1e-4


@pytest.mark.parametrize("size", ["17B", "1.7B"])
def test_a_long_clip_is_made_in_windows(paths: dict[str, Path], size: str) -> None:
    request = HumoRequest(
        clip=replace(CLIP, steps=1), speech=talk(1.0), pictures=(photo(),), window=13, overlap=4
    )
    plan = plan_humo(request, humo_files(paths, size), paths["whisper"])
    assert plan.windows == (Window(0, 4), Window(3, 7))
    result = generate_humo(plan)
    assert result.video.shape[2] == 25 and result.audio.waveform.shape == (1, 16000)
    whole = generate_humo(plan_humo(replace(request, window=97), humo_files(paths, size), paths["whisper"]))
    assert result.video.shape == whole.video.shape and not torch.equal(result.video, whole.video)


def test_what_is_encoded(paths: dict[str, Path]) -> None:
    """References stand on white, the grey clip goes on behind the clip, and the plan is on the smallest window."""
    request = HumoRequest(clip=CLIP, speech=talk(6.0), pictures=(photo(),))
    plan = plan_humo(request, humo_files(paths, "17B"), paths["whisper"])
    assert plan.wan.settings.frames == 153 and len(plan.windows) == 2
    inputs = encode_references(plan, torch.zeros(39, 8, 5, 8))
    assert inputs.grey is not None and inputs.grey.shape == (1, 16, 40, 6, 4)
    assert inputs.pictures.shape == (1, 16, 1, 6, 4) and inputs.has_pictures
    spoken = encode_speech(plan)
    assert spoken.shape == (39, 8, 5, 8) and not spoken[0, :3].any() and bool(spoken[1].any())
    contexts, _ = encode_prompts(plan.wan)
    assert len(contexts) == 2


def test_scales(paths: dict[str, Path]) -> None:
    request = HumoRequest(clip=CLIP, speech=talk(0.2), pictures=(photo(),), text=4.0, voice=2.0)
    recipe = plan_humo(request, humo_files(paths, "17B"), paths["whisper"]).recipe
    assert [recipe.scale(i)(0.99) for i in range(4)] == [1.0, 4.0, 0.0, 2.0]
    assert [recipe.scale(i)(0.5) for i in range(4)] == [0.0, 0.0, 2.0, 2.0]
    recipe = plan_humo(replace(request, likeness=3.0), humo_files(paths, "1.7B"), paths["whisper"]).recipe
    assert [recipe.scale(i)(0.5) for i in range(3)] == [4.0, 2.0, 3.0]
    with pytest.raises(
        InputError, match="likeness scale: expected none, since HuMo-17B has none of its own, got 3"
    ):
        plan_humo(replace(request, likeness=3.0), humo_files(paths, "17B"), paths["whisper"])
    bare = replace(request, likeness=3.0, pictures=())
    with pytest.raises(InputError, match="since HuMo-1.7B is given no picture"):
        plan_humo(bare, humo_files(paths, "1.7B"), paths["whisper"])


def test_requests_that_no_model_could_use() -> None:
    good = HumoRequest(clip=CLIP, speech=talk(0.2))
    for change, text in (
        ({"speech": replace(talk(0.2), sample_rate=8000)}, "at 8000 Hz"),
        ({"speech": talk(0.01)}, "expected 0.04 to 600 s, got 0.01 s"),
        ({"speech": replace(talk(0.2), waveform=torch.full((1, 3200), torch.nan))}, "got NaN"),
        ({"pictures": (photo(),) * 5}, "expected at most 4 pictures for HuMo, got 5"),
        ({"clip": replace(CLIP, first_frame=photo())}, "got a first or last frame"),
        ({"text": -1.0}, "text scale: expected 0 or more, got -1"),
        ({"window": 12}, "got 12 and 24"),
        ({"overlap": 52}, "got 97 and 52"),
    ):
        with pytest.raises(InputError, match=text):
            replace(good, **change)  # type: ignore[arg-type]


def test_files_that_do_not_fit(paths: dict[str, Path]) -> None:
    request = HumoRequest(clip=CLIP, speech=talk(0.2))
    with pytest.raises(CheckpointError, match="Whisper"):
        generate_humo(plan_humo(request, humo_files(paths, "1.7B"), paths["17B"]))
    limited = plan_humo(request, humo_files(paths, "1.7B"), paths["whisper"], WanOptions(limit=2 * 10**9))
    assert limited.whisper_device == "cpu"
    from tiny_wan import write_tiny_wan

    folder = paths["17B"].parent / "others"
    write_tiny_wan(folder)
    wrong = replace(humo_files(paths, "1.7B"), model=folder / "tiny_t2v.safetensors")
    with pytest.raises(CheckpointMismatchError):
        plan_humo(request, wrong, paths["whisper"])
