"""Batches of speech features for the voice encoder, from a speech bank, with the defects of real recordings."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from wan_core.audio import AudioCodec
from wan_core.ops.speech import CEPSTRA, MEL_POINTS, POWER_FLOOR, analyse, cosine_basis

from .world.bank import SpeechBank
from .world.speech import PHRASES, Speaker
from .world.voices import to_unit

LONGEST = 176
"""Frames of the longest training clip: 2.8 s; pooling carries over to longer ones."""


class VoiceBatch(NamedTuple):
    """Two clips of each of V voices: features (2 V, N, 26), clips i and i + V of one; factors (V, 15) in [0, 1]."""

    features: Tensor
    factors: Tensor


def real_features(bank: SpeechBank, voices: int, clips: int) -> tuple[Tensor, Tensor]:
    """Features analysed from waveforms rather than read from latents.

    Returns: features (voices, clips, 136, 26) and the numbers of the voices in the bank (voices,).
    """
    picked = torch.linspace(0, len(bank.train_voices) - 1, voices).long()
    rows: list[Tensor] = []
    with Speaker() as speaker, torch.inference_mode():
        for count, voice in enumerate(picked.tolist()):
            phrases = [(5 * count + 11 * clip) % PHRASES for clip in range(clips)]
            waves = torch.stack([speaker.say(bank.voices[voice], phrase, voice)[0] for phrase in phrases])
            rows.append(analyse(torch.nn.functional.pad(waves, (0, 816))).stack())
    return torch.stack(rows).clone(), picked


class VoiceBatches:
    """Draws batches.

    Args:
        bank: speech. codec: the codec of its latents. real: see `real_features`, mixed in for a quarter of the voices.
        voices: voices of a batch. seed: of everything drawn.
    """

    def __init__(
        self, bank: SpeechBank, codec: AudioCodec, real: tuple[Tensor, Tensor], voices: int, seed: int
    ) -> None:
        self._bank, self._codec, self._voices = bank, codec, voices
        self._real, self._real_voices = real
        self._factors = torch.from_numpy(to_unit(bank.voices))
        self._basis = cosine_basis()
        self._random = torch.Generator().manual_seed(seed)

    def draw(self) -> VoiceBatch:
        """Draw the next batch; its clips last between 0.8 and 2.8 s."""
        random = self._random
        fake = self._voices * 3 // 4
        pick = torch.randperm(len(self._bank.train_voices), generator=random)[:fake]
        real = torch.randperm(len(self._real), generator=random)[: self._voices - fake]
        parts = 1 + int(torch.randint(2, (), generator=random))
        sides: list[Tensor] = []
        phrases = torch.rand(fake, PHRASES, generator=random).argsort(1)
        takes = torch.rand(len(real), self._real.shape[1], generator=random).argsort(1)
        for side in range(2):
            from_bank = torch.stack(
                [
                    torch.from_numpy(self._bank.latents[v, p].copy())
                    for v, row in zip(pick.tolist(), phrases.numpy(), strict=True)
                    for p in row[side * parts : (side + 1) * parts]
                ]
            )
            read = self._codec.unpack(from_bank.float()).reshape(fake, -1, CEPSTRA + 2)
            made = self._real[real[:, None], takes[:, side * parts : (side + 1) * parts]].flatten(1, 2)
            sides.append(self._spoil(torch.cat((read, made))))
        numbers = torch.cat((pick, self._real_voices[real]))
        length = int(torch.randint(48, min(sides[0].shape[1], LONGEST) + 1, (), generator=random))
        features = torch.cat([self._crop(side, length) for side in sides])
        return VoiceBatch(features, self._factors[numbers])

    def _crop(self, features: Tensor, length: int) -> Tensor:
        start = int(torch.randint(0, min(features.shape[1] - length, 25) + 1, (), generator=self._random))
        return features[:, start : start + length]

    def _uniform(self, count: int, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, generator=self._random)

    def _spoil(self, features: Tensor) -> Tensor:
        """Another gain, noise, a narrow band, a coloured microphone, errors of analysis."""
        count = len(features)
        envelope = features[..., :CEPSTRA] @ self._basis
        axis = torch.linspace(-1.0, 1.0, MEL_POINTS)
        db = math.log(10.0) / 10.0
        envelope = envelope + db * (
            self._uniform(count, -1.5, 1.5) * axis + self._uniform(count, -1.5, 1.5) * axis**2
        )
        narrow = torch.rand(count, 1, 1, generator=self._random) < 0.15
        envelope = envelope - narrow * torch.relu(axis - self._uniform(count, 0.45, 1.0)) * 30.0
        loud = envelope.mean(-1).amax(-1)[:, None, None]
        noise = loud + db * self._uniform(count, -75.0, -15.0) + self._uniform(count, -2.0, 1.0) * axis
        wobble = 0.5 * torch.randn(envelope.shape, generator=self._random)
        power = envelope.exp() + (noise + wobble).exp()
        power = power * (db * self._uniform(count, -18.0, 18.0)).exp()
        cepstra = torch.log(power + POWER_FLOOR) @ self._basis.T
        cepstra = cepstra + 0.6 * torch.randn(cepstra.shape, generator=self._random)
        error = 0.01 * torch.randn(count, features.shape[1], 1, generator=self._random)
        lost = 1.0 - 0.5 * torch.rand(count, 1, 1, generator=self._random) * (
            torch.rand(count, features.shape[1], 1, generator=self._random) < 0.2
        )
        log_f0, voicing = (
            features[..., CEPSTRA : CEPSTRA + 1] + error,
            features[..., CEPSTRA + 1 :].clamp(0, 1) * lost,
        )
        return torch.cat((cepstra, log_f0, voicing), -1)
