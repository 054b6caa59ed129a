"""The clips that evaluation looks at: fresh people, voices and prompts, with everything on or one thing off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wan_core.ops.speech import analyse
from wan_core.pipelines.bundle import NanoBundle
from wan_core.pipelines.conditions import make_conditions
from wan_core.pipelines.defaults import NanoDefaults
from wan_core.pipelines.generate import decode_clip, sample_clip
from wan_core.text.vocabulary import ACTIONS, SCENES
from wan_core.voice.encoder import encode_clip

from .clips import draw_clips, random_mouth
from .dataset import prompt_table
from .nano_config import FRAMES
from .pixels import to_bytes, to_pixels
from .world.identity import IdentityBatch, sample_identities
from .world.photo import render_photo
from .world.speech import PHRASES, Speaker
from .world.voices import NAMES, draw_voices

GROUP = 16
MIN_VOICED_FRAMES = 13
Switch = Literal["on", "identity off", "voice off", "fusion off", "prompt off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subjects:
    """People that no training has seen, and what they are asked to do.

    Attributes:
        identity: who (K).   photos: reference photos (K, 3, 64, 64) in [-1, 1], 8 bits a colour.
        recordings: reference clips (K, samples) at 16 kHz, with other words than `phrase`.
        scene, action, phrase: (K,), pairs of scene and action that training left out.
    """

    identity: IdentityBatch
    photos: Tensor
    recordings: Tensor
    scene: Tensor
    action: Tensor
    phrase: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Clips:
    """Sampled clips: video (K, 3, F, 64, 64) in [-1, 1] and sound (K, samples) at 16 kHz."""

    video: Tensor
    waveform: Tensor


def draw_subjects(count: int, seed: int, *, one_pitch_a_group: bool = False) -> Subjects:
    """Draw people, voices and prompts from a seed that training does not use.

    Args:
        count: K.   one_pitch_a_group: every group of 16 voices has one pitch, pitch range and speed.
    """
    generator = torch.Generator().manual_seed(7_000_003 * (seed + 1))
    identity = sample_identities(count, generator)
    photos = to_bytes(render_photo(identity, generator, augment=False))
    scene = torch.randint(len(SCENES), (count,), generator=generator)
    phrase = torch.randint(PHRASES, (count,), generator=generator)
    other = (phrase + torch.randint(1, PHRASES, (count,), generator=generator)) % PHRASES
    voices = draw_voices(count, 900_001 + seed)
    if one_pitch_a_group:
        for name in ("pitch", "pitch_range", "speed"):
            column = NAMES.index(name)
            for start in range(0, count, GROUP):
                voices[start : start + GROUP, column] = voices[start, column]
    with Speaker() as speaker:
        recordings = [
            record(speaker, voices[i], int(other[i]), int(phrase[i]), 31 * seed + i) for i in range(count)
        ]
    return Subjects(
        identity=identity,
        photos=to_pixels(photos),
        recordings=torch.stack(recordings),
        scene=scene,
        action=scene % len(ACTIONS),
        phrase=phrase,
    )


def draw_subject_clips(subjects: Subjects, generator: torch.Generator) -> Tensor:
    """Draw what the subjects are asked to do, in new light and with made-up speech, (K, 3, F, 64, 64) in [-1, 1]."""
    mouth = random_mouth(len(subjects.scene), FRAMES, generator)
    return draw_clips(
        mouth, generator, identity=subjects.identity, scene=subjects.scene, action=subjects.action
    ).video


def record(speaker: Speaker, voice: NDArray[np.float32], phrase: int, avoid: int, seed: int) -> Tensor:
    """Record a voice; where a phrase comes out almost unvoiced, the next one is said instead.

    Args:
        phrase: number of the phrase to try first.   avoid: phrase that must not be said.   seed: of the lead-in.
    Returns: (samples,).
    """
    for shift in range(PHRASES):
        spoken = (phrase + shift) % PHRASES
        if spoken == avoid:
            continue
        waveform = speaker.say(voice, spoken, seed)[0]
        if float((analyse(waveform[None]).voicing > 0).sum()) >= MIN_VOICED_FRAMES:
            return waveform
    raise ValueError(
        "voice: expected at least one phrase with 0.2 s of voiced speech, got none. Use another --seed."
    )


@torch.inference_mode()
def sample_subjects(
    bundle: NanoBundle, subjects: Subjects, seed: int, switch: Switch, defaults: NanoDefaults
) -> Clips:
    """Sample one clip of every subject, through the functions that `generate` calls.

    Args:
        seed: of the noise.   switch: what is left out.
    """
    scales = defaults.scales
    if switch == "identity off":
        scales = replace(scales, identity_strength=0.0)
    if switch == "voice off":
        scales = replace(scales, voice_strength=0.0)
    table = prompt_table(bundle.text.config.max_tokens)
    token_ids = table[subjects.scene, subjects.action, subjects.phrase]
    nothing = torch.zeros_like(token_ids[:1])
    if switch == "prompt off":
        token_ids = torch.zeros_like(token_ids)
    identity = bundle.identity(subjects.photos[:, None])
    voice = encode_clip(bundle.voice, subjects.recordings).tokens
    chain = make_conditions(bundle, token_ids, nothing, identity, voice, scales)
    latents = sample_clip(bundle, chain, seed, defaults, batch=len(token_ids), fuse=switch != "fusion off")
    size = (defaults.native_size, defaults.native_size)
    video, waveform = decode_clip(bundle, latents, defaults, size)
    return Clips(video=video, waveform=waveform)
