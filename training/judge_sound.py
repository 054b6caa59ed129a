"""Instruments that judge the sound of nano: they hear waveforms only, and share nothing with the model's own encoders.

Their front end is a plain log-mel spectrogram (the model sees source-filter features), the pitch comes from a sum
of subharmonics (the model uses YIN), and the two small networks were trained by `training.train_judge_sound` on
espeak-ng's waveforms, plain and after the codec; never on anything that nano generated.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import torch
import torchaudio
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F

SAMPLE_RATE = 16000
MELS = 64
JUDGE_PATH = Path(__file__).parent / "judges" / "sound.safetensors"
SOURCE_GAIN_DB = 65.0


class PhraseScores(NamedTuple):
    """Logits of the opener and of the closer, (B, 8) each, in the order of the vocabulary."""

    opener: Tensor
    closer: Tensor


class LogMel(nn.Module):
    """Log-mel spectrogram at any gain, (B, T) -> (B, 64, 1 + T // 160): 20 dB a unit, the loudest band at 1.5."""

    def __init__(self) -> None:
        super().__init__()
        self.mel = torchaudio.transforms.MelSpectrogram(
            SAMPLE_RATE, n_fft=512, hop_length=160, f_min=60.0, f_max=7800.0, n_mels=MELS
        )

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute; not below -65 dB from the loudest band."""
        level = 10.0 * torch.log10(self.mel(waveform) + 1e-10)
        top = level.amax((1, 2), keepdim=True).clamp_min(-60.0)
        return ((level - top).clamp_min(-SOURCE_GAIN_DB) / 20.0) + 1.5


class SoundNet(nn.Module):
    """Spectrogram (B, 64, N) -> pooled description (B, 2 width): the mean and the highest of each channel over time."""

    def __init__(self, width: int = 144, *, pools_spread: bool = False) -> None:
        super().__init__()
        self.pools_spread = pools_spread
        self.picture = nn.Sequential(
            nn.Conv2d(1, 16, (5, 3), stride=(2, 2), padding=(2, 1)),
            nn.BatchNorm2d(16),
            nn.SiLU(),
            nn.Conv2d(16, 24, 3, stride=(2, 1), padding=1),
            nn.BatchNorm2d(24),
            nn.SiLU(),
        )
        self.sequence = nn.Sequential(
            nn.Conv1d(24 * MELS // 4, width, 3, padding=1),
            nn.BatchNorm1d(width),
            nn.SiLU(),
            nn.Conv1d(width, width, 5, stride=2, padding=2),
            nn.BatchNorm1d(width),
            nn.SiLU(),
            nn.Conv1d(width, width, 5, padding=2),
            nn.BatchNorm1d(width),
            nn.SiLU(),
        )

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Describe."""
        hidden = self.sequence(self.picture(spectrogram[:, None]).flatten(1, 2))
        second = hidden.std(-1) if self.pools_spread else hidden.amax(-1)
        return torch.cat((hidden.mean(-1), second), -1)


class PhraseNet(nn.Module):
    """Recognises opener and closer; a recurrent layer reads the words in their order."""

    def __init__(self, width: int = 144, openers: int = 8, closers: int = 8) -> None:
        super().__init__()
        self.body = SoundNet(width)
        self.mix = nn.GRU(width, 96, batch_first=True, bidirectional=True)
        self.opener = nn.Linear(384, openers)
        self.closer = nn.Linear(384, closers)

    def forward(self, spectrogram: Tensor) -> PhraseScores:
        """Score (B, 64, N)."""
        hidden = self.body.sequence(self.body.picture(spectrogram[:, None]).flatten(1, 2))
        states = self.mix(hidden.transpose(1, 2))[0]
        pooled = torch.cat((states.mean(1), states.amax(1)), -1)
        return PhraseScores(self.opener(pooled), self.closer(pooled))


class TimbreNet(nn.Module):
    """Places voices of one pitch apart by timbre: (B, 64, N) -> unit vectors (B, 64)."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.body = SoundNet(width, pools_spread=True)
        self.out = nn.Linear(2 * width, 64)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Embed."""
        return F.normalize(self.out(self.body(spectrogram)), dim=-1)


class SoundJudge(nn.Module):
    """The two networks and the measurements; all of it takes waveforms (B, T) at 16 kHz in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.log_mel = LogMel()
        self.phrase_net = PhraseNet()
        self.timbre_net = TimbreNet()

    @torch.inference_mode()
    def phrase(self, waveforms: Tensor) -> PhraseScores:
        """Logits of what is said, (B, 8) each."""
        return self.phrase_net(self.log_mel(waveforms))

    @torch.inference_mode()
    def timbre_embedding(self, waveforms: Tensor) -> Tensor:
        """Unit vectors (B, 64); compare by cosine among voices of about the same pitch."""
        return self.timbre_net(self.log_mel(waveforms))

    @torch.inference_mode()
    def median_f0(self, waveforms: Tensor) -> Tensor:
        """Median pitch in Hz, (B,); NaN where nothing is voiced. See `median_f0`."""
        return median_f0(waveforms)

    @torch.inference_mode()
    def envelope(self, waveforms: Tensor, fps: float, frames: int) -> Tensor:
        """Loudness at video frame times. See `envelope`."""
        return envelope(waveforms, fps, frames)


def median_f0(waveforms: Tensor, low: float = 50.0, high: float = 450.0) -> Tensor:
    """Median F0 over the clearly voiced frames, by subharmonic summation.

    Args:
        waveforms: (B, T), 16 kHz. low, high: Hz searched.
    Returns: (B,) in Hz; NaN where no frame is voiced.
    Source: own code after D. Hermes, "Measurement of pitch by subharmonic summation", 1988; what lies half-way
        between harmonics is subtracted, which keeps low candidates from collecting a higher voice's harmonics.
    """
    size, padded = 1024, 4096
    spectrum = torch.stft(
        waveforms,
        padded,
        hop_length=256,
        win_length=size,
        window=torch.hann_window(size),
        return_complex=True,
    ).abs()
    grid = torch.exp(torch.linspace(torch.tensor(low).log(), torch.tensor(high).log(), 220))
    amplitude = spectrum[:, : int(2600 * padded / SAMPLE_RATE)].sqrt()
    score = torch.zeros(len(waveforms), len(grid), spectrum.shape[-1])
    total = torch.zeros(len(grid))
    for harmonic in range(1, 13):
        for step, sign in ((harmonic, 1.0), (harmonic - 0.5, -1.0)):
            place = grid * step * padded / SAMPLE_RATE
            inside = place < amplitude.shape[1] - 1
            weight = torch.where(inside, 0.86 ** (harmonic - 1), 0.0)
            score += (
                sign * weight[:, None] * amplitude[:, place.clamp(max=amplitude.shape[1] - 1).round().long()]
            )
            total += weight / 2.0
    score = score / total.sqrt()[:, None]
    best, where = score.max(1)
    energy = amplitude.square().sum(1)
    strength = best / (energy.sqrt() + 1e-9)
    is_voiced = (energy > 0.05 * energy.amax(1, keepdim=True)) & (
        strength > 0.35 * strength.amax(1, keepdim=True)
    )
    pitch = torch.where(is_voiced & (energy > 1e-6), grid[where], torch.nan)
    return pitch.nanmedian(1).values


def envelope(waveforms: Tensor, fps: float, frames: int, smoothing: float = 0.05) -> Tensor:
    """Loudness around the time k / fps of each video frame, (B, frames) in [0, 1] of the clip's highest.

    Args:
        waveforms: (B, T), 16 kHz. smoothing: standard deviation in seconds of the Gaussian on the amplitude.
    """
    times = torch.arange(waveforms.shape[-1]) / SAMPLE_RATE
    out: list[Tensor] = []
    for frame in range(frames):
        low = max(0, int((frame / fps - 3 * smoothing) * SAMPLE_RATE))
        high = int((frame / fps + 3 * smoothing) * SAMPLE_RATE)
        weight = torch.exp(-0.5 * ((times[low:high] - frame / fps) / smoothing).square())
        power = (waveforms[:, low:high].square() * weight).sum(-1) / weight.sum().clamp_min(1e-6)
        out.append(power.sqrt())
    level = torch.stack(out, -1)
    return (level / level.amax(-1, keepdim=True).clamp_min(1e-4)).sqrt()


def load_sound_judge(path: Path = JUDGE_PATH) -> SoundJudge:
    """The trained instruments, float32, in inference mode.

    Raises: FileNotFoundError: not trained yet; `python -m training.train_judge_sound` makes the file.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"sound judge: expected its weights at {path}, got no file. Run `python -m training.train_judge_sound`."
        )
    judge = SoundJudge()
    with safe_open(path, framework="pt") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
    wanted = judge.state_dict()
    judge.load_state_dict(
        {**wanted, **{name: value.to(wanted[name].dtype) for name, value in stored.items()}}
    )
    return judge.train(False)


def judge_notes(path: Path = JUDGE_PATH) -> dict[str, float]:
    """How good the instruments were on held-out voices when they were trained (accuracies in [0, 1])."""
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["measured"])
