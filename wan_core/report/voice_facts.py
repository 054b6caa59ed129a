"""What a recording says about a voice, in figures: timbre, intonation, rhythm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InputError
from ..ops.speech import cosine_basis, mel_axis, spectral_envelope
from ..ops.voice_activity import FRAME_SECONDS, VoiceActivity, find_voice
from ..types import AudioClip

_LEAST_FRAMES = 16
_DIP_DB = 2.0
_SYLLABLE_BELOW_DB = 20.0
_LEAST_PAUSE = 0.15
_SMOOTHING_FRAMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceFacts:
    """Figures of a voice.

    Attributes:
        median_pitch: Hz.
        envelope: mean spectral envelope of the voiced frames, dB at each of `ops.speech.mel_axis`, its highest point 0.
        centre: Hz below which half of the voice's power is.   tilt: dB an octave from 200 Hz to 6 kHz.
        low_pitch, high_pitch: 5th and 95th percentile, Hz.   pitch_range: between them, semitones.
        pitch_speed: median speed at which pitch moves, semitones a second.
        syllables: found, by peaks of loudness.   syllable_rate: a second of speech without its pauses.
        pauses: seconds of each pause of 0.15 s or more between spoken parts.
        voiced_seconds, seconds: of voiced speech, and of the recording.
    """

    median_pitch: float
    envelope: tuple[float, ...]
    centre: float
    tilt: float
    low_pitch: float
    high_pitch: float
    pitch_range: float
    pitch_speed: float
    syllables: int
    syllable_rate: float
    pauses: tuple[float, ...]
    voiced_seconds: float
    seconds: float

    def lines(self) -> tuple[str, str, str]:
        """Timbre, intonation and rhythm, a sentence each."""
        count = len(self.pauses)
        pauses = (
            f"{count} pause{'s' if count > 1 else ''} of {_mean(self.pauses):.2f} s" if count else "no pause"
        )
        return (
            f"timbre: median pitch {self.median_pitch:.0f} Hz; half of the power below {self.centre:.0f} Hz; "
            f"envelope falls {-self.tilt:.1f} dB an octave",
            f"intonation: {self.low_pitch:.0f} to {self.high_pitch:.0f} Hz ({self.pitch_range:.1f} semitones); "
            f"pitch moves {self.pitch_speed:.0f} semitones a second",
            f"rhythm: {self.syllable_rate:.1f} syllables a second ({self.syllables} found); {pauses}; "
            f"{self.voiced_seconds:.1f} s of {self.seconds:.1f} s voiced",
        )


def describe_voice(clip: AudioClip, activity: VoiceActivity | None = None) -> VoiceFacts:
    """Measure a voice.

    Args:
        clip: mono 16 kHz.   activity: of this clip, where it is known already.
    Returns:
        `VoiceFacts`.
    Raises:
        InputError: not mono 16 kHz, not finite, or less than a quarter of a second of voiced speech.
    """
    found = activity or find_voice(clip)
    voiced = found.is_voiced
    if int(voiced.sum()) < _LEAST_FRAMES:
        raise InputError(
            f"voice: expected at least {_LEAST_FRAMES * FRAME_SECONDS:.2f} s of voiced speech, got "
            f"{found.voiced_seconds:.2f} s in {found.seconds:.2f} s. Record two or three sentences."
        )
    low, middle, high = torch.quantile(found.log_f0[voiced], torch.tensor([0.05, 0.5, 0.95])).tolist()
    both = voiced[1:] & voiced[:-1]
    speed = found.log_f0.diff().abs()[both] * (12 / math.log(2) / FRAME_SECONDS)
    envelope, centre, tilt = _timbre(clip.waveform.detach().float().cpu(), found)
    syllables = _count_syllables(found)
    spans = found.spans
    spoken = sum(end - start for start, end in spans)
    gaps = [after[0] - before[1] for before, after in zip(spans, spans[1:], strict=False)]
    return VoiceFacts(
        median_pitch=math.exp(middle),
        envelope=tuple(envelope.tolist()),
        centre=centre,
        tilt=tilt,
        low_pitch=math.exp(low),
        high_pitch=math.exp(high),
        pitch_range=(high - low) * 12 / math.log(2),
        pitch_speed=float(speed.median()),
        syllables=syllables,
        syllable_rate=syllables / max(spoken, FRAME_SECONDS),
        pauses=tuple(gap for gap in gaps if gap >= _LEAST_PAUSE),
        voiced_seconds=found.voiced_seconds,
        seconds=found.seconds,
    )


def _timbre(waveform: Tensor, found: VoiceActivity) -> tuple[Tensor, float, float]:
    """Mean envelope in dB (its highest point 0), the frequency that halves the power, and the tilt in dB an octave."""
    log_power = spectral_envelope(waveform, found.log_f0[None])[0][found.is_voiced]
    # Through the cosine transform and back: what is left is the envelope that the voice encoder sees.
    basis = cosine_basis()
    mean = (log_power - log_power.mean(-1, keepdim=True)).mean(0)
    smooth = mean @ basis.T @ basis * (10 / math.log(10))
    smooth = smooth - smooth.max()
    hertz = mel_axis()
    power = 10 ** (smooth / 10) * torch.gradient(hertz)[0]
    share = power.cumsum(0) / power.sum()
    centre = float(hertz[int((share >= 0.5).int().argmax())])
    is_inside = (hertz >= 200) & (hertz <= 6000)
    octave = hertz[is_inside].log2()
    across = octave - octave.mean()
    tilt = float((across * smooth[is_inside]).sum() / across.square().sum())
    return smooth, centre, tilt


def _count_syllables(found: VoiceActivity) -> int:
    """Count peaks of loudness in voiced speech that stand 2 dB above the dips on their left.

    Source: own code. Idea: N. H. de Jong and T. Wempe, "Praat script to detect syllable nuclei", 2009.
    """
    level = functional.avg_pool1d(
        found.level[None, None], _SMOOTHING_FRAMES, 1, _SMOOTHING_FRAMES // 2, count_include_pad=False
    )[0, 0]
    floor = float(level.quantile(0.98)) - _SYLLABLE_BELOW_DB
    count, dip, peak, is_rising = 0, math.inf, -math.inf, True
    has_voice = False
    for value, voiced in zip(level.tolist(), found.is_voiced.tolist(), strict=True):
        if is_rising:
            dip = min(dip, value)
            if value > max(peak, dip + _DIP_DB):
                peak, has_voice = value, has_voice or voiced
            elif value < peak - _DIP_DB:
                count += int(has_voice and peak > floor)
                dip, peak, has_voice = value, -math.inf, False
    return count + int(has_voice and peak > floor)


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / len(values)
