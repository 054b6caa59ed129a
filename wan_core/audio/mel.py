"""The mel spectrogram that the audio VAE of MMAudio reads and makes."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ShapeError

#: Smallest magnitude whose logarithm is taken, and what keeps the root of a spectrum away from zero.
_FLOOR, _TINY = 1e-5, 1e-9
#: Slaney's mel axis: even below 1 kHz, logarithmic above.
_LINEAR_STEP, _BREAK, _LOG_STEP = 200.0 / 3.0, 1000.0, math.log(6.4) / 27.0


def log_mel(waveform: Tensor, *, sample_rate: int, window: int, hop: int, bands: int) -> Tensor:
    """Logarithm (base 10) of the magnitude in mel bands.

    Args:
        waveform: (B, samples), cut to [-1, 1]; more samples than half of the window.
        sample_rate: Hz.   window: samples of the Hann window and of the transform.   hop: samples a frame.
        bands: number of bands, from 0 Hz to half the rate.
    Returns:
        (B, bands, frames), float32; as many frames as whole hops fit into the waveform.
    Raises: ShapeError: another shape, or a waveform that is too short.
    Source: character-ai/Ovi@5b69b25 ovi/modules/mmaudio/ext/mel_converter.py.
    """
    margin = (window - hop) // 2
    if waveform.ndim != 2 or waveform.shape[1] <= max(margin, hop):
        raise ShapeError(
            f"waveform: expected (batch, samples) with more than {max(margin, hop)} samples, got "
            f"{tuple(waveform.shape)}. Use a longer recording."
        )
    padded = F.pad(waveform.float().clamp(-1, 1)[:, None], (margin, margin), mode="reflect")[:, 0]
    shape = torch.hann_window(window, device=waveform.device)
    spectrum = torch.stft(padded, window, hop, window, shape, center=False, return_complex=True)
    magnitude = torch.view_as_real(spectrum).square().sum(-1).add(_TINY).sqrt()
    filters = mel_filters(sample_rate, window, bands).to(waveform.device)
    return torch.log10((filters @ magnitude).clamp(min=_FLOOR))


def mel_filters(sample_rate: int, window: int, bands: int) -> Tensor:
    """Triangles of equal area on Slaney's mel axis, (bands, window / 2 + 1), float32.

    Source: the defaults of librosa.filters.mel, which MMAudio was trained with (formula only).
    """
    lowest_log = _BREAK / _LINEAR_STEP
    top = lowest_log + math.log(sample_rate / 2 / _BREAK) / _LOG_STEP
    mels = torch.linspace(0.0, top, bands + 2, dtype=torch.float64)
    hertz = torch.where(
        mels < lowest_log, mels * _LINEAR_STEP, _BREAK * torch.exp(_LOG_STEP * (mels - lowest_log))
    )
    bins = torch.linspace(0.0, sample_rate / 2, window // 2 + 1, dtype=torch.float64)
    widths = hertz.diff()
    rising = (bins - hertz[:-2, None]) / widths[:-1, None]
    falling = (hertz[2:, None] - bins) / widths[1:, None]
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return (triangles * (2.0 / (hertz[2:] - hertz[:-2]))[:, None]).float()
