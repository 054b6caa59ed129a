"""The voice encoder: a clip of speech -> tokens for timbre, intonation and rhythm.

Three branches see different parts of the speech features, so that a token means what its name says: timbre sees the
envelope's shape but no pitch and no loudness, intonation the pitch, rhythm the loudness and voicing. Each pools over
the frames that are loud enough to be speech, so gain, silence and length of the clip do not matter.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError, ShapeError
from ..ops.speech import CEPSTRA, FEATURES, HOP, SAMPLE_RATE, analyse, envelope_db
from ..protocols import TORCH_OPERATIONS, Operations
from .config import VoiceEncoderConfig

MIN_FRAMES = 16
"""Shortest clip: 0.26 s."""


class VoiceCode(NamedTuple):
    """What a clip says about its voice.

    Attributes:
        tokens: (B, 4, D): timbre, timbre, intonation, rhythm; each normalised to variance 1.
        embedding: (B, 128), of length 1; the cosine of two tells how alike the voices are.
    """

    tokens: Tensor
    embedding: Tensor


class Branch(nn.Module):
    """Convolutions over time and pooling: (B, C, T) with weights (B, 1, T) -> (B, 4 width), means and spreads."""

    def __init__(
        self,
        channels: int,
        width: int,
        blocks: int,
        *,
        operations: Operations = TORCH_OPERATIONS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.enter = operations.Conv1d(channels, width, 5, stride=2, padding=2, device=device, dtype=dtype)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.SiLU(),
                operations.Conv1d(
                    width, width, 3, padding=2**level, dilation=2**level, device=device, dtype=dtype
                ),
                nn.SiLU(),
                operations.Conv1d(width, width, 1, device=device, dtype=dtype),
            )
            for level in range(blocks)
        )
        self.attend = operations.Conv1d(width, 1, 1, device=device, dtype=dtype)

    def forward(self, values: Tensor, weights: Tensor) -> Tensor:
        """Pool over time, once with the speech weights alone and once with learned attention on top."""
        hidden = self.enter(values)
        half = F.avg_pool1d(F.pad(weights, (0, weights.shape[-1] % 2)), 2)
        half = F.pad(half, (0, hidden.shape[-1] - half.shape[-1]))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        learned = half * torch.softmax(self.attend(hidden), -1)
        return torch.cat([part for share in (half, learned) for part in weighted_moments(hidden, share)], -1)


def weighted_moments(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over time of (B, C, T) with weights (B, 1, T) >= 0; each (B, C)."""
    share = weights / weights.sum(-1, keepdim=True).clamp_min(1e-8)
    mean = (values * share).sum(-1)
    variance = ((values - mean[..., None]).square() * share).sum(-1)
    return mean, (variance + 1e-4).sqrt()


class VoiceEncoder(nn.Module):
    """Turns speech features into voice tokens.

    Args:
        config: sizes. operations: namespace of layers. device, dtype: of the weights.
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(
        self,
        config: VoiceEncoderConfig,
        *,
        operations: Operations = TORCH_OPERATIONS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("feature_mean", torch.zeros(FEATURES, device=device, dtype=dtype))
        self.register_buffer("feature_scale", torch.ones(FEATURES, device=device, dtype=dtype))
        wide, slim = config.timbre_width, config.contour_width
        self.timbre = Branch(CEPSTRA, wide, config.blocks, operations=operations, device=device, dtype=dtype)
        self.intonation = Branch(3, slim, config.blocks, operations=operations, device=device, dtype=dtype)
        self.rhythm = Branch(3, slim, config.blocks, operations=operations, device=device, dtype=dtype)
        timbre_out = config.timbre_tokens * config.token_dim
        self.timbre_out = operations.Linear(4 * wide + 2 * CEPSTRA, timbre_out, device=device, dtype=dtype)
        self.intonation_out = operations.Linear(4 * slim + 6, config.token_dim, device=device, dtype=dtype)
        self.rhythm_out = operations.Linear(4 * slim + 6, config.token_dim, device=device, dtype=dtype)
        embed_in = config.tokens * config.token_dim
        self.embed_out = operations.Linear(embed_in, config.embed_dim, device=device, dtype=dtype)

    def forward(self, features: Tensor) -> VoiceCode:
        """Encode speech features.

        Args:
            features: (B, N, 26), N >= 16 frames of 16 ms, from `ops.speech.analyse`; any gain, any silence around.
        Returns: tokens and embedding, see `VoiceCode`.
        Raises: ShapeError: not such features.
        """
        if features.ndim != 3 or features.shape[-1] != FEATURES or features.shape[1] < MIN_FRAMES:
            raise ShapeError(
                f"speech features: expected (B, N >= {MIN_FRAMES}, {FEATURES}), got {tuple(features.shape)}. "
                "Give a clip of at least 0.3 s, through `ops.speech.analyse`."
            )
        loudness = features[..., 0]
        top = loudness.topk(max(4, features.shape[1] // 10), -1).values.mean(-1, keepdim=True)
        relative = (loudness - top) / math.sqrt(48.0)
        is_speech = torch.sigmoid(2.0 * (relative + 5.0))[:, None]
        normal = ((features - self.feature_mean) * self.feature_scale).transpose(1, 2)
        shape, voicing = normal[:, 1:CEPSTRA], features[..., CEPSTRA + 1][:, None]
        level = relative.clamp_min(-10.0)[:, None] / 3.0 + 1.0
        voiced = is_speech * voicing
        pitch = normal[:, CEPSTRA : CEPSTRA + 1]
        timbre = torch.cat((shape, voicing), 1) * is_speech
        intonation = torch.cat((pitch, F.pad(pitch[..., 1:] - pitch[..., :-1], (0, 1)) * 8.0, voicing), 1)
        rhythm = torch.cat((level, F.pad(level[..., 1:] - level[..., :-1], (0, 1)) * 4.0, voicing), 1)
        pooled = (
            self.timbre_out(_join(self.timbre(timbre, is_speech), timbre, voiced)),
            self.intonation_out(_join(self.intonation(intonation * voiced, voiced), intonation, voiced)),
            self.rhythm_out(_join(self.rhythm(rhythm, is_speech), rhythm, is_speech)),
        )
        flat = torch.cat(pooled, -1)
        tokens = flat.reshape(len(flat), self.config.tokens, self.config.token_dim)
        tokens = F.layer_norm(tokens, (self.config.token_dim,))
        return VoiceCode(tokens, F.normalize(self.embed_out(tokens.flatten(1)), dim=-1))


def _join(pooled: Tensor, values: Tensor, weights: Tensor) -> Tensor:
    """Put the plain long-term mean and spread of the branch's input beside what it learned."""
    return torch.cat((pooled, *weighted_moments(values, weights)), -1)


def encode_clip(encoder: VoiceEncoder, waveform: Tensor) -> VoiceCode:
    """Voice of a clip.

    Args:
        encoder: with its weights. waveform: (B, T), 16 kHz, [-1, 1], 0.3 s at least.
    Returns: see `VoiceCode`.
    Raises: InputError: no speech in it: silent, or neither voiced for 0.1 s nor rising and falling like a whisper.
        ShapeError: not (B, T).
    """
    frames = analyse(waveform)
    seconds = (frames.voicing > 0).sum(-1) * (HOP / SAMPLE_RATE)
    level = envelope_db(waveform)
    loud, quiet = level.quantile(0.95, -1), level.quantile(0.1, -1)
    is_speech = (seconds >= 0.1) | ((loud > -55.0) & (loud - quiet > 15.0))
    if not bool(is_speech.all()):
        worst = int(is_speech.int().argmin())
        raise InputError(
            f"voice clip: expected at least 0.1 s of voiced speech, got {seconds[worst].item():.2f} s "
            f"at {loud[worst].item():.0f} dB. Give a clip in which the person speaks clearly."
        )
    return encoder(frames.stack().to(encoder.feature_mean))
