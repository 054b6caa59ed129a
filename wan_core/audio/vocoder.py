"""Speech from source-filter frames: a harmonic and a noise excitation through a minimum-phase envelope.

No weights and no iterations. The harmonic source is a closed-form sum of equal cosines below 7.9 kHz; noise comes
from a fixed seed, so equal frames give equal samples. Each half-overlapping slice of 16 ms is filtered in the
frequency domain and overlap-added, which makes the filter change smoothly.
Source: own code. Idea: the source-filter model (J. Flanagan, "Speech Analysis, Synthesis and Perception", 1972).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ..ops.speech import CEPSTRA, HOP, POWER_FLOOR, SAMPLE_RATE, SpeechFrames, cosine_basis, mel, mel_axis

_STEP = HOP // 2
_FFT = 1024
_TOP = 7900.0


def synthesise(frames: SpeechFrames, noise_seed: int = 7) -> Tensor:
    """Make a waveform from speech frames.

    Args:
        frames: (B, N) frames of 16 ms; see `SpeechFrames`. noise_seed: seed of the noise.
    Returns: (B, 256 N) in [-1, 1], 16 kHz, dtype and device of the frames.
    """
    voicing = frames.voicing.clamp(0.0, 1.0)
    samples = frames.log_f0.shape[-1] * HOP
    harmonic = harmonic_source(frames.log_f0, samples)
    generator = torch.Generator().manual_seed(noise_seed)
    noise = torch.randn(samples, generator=generator).to(harmonic).expand_as(harmonic)
    cepstra = _double(frames.cepstra.transpose(-1, -2)).transpose(-1, -2)
    response = minimum_phase(cepstra) * _gate(cepstra)[..., None]
    share = _double(voicing[:, None])[:, 0, :, None]
    hertz = torch.linspace(0.0, SAMPLE_RATE / 2, _FFT // 2 + 1, device=share.device, dtype=share.dtype)
    periodic = share ** (0.25 + (hertz / 3000.0).square())
    source = _slices(harmonic) * periodic.sqrt() + _slices(noise) * (1.0 - periodic).clamp_min(0.0).sqrt()
    pieces = torch.fft.irfft(source * response, _FFT)
    total = F.fold(
        pieces.transpose(-1, -2),
        output_size=(1, (pieces.shape[1] - 1) * _STEP + _FFT),
        kernel_size=(1, _FFT),
        stride=(1, _STEP),
    )[:, 0, 0]
    return total[:, _STEP // 2 : _STEP // 2 + samples].clamp(-1.0, 1.0)


def harmonic_source(log_f0: Tensor, samples: int) -> Tensor:
    """Pulses of unit power per sample at the given pitch.

    Args:
        log_f0: (B, N), ln Hz, clamped to 40-600 Hz. samples: length wanted.
    Returns: (B, samples); the harmonics' power averaged over one F0 width equals that of white noise of variance 1.
    """
    dense = F.interpolate(log_f0[:, None].double(), size=samples, mode="linear")[:, 0]
    f0 = dense.clamp(math.log(40.0), math.log(600.0)).exp()
    phase = (2.0 * math.pi * f0 / SAMPLE_RATE).cumsum(-1)
    phase = torch.remainder(phase + math.pi, 2.0 * math.pi) - math.pi
    count = _TOP / f0
    whole = count.floor()
    half = phase / 2.0
    safe = torch.where(half.sin().abs() < 1e-6, torch.full_like(half, 1e-6), half)
    train = 0.5 * (torch.sin((2.0 * whole + 1.0) * safe) / safe.sin() - 1.0)
    train = train + (count - whole) * torch.cos((whole + 1.0) * phase)
    return (train * (4.0 * f0 / SAMPLE_RATE).sqrt()).to(log_f0.dtype)


def minimum_phase(cepstra: Tensor) -> Tensor:
    """Complex response, (B, M, 513), of the minimum-phase filter whose power the cepstra (B, M, 24) tell."""
    centres = mel_axis()
    hertz = torch.linspace(0.0, SAMPLE_RATE / 2, _FFT // 2 + 1)
    place = (mel(hertz) - mel(centres[0])) / (mel(centres[-1]) - mel(centres[0])) * (len(centres) - 1)
    weights = (1.0 - (place[:, None] - torch.arange(len(centres))).abs()).clamp_min(0.0)
    weights[hertz < centres[0], 0] = 1.0
    weights[hertz > centres[-1], -1] = 1.0
    reader = (weights @ cosine_basis(len(centres), CEPSTRA).T).to(cepstra)
    log_amplitude = 0.5 * cepstra @ reader.T
    real = torch.fft.irfft(log_amplitude, _FFT)
    fold = torch.zeros(_FFT, device=cepstra.device, dtype=cepstra.dtype)
    fold[0] = fold[_FFT // 2] = 1.0
    fold[1 : _FFT // 2] = 2.0
    return torch.fft.rfft(real * fold, _FFT).exp()


def _gate(cepstra: Tensor) -> Tensor:
    """Gain (B, M) that takes out the power which the analysis adds to every envelope point: silence becomes silent."""
    power = (cepstra @ cosine_basis().to(cepstra)).exp().mean(-1)
    return (1.0 - 2.0 * POWER_FLOOR / power).clamp(0.0, 1.0).sqrt()


def _double(values: Tensor) -> Tensor:
    """Two values a frame from one, (B, C, N) -> (B, C, 2 N), with an extra one held at either end."""
    return F.pad(F.interpolate(values, scale_factor=2.0, mode="linear"), (1, 1), mode="replicate")


def _slices(signal: Tensor) -> Tensor:
    """Spectra (B, 2 N + 2, 513) of half-overlapping Hann slices of 256 samples, centred from sample -64 on."""
    window = torch.hann_window(2 * _STEP, periodic=True, device=signal.device, dtype=signal.dtype)
    padded = F.pad(signal, (_STEP + _STEP // 2, _STEP + _STEP // 2))
    return torch.fft.rfft(padded.unfold(-1, 2 * _STEP, _STEP) * window, _FFT)
