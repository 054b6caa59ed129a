"""Sound at another sample rate: torchaudio, or PyAV where torchaudio is missing or was built for another CUDA."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError

Resampler = Callable[[Tensor, int, int], Tensor]

_MOST_PHASES = 4000
_log = logging.getLogger(__name__)


def resample_waveform(waveform: Tensor, old_rate: int, new_rate: int) -> Tensor:
    """Convert sound to another sample rate.

    torchaudio does it (a windowed-sinc filter). PyAV does where torchaudio can not be imported, which the log says
    once, and between rates with no common divisor to speak of, whose filter would need gigabytes.

    Args:
        waveform: (channels, samples) float32, at least one of each.   old_rate, new_rate: Hz, positive.
    Returns:
        (channels, samples') float32 on the CPU, ceil(samples * new_rate / old_rate) long to a few samples; the same
        tensor where the rates are equal.
    Raises:
        InputError: another shape, or a rate that is not positive.
    """
    if waveform.ndim != 2 or 0 in waveform.shape or old_rate < 1 or new_rate < 1:
        raise InputError(
            f"sound: expected (channels, samples) and rates of 1 Hz or more, got {tuple(waveform.shape)} from "
            f"{old_rate} to {new_rate} Hz. Give at least one channel and sample."
        )
    if old_rate == new_rate:
        return waveform
    samples = waveform.detach().float().cpu()
    shared = math.gcd(old_rate, new_rate)
    if max(old_rate, new_rate) // shared > _MOST_PHASES:
        return resample_with_av(samples, old_rate, new_rate)
    return find_resampler()(samples, old_rate, new_rate)


@lru_cache(maxsize=1)
def find_resampler() -> Resampler:
    """Return what resamples here: torchaudio's function, or `resample_with_av` with a line in the log that says why."""
    try:
        from torchaudio.functional import resample
    except (ImportError, OSError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        _log.warning("torchaudio can not be used (%s): PyAV resamples sound instead.", reason)
        return resample_with_av

    def with_torchaudio(waveform: Tensor, old_rate: int, new_rate: int) -> Tensor:
        return resample(waveform, old_rate, new_rate, lowpass_filter_width=24)

    return with_torchaudio


def resample_with_av(waveform: Tensor, old_rate: int, new_rate: int) -> Tensor:
    """Convert with PyAV's resampler; arguments and result as `resample_waveform`."""
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler

    rows: list[Tensor] = []
    for row in waveform:
        frame = AudioFrame.from_ndarray(row[None].contiguous().numpy(), format="fltp", layout="mono")
        frame.sample_rate = old_rate
        resampler = AudioResampler(format="fltp", layout="mono", rate=new_rate)
        parts = [part.to_ndarray()[0] for part in (*resampler.resample(frame), *resampler.resample(None))]
        rows.append(torch.from_numpy(np.concatenate(parts).astype(np.float32)))
    return torch.stack(rows)
