from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_ovi import write_ovi

from wan_core.errors import CheckpointMismatchError, InputError
from wan_core.media.sound import read_sound
from wan_core.pipelines.generate import Progress
from wan_core.pipelines.ovi_files import OviFiles, complete_ovi, find_ovi, is_joint
from wan_core.pipelines.ovi_generate import fit_sound, generate_ovi, plan_ovi
from wan_core.pipelines.ovi_request import OviRequest
from wan_core.pipelines.request import Character
from wan_core.pipelines.wan_plan import WanOptions
from wan_core.types import AudioClip

SMALL = OviRequest(prompt='a cat says "on the beach"', size=(64, 64), frames=5, steps=2, seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ovi")
    write_ovi(path)
    return path


@pytest.fixture(scope="module")
def files(folder: Path) -> OviFiles:
    return OviFiles(
        model=folder / "ovi.safetensors",
        vae=folder / "Wan2.2_VAE.pth",
        text_encoder=folder / "umt5.pth",
        tokenizer=folder / "spiece.model",
        audio_vae=folder / "v1-16.pth",
        vocoder=folder / "best_netG.pt",
        variant="ovi-960",
    )


@pytest.fixture(scope="module")
def person(root: Path) -> Character:
    voice = read_sound(root / "wan_core" / "assets" / "examples" / "voice.wav").clip
    photo = torch.full((40, 30, 3), 90, dtype=torch.uint8)
    return Character(name="character1", photos=(photo,), voice=voice, face="whole")


def test_text_to_a_clip_with_sound(files: OviFiles) -> None:
    stages: list[str] = []

    def watch(progress: Progress) -> None:
        stages.append(f"{progress.stage} {progress.done}")

    result = generate_ovi(SMALL, files, progress=watch)
    assert result.video.shape == (1, 3, 5, 64, 64) and result.fps == 24
    assert result.audio.waveform.shape == (1, round(5 / 24 * 16000)) and result.audio.sample_rate == 16000
    assert float(result.video.std()) > 0.01 and float(result.audio.waveform.std()) > 0
    assert stages[:4] == ["encode 0", "encode 1", "sample 1", "sample 2"] and stages[-1] == "decode 2"
    again = generate_ovi(SMALL, files)
    assert torch.equal(again.video, result.video)
    assert torch.equal(again.audio.waveform, result.audio.waveform)
    assert not torch.equal(generate_ovi(replace(SMALL, seed=4), files).video, result.video)


def test_first_frame_is_the_picture(files: OviFiles) -> None:
    """With few blocks streamed, too: the same numbers."""
    picture = torch.randint(
        0, 255, (40, 90, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    request = replace(SMALL, first_frame=picture)
    plan = plan_ovi(request, files)
    assert plan.settings.size == (96, 32)
    whole = generate_ovi(request, files)
    assert whole.video.shape == (1, 3, 5, 32, 96)
    assert not torch.equal(whole.video, generate_ovi(replace(SMALL, size=(96, 32)), files).video)
    needed = max(phase.total for phase in plan.memory.phases if "towers" not in phase.name)
    towers = next(phase for phase in plan.memory.phases if "towers" in phase.name)
    limit = max(needed, towers.total - towers.weights // 2)
    tight = WanOptions(limit=limit)
    assert (plan_ovi(request, files, tight).memory.resident or 12) < 12 or needed >= towers.total
    assert torch.equal(generate_ovi(request, files, tight).video, whole.video)


def test_faces_and_voices(files: OviFiles, person: Character) -> None:
    files = replace(files, variant="dreamid-omni")
    request = replace(SMALL, prompt='character1 says "hello"', characters=(person,))
    found = generate_ovi(request, files)
    assert found.video.shape == (1, 3, 5, 64, 64) and found.audio.waveform.shape[1] == 3333
    assert any("the voice is taken from" in note for note in found.notes)
    lighter = replace(person, photos=(torch.full((40, 30, 3), 200, dtype=torch.uint8),))
    other = generate_ovi(replace(request, characters=(lighter,)), files)
    assert not torch.equal(other.video, found.video)
    official = generate_ovi(replace(request, voice_span="official"), files)
    assert any("from 1.00 to 2.00 s" in note for note in official.notes)
    assert not torch.equal(official.audio.waveform, found.audio.waveform)


def test_published_lengths(files: OviFiles) -> None:
    """Frames and samples agree to within one latent of sound before anything is cut."""
    for variant, shapes in {"ovi-960": (31, 157), "ovi-720": (31, 157), "ovi-960-10s": (61, 314)}.items():
        plan = plan_ovi(OviRequest(), replace(files, variant=variant))
        video, audio = plan.latent_shapes
        assert (video[2], audio[2]) == shapes
        assert abs(audio[2] * 512 - plan.settings.frames / 24 * 16000) < 512
    short = fit_sound(AudioClip(torch.ones(1, 80384), 16000), 121)
    assert short.waveform.shape == (1, 80667) and float(short.waveform[0, 80384:].abs().max()) == 0


def test_which_model_a_file_is(folder: Path, files: OviFiles) -> None:
    assert (
        is_joint(files.model)
        and not is_joint(folder / "umt5.pth")
        and not is_joint(folder / "no.safetensors")
    )
    unknown = replace(files, variant=None)
    assumed = find_ovi(unknown, has_references=False)
    assert assumed.family.key == "ovi-960" and "have the same header" in assumed.notes[0]
    assert find_ovi(unknown, has_references=True).family.key == "dreamid-omni"
    for name, key in {
        "model_960x960_10s.safetensors": "ovi-960-10s",
        "model_960x960.safetensors": "ovi-960",
        "model_fp8_e4m3fn.safetensors": "ovi-720",
        "dreamid_omni_fp8.safetensors": "dreamid-omni",
    }.items():
        path = folder / name
        path.hardlink_to(files.model)
        found = find_ovi(replace(unknown, model=path), has_references=False)
        assert (found.family.key, found.notes) == (key, ())
        path.unlink()
    assert any("CC-BY-NC" in text for text in assumed.licences)


def test_official_download_folder(tmp_path: Path, files: OviFiles) -> None:
    places = {
        "Ovi/model_960x960.safetensors": files.model,
        "Wan2.2-TI2V-5B/Wan2.2_VAE.pth": files.vae,
        "Wan2.2-TI2V-5B/models_t5_umt5-xxl-enc-bf16.pth": files.text_encoder,
        "Wan2.2-TI2V-5B/google/umt5-xxl/spiece.model": files.tokenizer,
        "MMAudio/ext_weights/v1-16.pth": files.audio_vae,
        "MMAudio/ext_weights/best_netG.pt": files.vocoder,
    }
    for name, source in places.items():
        assert source is not None
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).hardlink_to(source)
    assert is_joint(tmp_path)
    found = find_ovi(OviFiles(model=tmp_path), has_references=False)
    assert found.family.key == "ovi-960" and found.vocoder.name == "best_netG.pt"
    (tmp_path / "Ovi" / "other.safetensors").hardlink_to(files.model)
    with pytest.raises(InputError, match="expected a folder with one transformer"):
        complete_ovi(OviFiles(model=tmp_path))


def test_missing_and_wrong_parts(files: OviFiles) -> None:
    for part, option in {"vae": "--vae", "audio_vae": "--audio-vae", "vocoder": "--vocoder"}.items():
        with pytest.raises(InputError, match=f"got none. Name its file with {option}"):
            plan_ovi(SMALL, replace(files, **{part: None}))
    with pytest.raises(InputError, match="variant: expected one of dreamid-omni"):
        plan_ovi(SMALL, replace(files, variant="ovi"))
    with pytest.raises(InputError, match=r"memory: expected at least .* GB"):
        plan_ovi(SMALL, files, WanOptions(limit=1000))


def test_a_single_tower_is_refused(tmp_path: Path, files: OviFiles) -> None:
    from safetensors.torch import save_file
    from wan_release import CONFIGS, random_state

    save_file(random_state(CONFIGS["ti2v"], 0), tmp_path / "wan.safetensors")
    with pytest.raises(CheckpointMismatchError, match="expected Ovi or DreamID-Omni"):
        plan_ovi(SMALL, replace(files, model=tmp_path / "wan.safetensors"))
