"""Text-, image- and reference-to-video end to end, with a tiny random nano."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from wan_core.errors import InputError, ShapeError
from wan_core.identity.regions import Region
from wan_core.identity.strength import Strength, slide
from wan_core.pipelines import (
    Character,
    GenerateRequest,
    NanoBundle,
    NanoDefaults,
    Progress,
    Scales,
    generate,
)
from wan_core.pipelines.conditions import make_conditions
from wan_core.pipelines.generate import decode_clip, sample_clip
from wan_core.types import AudioClip, AVLatents

PROMPT = 'character1 waves at the beach and says "hello everyone"'


@pytest.fixture
def character(photo: torch.Tensor, voice: AudioClip) -> Character:
    return Character(name="character1", photos=(photo,), voice=voice, face="whole")


def test_reference_to_video(bundle: NanoBundle, quick: NanoDefaults, character: Character) -> None:
    seen: list[Progress] = []
    request = GenerateRequest(prompt=PROMPT, characters=(character,), size=(64, 64), seed=3)
    result = generate(request, bundle, seen.append, defaults=quick)
    assert result.video.shape == (1, 3, 17, 64, 64) and result.video.dtype == torch.float32
    assert result.video.abs().max() <= 1 and result.fps == 8
    assert result.audio is not None and result.audio.sample_rate == 16000
    assert result.audio.waveform.shape == (1, 34000)
    assert result.notes == ("character1: the whole picture is used as the face.",)
    assert [(p.stage, p.done, p.total) for p in seen] == [
        ("encode", 0, 1),
        ("encode", 1, 1),
        ("sample", 1, 4),
        ("sample", 2, 4),
        ("sample", 3, 4),
        ("sample", 4, 4),
        ("decode", 0, 1),
        ("decode", 1, 1),
    ]
    previews = [p.denoised is not None for p in seen if p.stage == "sample"]
    assert previews == [False, True, True, True]


def test_a_seed_gives_the_same_clip_and_another_does_not(bundle: NanoBundle, quick: NanoDefaults) -> None:
    request = GenerateRequest(prompt="forest", size=(64, 64), seed=5)
    first, again = generate(request, bundle, defaults=quick), generate(request, bundle, defaults=quick)
    other = generate(replace(request, seed=6), bundle, defaults=quick)
    assert torch.equal(first.video, again.video)
    assert first.audio is not None and again.audio is not None
    assert torch.equal(first.audio.waveform, again.audio.waveform)
    assert not torch.equal(first.video, other.video)


def test_face_and_voice_change_the_clip_and_strength_zero_is_bit_exact(
    bundle: NanoBundle, quick: NanoDefaults, character: Character
) -> None:
    request = GenerateRequest(prompt="forest", size=(64, 64))
    plain = generate(request, bundle, defaults=quick)
    shown = generate(replace(request, characters=(character,)), bundle, defaults=quick)
    off = Scales(identity_strength=0.0, voice_strength=0.0)
    hidden = generate(replace(request, characters=(character,), scales=off), bundle, defaults=quick)
    assert plain.audio is not None and shown.audio is not None and hidden.audio is not None
    assert not torch.equal(shown.video, plain.video)
    assert not torch.equal(shown.audio.waveform, plain.audio.waveform)
    assert torch.equal(hidden.video, plain.video)
    assert torch.equal(hidden.audio.waveform, plain.audio.waveform)


def test_image_to_video_begins_with_the_picture(
    bundle: NanoBundle, quick: NanoDefaults, photo: torch.Tensor
) -> None:
    request = GenerateRequest(prompt="forest", first_frame=photo, size=(64, 64))
    first, other = (
        generate(request, bundle, defaults=quick),
        generate(replace(request, seed=1), bundle, defaults=quick),
    )
    assert torch.equal(first.video[:, :, 0], other.video[:, :, 0])
    assert not torch.equal(first.video[:, :, -1], other.video[:, :, -1])


def test_text_to_video_may_be_silent_large_and_unprompted(bundle: NanoBundle, quick: NanoDefaults) -> None:
    request = GenerateRequest(size=(128, 128), has_audio=False, steps=1)
    result = generate(request, bundle, defaults=quick)
    assert result.video.shape == (1, 3, 17, 128, 128) and result.audio is None and result.notes == ()


def test_negative_prompt_counts(bundle: NanoBundle, quick: NanoDefaults) -> None:
    request = GenerateRequest(prompt="forest", size=(64, 64))
    plain = generate(request, bundle, defaults=quick)
    away = generate(replace(request, negative_prompt="a beach with crabs"), bundle, defaults=quick)
    assert not torch.equal(plain.video, away.video)
    assert away.notes[0].startswith("negative prompt: nano does not know crabs")
    with pytest.raises(InputError, match="negative prompt: expected at least one word that nano knows"):
        generate(replace(request, negative_prompt="blurry"), bundle, defaults=quick)


def test_unknown_words_become_notes(bundle: NanoBundle, quick: NanoDefaults) -> None:
    request = GenerateRequest(prompt="a dragon in the forest", size=(64, 64), steps=1)
    assert "nano does not know dragon" in generate(request, bundle, defaults=quick).notes[0]


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("character2 waves", "got none for character2"),
        ("a dragon", "expected at least one word that nano knows"),
        ('beach "supercalifragilistic"', "speech: expected words that nano can say"),
    ],
)
def test_prompts_that_can_not_be_made(
    bundle: NanoBundle, quick: NanoDefaults, character: Character, prompt: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        generate(GenerateRequest(prompt=prompt, characters=(character,)), bundle, defaults=quick)


def test_limits_are_checked_before_any_work(bundle: NanoBundle) -> None:
    seen: list[Progress] = []
    with pytest.raises(InputError, match="size: expected one of"):
        generate(GenerateRequest(prompt="beach", size=(1, 1)), bundle, seen.append)
    assert seen == []


def test_progress_may_interrupt(bundle: NanoBundle, quick: NanoDefaults) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == "sample" and progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(GenerateRequest(prompt="beach"), bundle, stop, defaults=quick)


def test_a_batch_begins_with_the_single_clip(bundle: NanoBundle, quick: NanoDefaults) -> None:
    ids = torch.zeros(1, 16, dtype=torch.int64)
    ids[0, 0] = 2
    chain = make_conditions(bundle, ids, torch.zeros_like(ids), None, None, Scales())
    one, three = (sample_clip(bundle, chain, 4, quick, batch=batch) for batch in (1, 3))
    torch.testing.assert_close(three.video[:1], one.video, rtol=1e-4, atol=1e-4)
    assert (three.video[1] - three.video[0]).abs().max() > 1e-2


def test_decoding_needs_sound(bundle: NanoBundle, quick: NanoDefaults) -> None:
    with pytest.raises(ShapeError, match="expected picture and sound, got no sound"):
        decode_clip(bundle, AVLatents(torch.zeros(1, 8, 5, 4, 4)), quick, (64, 64))


def test_regions_and_shapes_of_the_face(
    bundle: NanoBundle, quick: NanoDefaults, character: Character
) -> None:
    request = GenerateRequest(
        prompt=PROMPT, characters=(replace(character, voice=None),), size=(64, 64), seed=3
    )

    def clip(request: GenerateRequest) -> torch.Tensor:
        return generate(request, bundle, defaults=quick).video

    def within(**box: float) -> GenerateRequest:
        region = Region(left=0.0, top=0.0, bottom=1.0, **box)
        return replace(request, characters=(replace(request.characters[0], regions=(region,)),))

    whole = clip(request)
    # every token, and a table of ones, are the plain path
    assert torch.equal(clip(within(right=1.0)), whole)
    assert torch.equal(
        clip(replace(request, strength=Strength(low=0.0, subjects={"character1": 1.0}))), whole
    )
    assert not torch.equal(clip(within(right=0.5)), whole)
    assert not torch.equal(clip(replace(request, strength=slide(-1.0))), whole)
    # a window that no step reaches is no reference at all
    nothing = clip(replace(request, scales=replace(Scales(), identity_strength=0.0)))
    assert torch.equal(clip(replace(request, strength=Strength(low=0.0, high=1e-6))), nothing)
