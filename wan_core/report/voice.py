"""Whose voice is it: similarity by an encoder, and statistics of the pitch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from ..ops.speech import HOP, SAMPLE_RATE, track_pitch
from ..types import AudioClip

_LEAST_VOICED_FRAMES = 8
_LOW, _HIGH = 0.05, 0.95


class SimilarityScale(NamedTuple):
    """What a cosine of two embeddings means.

    Attributes:
        encoder: what made the embeddings, said in every report.
        same: usual cosine of two recordings or pictures of one person.   strangers: of two people.
        basis: where the two numbers come from.
    """

    encoder: str
    same: float
    strangers: float
    basis: str = "measured on people that no training has seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class PitchStatistics:
    """Pitch of the voiced frames of a recording.

    Attributes:
        median: Hz.   low, high: 5th and 95th percentile, Hz.   range: between them, semitones.
        seconds: of voiced speech.
    """

    median: float
    low: float
    high: float
    range: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceMatch:
    """The voice of a clip against a reference recording; None where there was nothing to measure.

    Attributes:
        similarity: cosine of the two voices' embeddings; `scale` says by what, and how to read it.
        reference, clip: pitch of each.   difference: semitones by which the clip's median is higher.
    """

    similarity: float | None
    scale: SimilarityScale | None
    reference: PitchStatistics | None
    clip: PitchStatistics | None

    @property
    def difference(self) -> float | None:
        """Semitones by which the clip's median pitch is higher."""
        if self.reference is None or self.clip is None:
            return None
        return 12 * math.log2(self.clip.median / self.reference.median)


def pitch_statistics(clip: AudioClip) -> PitchStatistics | None:
    """Statistics of the pitch of voiced speech, None where there is less than about 0.13 s of it.

    The contour itself is not compared: clip and reference say different words.

    Args:
        clip: mono 16 kHz.
    """
    log_f0, _, is_voiced = track_pitch(clip.waveform)
    count = int(is_voiced.sum())
    if count < _LEAST_VOICED_FRAMES:
        return None
    voiced = log_f0[is_voiced]
    low, middle, high = torch.quantile(voiced, torch.tensor([_LOW, 0.5, _HIGH])).tolist()
    return PitchStatistics(
        median=math.exp(middle),
        low=math.exp(low),
        high=math.exp(high),
        range=(high - low) * 12 / math.log(2),
        seconds=count * HOP / SAMPLE_RATE,
    )
