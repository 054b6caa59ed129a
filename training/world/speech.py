"""Speech of the procedural world: spoken clips of 2.125 s with the mouth opening that belongs to them.

Phrase p is OPENERS[p // 8] + CLOSERS[p % 8]. `training.world.bank` makes banks of clips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wan_core.ops.speech import SAMPLE_RATE, loudness_track
from wan_core.text.vocabulary import CLOSERS, OPENERS

from .espeak import Espeak
from .voices import NAMES, colour, variant_file

CLIP_SAMPLES = 34000
"""2.125 s at 16 kHz."""
FPS, FRAMES = 8.0, 17
PHRASES = len(OPENERS) * len(CLOSERS)
LEAD = (0.05, 0.35)
"""Seconds of silence before a phrase, the bounds of its draw."""
LOUDNESS = 0.06
"""Root-mean-square of the spoken part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One spoken clip: waveform (34000,) float32 at 16 kHz, lead in seconds, mouth (17,) in [0, 1]."""

    waveform: Tensor
    lead: float
    mouth: Tensor


def phrase_text(phrase: int) -> str:
    """Words of phrase 0-63."""
    opener, closer = OPENERS[phrase // len(CLOSERS)], CLOSERS[phrase % len(CLOSERS)]
    return f"{opener} {closer}".strip()


def mouth_track(waveforms: Tensor) -> Tensor:
    """Mouth opening at each video frame, (B, 17) in [0, 1], from waveforms (B, T) at 16 kHz."""
    return loudness_track(waveforms, torch.arange(FRAMES) / FPS)


class Speaker:
    """Speaks phrases in given voices; holds one espeak-ng process. Use as a context manager."""

    def __init__(self) -> None:
        self._espeak = Espeak()

    def __enter__(self) -> Speaker:
        """Return the speaker."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """End the espeak-ng process."""
        self._espeak.close()

    def say(self, voice: NDArray[np.float32], phrase: int, seed: int) -> tuple[Tensor, float]:
        """Speak one phrase.

        Args:
            voice: (15,), a row of `draw_voices`. phrase: 0-63. seed: of the lead-in and the level.
        Returns: waveform (34000,) float32 at 16 kHz and the lead in seconds. Equal calls on a new speaker give equal
            samples; on a used one espeak-ng carries the phase of its pitch flutter along.
        """
        speed = round(float(voice[NAMES.index("speed")]))
        raw = self._espeak.say(phrase_text(phrase), variant_file(voice, "world"), speed)
        spoken = trim(colour(raw, voice, self._espeak.sample_rate, SAMPLE_RATE))
        spoken *= LOUDNESS / max(float(np.sqrt(np.square(spoken).mean())), 1e-6)
        spoken *= min(1.0, 0.95 / max(float(np.abs(spoken).max()), 1e-6))
        random = np.random.default_rng((seed, phrase))
        room = (CLIP_SAMPLES - len(spoken)) / SAMPLE_RATE
        lead = min(float(random.uniform(*LEAD)), max(room, 0.0))
        start = int(lead * SAMPLE_RATE)
        out = torch.zeros(CLIP_SAMPLES)
        count = min(len(spoken), CLIP_SAMPLES - start)
        out[start : start + count] = torch.from_numpy(spoken[:count])
        return out, lead


def trim(waveform: NDArray[np.float32], level: float = 1e-3) -> NDArray[np.float32]:
    """Cut the silence off either end and fade 5 ms in and out; (T,) -> (T',)."""
    loud = np.flatnonzero(np.abs(waveform) > level)
    if len(loud) == 0:
        return waveform
    out = waveform[max(loud[0] - 80, 0) : loud[-1] + 400].copy()
    ramp = np.linspace(0.0, 1.0, 80, dtype=np.float32)
    out[:80] *= ramp
    out[-80:] *= ramp[::-1]
    return out


def speak(voice: NDArray[np.float32], opener: int, closer: int, seed: int) -> Clip:
    """Speak OPENERS[opener] + CLOSERS[closer] once, in a new espeak-ng process (0.2 s); use `Speaker` for many.

    Args:
        voice: (15,), a row of `draw_voices`. seed: of the lead-in.
    """
    with Speaker() as speaker:
        waveform, lead = speaker.say(voice, opener * len(CLOSERS) + closer, seed)
    return Clip(waveform=waveform, lead=lead, mouth=mouth_track(waveform[None])[0])
