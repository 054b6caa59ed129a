"""Analysis of speech in torch: spectral envelope, pitch, voicing and loudness of 16 kHz waveforms.

One frame lasts 256 samples (16 ms); frame n is centred on sample 256 n + 128. The envelope is a power spectrum averaged
over one F0's width in frequency, which removes the harmonics whatever the pitch; the pitch comes from YIN's
cumulative-mean-normalised difference with a Viterbi search over log pitch.
Source: own code. Ideas: A. de Cheveigne and H. Kawahara, "YIN, a fundamental frequency estimator", 2002 (the difference
function); M. Morise, "CheapTrick", 2015 (smoothing over one F0 width).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ShapeError

SAMPLE_RATE = 16000
"""Hz; every waveform here."""
HOP = 256
"""Samples from one frame to the next."""
CEPSTRA = 24
"""Envelope coefficients of a frame."""
FEATURES = CEPSTRA + 2
"""Numbers of a frame: cepstra, log F0, voicing."""
MEL_POINTS = 48
"""Points of the mel axis at which the envelope is sampled before the cosine transform."""
WINDOW = 640
"""Samples under the envelope's Hann window."""
POWER_FLOOR = 1e-8
"""Power added to every envelope point (-80 dB a sample): silence."""
F0_LOW, F0_HIGH = 50.0, 400.0
"""Hz; the range of the pitch tracker."""
_FFT = WINDOW
_PITCH_DECIMATION = 2
_PITCH_WINDOW = 384
_PITCH_BINS = 96
_UNVOICED_COST = 0.45
_SWITCH_COST = 0.25
_JUMP = 8


@dataclass(frozen=True, kw_only=True)
class SpeechFrames:
    """What `analyse` finds in each frame of 16 ms.

    Attributes:
        cepstra: (B, N, 24), cosine transform of the natural log of the envelope's power per sample on the mel axis.
        log_f0: (B, N), natural log of Hz; interpolated where there is no voice.
        voicing: (B, N) in [0, 1], 0 = noise or silence, 1 = as periodic as a steady voice.
    """

    cepstra: Tensor
    log_f0: Tensor
    voicing: Tensor

    def stack(self) -> Tensor:
        """Return all of it as one tensor, (B, N, 26): cepstra, log F0, voicing."""
        return torch.cat((self.cepstra, self.log_f0[..., None], self.voicing[..., None]), -1)

    @staticmethod
    def split(features: Tensor) -> SpeechFrames:
        """Undo `stack`: (B, N, 26) -> frames.

        Raises: ShapeError: the last axis does not hold 26 numbers.
        """
        if features.shape[-1] != FEATURES:
            raise ShapeError(
                f"speech features: expected a last axis of {FEATURES}, got {tuple(features.shape)}. Use `analyse`."
            )
        return SpeechFrames(
            cepstra=features[..., :CEPSTRA], log_f0=features[..., CEPSTRA], voicing=features[..., CEPSTRA + 1]
        )


def mel(hertz: Tensor) -> Tensor:
    """Hz -> mel (O'Shaughnessy's formula), any shape."""
    return 2595.0 * torch.log10(1.0 + hertz / 700.0)


def mel_axis(points: int = MEL_POINTS) -> Tensor:
    """Centres in Hz, (points,), evenly spaced on the mel axis from 60 Hz to 7,800 Hz."""
    low, high = (2595.0 * math.log10(1.0 + edge / 700.0) for edge in (60.0, 7800.0))
    return 700.0 * (10.0 ** (torch.linspace(low, high, points) / 2595.0) - 1.0)


def cosine_basis(points: int = MEL_POINTS, count: int = CEPSTRA) -> Tensor:
    """Orthonormal DCT-II rows, (count, points)."""
    n = torch.arange(points, dtype=torch.float64) + 0.5
    basis = torch.cos(math.pi / points * n[None] * torch.arange(count, dtype=torch.float64)[:, None])
    basis *= math.sqrt(2.0 / points)
    basis[0] /= math.sqrt(2.0)
    return basis.float()


@lru_cache(maxsize=2)
def _tables(device: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hann window, mel centres, mel band widths in Hz and cosine basis on `device` (immutable by agreement)."""
    centres = mel_axis()
    widths = torch.gradient(centres)[0]
    window = torch.hann_window(WINDOW, periodic=False)
    return window.to(device), centres.to(device), widths.to(device), cosine_basis().to(device)


def frame(waveform: Tensor, size: int, hop: int = HOP) -> Tensor:
    """Cut (B, T) into centred frames, (B, ceil(T / hop), size), with zeros beyond the ends.

    Frame n is centred on sample hop * n + hop / 2.
    """
    count = -(-waveform.shape[-1] // hop)
    left = (size - hop) // 2
    right = (count - 1) * hop + size - left - waveform.shape[-1]
    return F.pad(waveform, (left, max(right, 0))).unfold(-1, size, hop)[:, :count]


def _check(waveform: Tensor) -> None:
    if waveform.ndim != 2 or waveform.shape[-1] == 0:
        raise ShapeError(
            f"waveform: expected (batch, samples) with at least one sample, got {tuple(waveform.shape)}. "
            "Add a batch axis."
        )


def track_pitch(waveform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Follow the pitch of speech, 50-400 Hz.

    Args:
        waveform: (B, T), 16 kHz, any gain.
    Returns: log F0 (B, N) in ln Hz, interpolated across unvoiced frames; periodicity (B, N) in [0, 1] at that pitch;
        is_voiced (B, N) bool.
    Raises: ShapeError: not (B, T).
    """
    _check(waveform)
    rate = SAMPLE_RATE / _PITCH_DECIMATION
    kernel = _low_pass(waveform.device, waveform.dtype)
    half = F.conv1d(waveform[:, None], kernel, stride=_PITCH_DECIMATION, padding=kernel.shape[-1] // 2)[:, 0]
    longest = math.ceil(rate / F0_LOW) + 2
    size = _PITCH_WINDOW + longest
    frames = frame(half, size, HOP // _PITCH_DECIMATION)
    frames = frames - frames.mean(-1, keepdim=True)
    length = 576
    spectrum = torch.fft.rfft(frames, length)
    head = torch.fft.rfft(frames[..., :_PITCH_WINDOW], length)
    cross = torch.fft.irfft(spectrum * head.conj(), length)[..., :longest]
    power = F.pad(frames.square().cumsum(-1), (1, 0))
    energy = power[..., _PITCH_WINDOW : _PITCH_WINDOW + longest] - power[..., :longest]
    floor = 1e-7 * _PITCH_WINDOW
    difference = (energy[..., :1] + energy - 2.0 * cross).clamp_min(0.0) + floor
    running = difference[..., 1:].cumsum(-1) / torch.arange(1, longest, device=waveform.device)
    normal = F.pad(difference[..., 1:] / running, (1, 0), value=1.0)
    # Sample the cost on a log-pitch grid: the lowest value within each bin's lags, so that short lags are not missed.
    edges = torch.linspace(math.log(F0_LOW), math.log(F0_HIGH), _PITCH_BINS, device=waveform.device)
    lags = rate / edges.exp()
    below = lags.floor().long()
    part = (lags - below).to(normal.dtype)
    grid = normal[..., below] * (1.0 - part) + normal[..., below + 1] * part
    path, is_voiced = _best_path(grid + 0.1 * torch.linspace(1, 0, _PITCH_BINS, device=waveform.device))
    # Refine to the parabola through the dip nearest to the chosen lag.
    near = (lags[path] + 0.5).long()
    reach = torch.arange(-2, 3, device=waveform.device)
    around = (near[..., None] + reach).clamp(2, longest - 2)
    best = around.gather(-1, normal.gather(-1, around).argmin(-1, keepdim=True))
    left, middle, right = (normal.gather(-1, best + k)[..., 0] for k in (-1, 0, 1))
    bend = (left - 2 * middle + right).clamp_min(1e-6)
    offset = (0.5 * (left - right) / bend).clamp(-1.0, 1.0)
    log_f0 = torch.log(rate / (best[..., 0] + offset)).clamp(math.log(F0_LOW), math.log(F0_HIGH))
    periodicity = (1.0 - (middle - 0.25 * (left - right) * offset)).clamp(0.0, 1.0)
    loud = energy[..., 0] > 1e-6 * _PITCH_WINDOW
    is_voiced = is_voiced & loud
    return _fill(log_f0, is_voiced), periodicity * loud, is_voiced


def _low_pass(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Windowed-sinc low-pass at 1.1 kHz, (1, 1, 31): what carries the pitch, with less of the breath."""
    n = torch.arange(-15, 16, device=device, dtype=dtype)
    taps = torch.sinc(n * 0.14) * torch.hann_window(33, periodic=False, device=device, dtype=dtype)[1:-1]
    return (taps / taps.sum())[None, None]


def _best_path(cost: Tensor) -> tuple[Tensor, Tensor]:
    """Cheapest path through (B, N, bins) pitch costs with an unvoiced state: bins (B, N) and is_voiced (B, N).

    After unvoiced frames a voice may resume at any pitch for the same cost.
    """
    batch, count, bins = cost.shape
    step = 0.06 * torch.arange(-_JUMP, _JUMP + 1, device=cost.device).abs().to(cost.dtype)
    voiced, silent = cost[:, 0], torch.full((batch,), _UNVOICED_COST, device=cost.device, dtype=cost.dtype)
    back_bin: list[Tensor] = []
    back_silent: list[Tensor] = []
    for n in range(1, count):
        padded = F.pad(voiced, (_JUMP, _JUMP), value=1e9).unfold(-1, 2 * _JUMP + 1, 1) + step
        stay, move = padded.min(-1)
        enter = silent[:, None] + _SWITCH_COST
        from_silence = enter < stay
        best_voice, best_bin = voiced.min(-1)
        leave = best_voice + _SWITCH_COST
        from_voice = leave < silent
        origin = (torch.arange(bins, device=cost.device) + move - _JUMP).clamp(0, bins - 1)
        back_bin.append(torch.where(from_silence, -1, origin))
        back_silent.append(torch.where(from_voice, best_bin, -1))
        voiced = torch.where(from_silence, enter, stay) + cost[:, n]
        silent = torch.where(from_voice, leave, silent) + _UNVOICED_COST
    end_voice, end_bin = voiced.min(-1)
    state = torch.where(end_voice < silent, end_bin, -1)
    states = [state]
    for n in range(count - 2, -1, -1):
        from_voiced = back_bin[n].gather(-1, state.clamp_min(0)[:, None])[:, 0]
        state = torch.where(state >= 0, from_voiced, back_silent[n])
        states.append(state)
    path = torch.stack(states[::-1], -1)
    return path.clamp_min(0), path >= 0


def _fill(values: Tensor, known: Tensor) -> Tensor:
    """Interpolate (B, N) linearly across frames that are not known; hold the ends; ln 150 Hz where nothing is known."""
    count = values.shape[-1]
    index = torch.arange(count, device=values.device).expand_as(values)
    before = torch.where(known, index, -1).cummax(-1).values
    after = (count - 1) - torch.where(known.flip(-1), index, -1).cummax(-1).values.flip(-1)
    has_before, has_after = before >= 0, after < count
    low = torch.where(has_before, before, after).clamp(0, count - 1)
    high = torch.where(has_after, after, before).clamp(0, count - 1)
    share = (index - low) / (high - low).clamp_min(1)
    filled = torch.lerp(values.gather(-1, low), values.gather(-1, high), share.clamp(0, 1).to(values.dtype))
    return torch.where(has_before | has_after, filled, math.log(150.0))


def spectral_envelope(waveform: Tensor, log_f0: Tensor) -> Tensor:
    """Natural log of the envelope's power per sample at the mel points, (B, N, 48).

    Args:
        waveform: (B, T), 16 kHz. log_f0: (B, N), ln Hz, from `track_pitch`.
    """
    window, centres, widths, _ = _tables(str(waveform.device))
    window = window.to(waveform.dtype)
    spectrum = torch.fft.rfft(frame(waveform, WINDOW) * window, _FFT)
    power = (spectrum.real.square() + spectrum.imag.square()) / window.square().sum()
    # power of bin k covers [k - 1/2, k + 1/2]; mirrored below 0 Hz through the odd cumulative sum.
    cumulative = F.pad(power.cumsum(-1), (1, 0))
    width = torch.maximum(log_f0.exp()[..., None], widths * 0.8) * (_FFT / SAMPLE_RATE)
    middle = centres * (_FFT / SAMPLE_RATE) + 0.5
    total = _read(cumulative, middle + width / 2) - _read(cumulative, middle - width / 2)
    return torch.log(total / width + POWER_FLOOR)


def _read(cumulative: Tensor, at: Tensor) -> Tensor:
    """Interpolate (B, N, K) along its last axis at positions (B, N, M); odd mirror at 0, clamped at the top."""
    last = cumulative.shape[-1] - 1
    where = at.abs().clamp(max=last - 1e-3)
    below = where.long()
    low = cumulative.gather(-1, below)
    high = cumulative.gather(-1, below + 1)
    return torch.lerp(low, high, where - below) * at.sign()


def analyse(waveform: Tensor) -> SpeechFrames:
    """Turn speech into source-filter frames.

    Args:
        waveform: (B, T) in [-1, 1], 16 kHz, finite.
    Returns: frames of ceil(T / 256); see `SpeechFrames`.
    Raises: ShapeError: not (B, T).
    """
    log_f0, periodicity, is_voiced = track_pitch(waveform)
    envelope = spectral_envelope(waveform, log_f0)
    cepstra = envelope @ _tables(str(waveform.device))[3].T.to(waveform.dtype)
    # A low voice holds fewer periods in the tracker's window, so that the same glide costs it more periodicity.
    full = 0.8 - 0.25 * (math.log(150.0) - log_f0).clamp(0.0, 0.7) / 0.7
    voicing = ((periodicity - 0.25) / (full - 0.25)).clamp(0.0, 1.0) * is_voiced
    return SpeechFrames(cepstra=cepstra, log_f0=log_f0, voicing=voicing)


def envelope_db(waveform: Tensor, hop: int = HOP, size: int = 512) -> Tensor:
    """Root-mean-square level in dB, (B, ceil(T / hop)), not below -80 dB; Hann window of `size` samples."""
    _check(waveform)
    window = torch.hann_window(size, periodic=False, device=waveform.device, dtype=waveform.dtype)
    power = (frame(waveform, size, hop).square() * window).sum(-1) / window.sum()
    return 10.0 * torch.log10(power + POWER_FLOOR)


def loudness_track(waveform: Tensor, times: Tensor, smoothing: float = 0.05) -> Tensor:
    """Loudness of speech around given times, scaled to [0, 1] in each clip: how far its mouth opens.

    Args:
        waveform: (B, T), 16 kHz. times: (K,), seconds. smoothing: standard deviation of the Gaussian, seconds.
    Returns: (B, K); the square root of the smoothed amplitude over the clip's 95th percentile of it; 0 in silence.
    """
    hop = 80
    level = 10.0 ** (envelope_db(waveform, hop, 320) / 20.0)
    at = (torch.arange(level.shape[-1], device=waveform.device) + 0.5) * hop / SAMPLE_RATE
    weights = torch.exp(-0.5 * ((times[:, None] - at[None]) / smoothing).square())
    weights = weights / weights.sum(-1, keepdim=True)
    smooth = level @ weights.T.to(level.dtype)
    dense = torch.exp(-0.5 * ((at[:, None] - at[None]) / smoothing).square())
    peak = (level @ (dense / dense.sum(-1, keepdim=True)).T).quantile(0.95, -1, keepdim=True)
    noise = 10.0 ** (-60.0 / 20.0)
    return ((smooth - noise).clamp_min(0.0) / peak.clamp_min(10 * noise)).clamp(0.0, 1.0).sqrt()
