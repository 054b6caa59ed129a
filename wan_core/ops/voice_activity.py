"""Where in a recording somebody speaks: voiced speech told apart from silence, noise, hum and music.

A frame is voiced where the pitch tracker follows a period and the level is near that of the clip's loud parts. Music
has periods too. What tells it from speech is movement: a note holds its pitch and its sound, those of a voice glide all
the time. In one second either side of a frame two numbers are taken: the share of steps of 16 ms in which pitch moves
by less than 3 semitones a second, and the mean change of the envelope's cepstra in a step.

| median over the voiced frames of a clip | pitch holds | envelope changes |
|---|---|---|
| espeak-ng, 26 clips with voice, 4 languages | 0.11-0.38 | 4.9-8.6 |
| 9 recordings of people | 0.04-0.36 | 3.8-6.3 |
| 54 renderings of a General MIDI sound font | 0.56-1.00 | 0.3-4.2 |
| 10 produced pieces, some sung | 0.48-0.80 | 1.8-5.9 |

Source: own code. Idea of telling speech from music by its movement: E. Scheirer and M. Slaney, "Construction and
evaluation of a robust multifeature speech/music discriminator", 1997.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InputError
from ..types import AudioClip
from .speech import HOP, SAMPLE_RATE, cosine_basis, envelope_db, spectral_envelope, track_pitch

FRAME_SECONDS = HOP / SAMPLE_RATE
"""Seconds of a frame, 0.016."""

QUIETEST_DB = -72.0
"""Frames below this level are silence."""

_LEVEL_DB = -20.0
_BELOW_LOUD_DB = 32.0
_STEADY_SEMITONES = 3.0
_CHANGE_WEIGHT, _TONAL_SCORE = 0.1, 0.14
_REACH = 62
_LEAST_STEPS = 8
_BRIDGE_SECONDS = 0.3
_SHORTEST_SECONDS = 0.06
_MARGIN_SECONDS = 0.05
_CLIPPED_COST = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceActivity:
    """What is heard in each frame of 16 ms of a recording.

    Attributes:
        is_voiced: (N,) bool, somebody speaks with voice.
        is_tonal: (N,) bool, a period that holds its pitch like music or hum; never voiced at the same time.
        level: (N,) dB, root mean square.
        log_f0: (N,) ln Hz, interpolated where there is no voice.
        seconds: length of the recording.
    """

    is_voiced: Tensor
    is_tonal: Tensor
    level: Tensor
    log_f0: Tensor
    seconds: float

    @property
    def voiced_seconds(self) -> float:
        """Seconds of voiced speech."""
        return int(self.is_voiced.sum()) * FRAME_SECONDS

    @property
    def tonal_seconds(self) -> float:
        """Seconds of what holds its pitch: music, hum, a tone."""
        return int(self.is_tonal.sum()) * FRAME_SECONDS

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Spoken parts (start, end) in seconds, in order and apart: see `voiced_spans`."""
        ends = _runs(_close(self.is_voiced, round(_BRIDGE_SECONDS / FRAME_SECONDS)))
        least = _SHORTEST_SECONDS / FRAME_SECONDS
        return [
            (
                max(0.0, first * FRAME_SECONDS - _MARGIN_SECONDS),
                min(self.seconds, last * FRAME_SECONDS + _MARGIN_SECONDS),
            )
            for first, last in ends
            if int(self.is_voiced[first:last].sum()) >= least
        ]


def find_voice(clip: AudioClip) -> VoiceActivity:
    """Find voiced speech in a recording.

    Args:
        clip: (1, samples), mono 16 kHz, any gain.
    Returns:
        `VoiceActivity` of ceil(samples / 256) frames.
    Raises:
        InputError: not mono 16 kHz, empty, or samples that are not finite.
    """
    waveform = clip.waveform
    if (
        waveform.ndim != 2
        or waveform.shape[0] != 1
        or clip.sample_rate != SAMPLE_RATE
        or not waveform.numel()
    ):
        raise InputError(
            f"voice: expected (1, samples) at {SAMPLE_RATE} Hz, got {tuple(waveform.shape)} at {clip.sample_rate} Hz. "
            "Convert it with wan_core.media.sound.resample."
        )
    bad = int((~torch.isfinite(waveform)).sum())
    if bad:
        raise InputError(
            f"voice: expected finite samples, got {bad} that are NaN or infinite. Export the recording again."
        )
    waveform = waveform.detach().float().cpu()
    level = envelope_db(waveform)[0]
    loud = float(level.quantile(0.95))
    # The pitch tracker has a fixed floor of its own, so that the clip comes to it at one level.
    levelled = waveform * 10.0 ** ((_LEVEL_DB - loud) / 20.0)
    log_f0, _, is_periodic = (part[0] for part in track_pitch(levelled))
    is_periodic = is_periodic & (level > max(QUIETEST_DB, loud - _BELOW_LOUD_DB))
    holds, change = _movement(levelled, log_f0, is_periodic)
    is_tonal = is_periodic & (holds - _CHANGE_WEIGHT * change > _TONAL_SCORE)
    return VoiceActivity(
        is_voiced=is_periodic & ~is_tonal,
        is_tonal=is_tonal,
        level=level,
        log_f0=log_f0,
        seconds=waveform.shape[1] / SAMPLE_RATE,
    )


def voiced_spans(clip: AudioClip) -> list[tuple[float, float]]:
    """Find the parts of a recording in which somebody speaks.

    Voiced frames less than 0.3 s apart belong together (the consonants between are part of the speech); parts with less
    than 0.06 s of voice are dropped; 0.05 s is kept on either side. Whispering has no voice and is not found.

    Args:
        clip: (1, samples), mono 16 kHz, any gain.
    Returns:
        (start, end) in seconds, in order, apart from each other, within the clip; empty where nobody speaks.
    Raises:
        InputError: see `find_voice`.
    """
    return find_voice(clip).spans


def best_voiced_second(clip: AudioClip, seconds: float = 1.0) -> tuple[float, float]:
    """Find the part of a recording that says most about the voice.

    It is the window with the most voiced speech; among windows with as much (to 0.05 s), the loudest. Clipped samples
    count against a window.

    Args:
        clip: (1, samples), mono 16 kHz, at least `seconds` long.   seconds: length of the window.
    Returns:
        (start, end) in seconds, `seconds` apart, within the clip.
    Raises:
        InputError: the clip is shorter than the window, or nobody speaks in it; see also `find_voice`.
    """
    activity = find_voice(clip)
    size = round(seconds * SAMPLE_RATE)
    spare = clip.waveform.shape[1] - size
    if size < 1 or spare < 0:
        raise InputError(
            f"voice: expected at least {seconds:g} s, got {activity.seconds:.2f} s. Give a longer recording."
        )
    if not bool(activity.is_voiced.any()):
        raise InputError(
            f"voice: expected speech, got {activity.tonal_seconds:.2f} s of music or tones and no voice in "
            f"{activity.seconds:.2f} s. Give a recording of one person speaking."
        )
    frames = max(1, min(size // HOP, len(activity.level)))
    clipped = functional.pad(clip.waveform[0].abs() >= 0.999, (0, -clip.waveform.shape[1] % HOP))
    score = (
        activity.is_voiced.float()
        - _CLIPPED_COST * clipped.view(-1, HOP).float().mean(-1)[: len(activity.level)]
    )
    voiced = score.unfold(0, frames, 1).sum(-1)
    power = (10.0 ** (activity.level / 10.0) * activity.is_voiced).unfold(0, frames, 1).sum(-1)
    is_best = voiced >= voiced.max() - 0.05 / FRAME_SECONDS
    first = int(torch.where(is_best, power, -1.0).argmax())
    start = min(first * HOP, spare) / SAMPLE_RATE
    return start, start + seconds


def _movement(waveform: Tensor, log_f0: Tensor, is_periodic: Tensor) -> tuple[Tensor, Tensor]:
    """How pitch and sound move around each frame, one second either side, where there is a period.

    Returns: share of steps in which the pitch holds, (N,), and mean change of the envelope's cepstra in a step, (N,).
        Frames with too few steps around them count as moving.
    """
    both = is_periodic[1:] & is_periodic[:-1]
    speed = log_f0.diff().abs() * (12.0 / math.log(2.0)) / FRAME_SECONDS
    cepstra = spectral_envelope(waveform, log_f0[None])[0] @ cosine_basis()[1:13].T
    change = cepstra.diff(dim=0).norm(dim=-1)
    sums = torch.stack((both & (speed < _STEADY_SEMITONES), change * both, both)).double()
    sums = functional.pad(sums, (1, 0)).cumsum(-1)
    last = sums.shape[-1] - 1
    index = torch.arange(len(log_f0))
    near = sums[:, (index + _REACH).clamp(max=last)] - sums[:, (index - _REACH).clamp(min=0)]
    is_known, steps = near[2] >= _LEAST_STEPS, near[2].clamp_min(1.0)
    return torch.where(is_known, near[0] / steps, 0.0), torch.where(is_known, near[1] / steps, math.inf)


def _runs(flags: Tensor) -> list[tuple[int, int]]:
    """First and one-past-last index of every run of True in (N,)."""
    edges = functional.pad(flags.int(), (1, 1)).diff()
    starts, ends = (edges == 1).nonzero()[:, 0], (edges == -1).nonzero()[:, 0]
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def _close(flags: Tensor, gap: int) -> Tensor:
    """Fill holes of at most `gap` frames between two True frames."""
    filled = flags.clone()
    for first, last in _runs(~flags):
        if first > 0 and last < len(flags) and last - first <= gap:
            filled[first:last] = True
    return filled
