"""Whisper's encoder as HuMo hears it: five averages of its layers, 25 times a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ConfigError, InputError, MissingDependencyError
from ..types import AudioClip

#: Hz; samples of a frame at 25 a second; samples of a piece, which Whisper sees at once (30 s).
SAMPLE_RATE, FRAME_SAMPLES = 16000, 640
PIECE_SAMPLES = 750 * FRAME_SAMPLES
#: Hidden states of which each average is made; the last group is the encoder's output alone.
GROUPS = ((0, 8), (8, 16), (16, 24), (24, 32), (32, 33))
#: Longest recording, in seconds; a longer one is an error, since every second is held in memory.
LONGEST_SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class WhisperConfig:
    """Sizes of the encoder; the defaults are those of whisper-large-v3.

    dim, ffn_dim, num_heads: of a layer.   num_layers: must be 32, which the groups are made for.
    mels: bands of the spectrogram.   positions: frames of a piece, 1500 for 30 s.
    """

    dim: int = 1280
    ffn_dim: int = 5120
    num_heads: int = 20
    num_layers: int = 32
    mels: int = 128
    positions: int = 1500

    def __post_init__(self) -> None:
        if self.num_layers != GROUPS[-1][0]:
            raise ConfigError(
                f"Whisper: expected {GROUPS[-1][0]} encoder layers as whisper-large-v3 has, got {self.num_layers}. "
                "Use whisper-large-v3."
            )
        if self.dim % self.num_heads or self.positions * 2 * 160 != PIECE_SAMPLES:
            raise ConfigError(
                f"Whisper: expected heads that divide the width and 1500 positions, got {self.num_heads} heads, "
                f"width {self.dim}, {self.positions} positions. Use whisper-large-v3."
            )


class WhisperSpeech(nn.Module):
    """Speech to features (T, 5, dim), T = samples // 640.

    Args: config: sizes.
    Raises: MissingDependencyError: transformers is not installed.
    Source: Phantom-video/HuMo@17094e9 humo/utils/audio_processor_whisper.py AudioProcessor. Differs: the layers are
        averaged piece by piece, so that the memory does not grow by all of them.
    """

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder, self.extract = _make(config)

    @torch.no_grad()
    def encode(self, clip: AudioClip) -> Tensor:
        """Encode a recording.

        Args: clip: mono, 16 kHz, up to 10 minutes.
        Returns: (T, 5, dim), float32, on the device of the weights.
        Raises: as `features`.
        """
        count = clip.waveform.shape[-1] // FRAME_SAMPLES
        return regroup_rate(self.features(clip), count)

    @torch.no_grad()
    def features(self, clip: AudioClip) -> Tensor:
        """As `encode`, but 50 times a second, as Whisper gives them: (2 T, 5, dim).

        Raises: InputError: other channels or rate, not finite, shorter than a frame (40 ms), or too long.
        """
        waveform = clip.waveform
        if waveform.ndim != 2 or waveform.shape[0] != 1 or clip.sample_rate != SAMPLE_RATE:
            raise InputError(
                f"speech: expected (1, samples) at {SAMPLE_RATE} Hz, got {tuple(waveform.shape)} at "
                f"{clip.sample_rate} Hz. Convert it with wan_core.media.sound.resample."
            )
        if not bool(torch.isfinite(waveform).all()):
            raise InputError("speech: expected finite samples, got NaN or infinity. Export it again.")
        count = waveform.shape[1] // FRAME_SAMPLES
        if not 1 <= count <= LONGEST_SECONDS * SAMPLE_RATE // FRAME_SAMPLES:
            raise InputError(
                f"speech: expected 0.04 to {LONGEST_SECONDS} s, got {waveform.shape[1] / SAMPLE_RATE:.2f} s. "
                "Cut the recording."
            )
        pieces = [self._encode_piece(piece) for piece in waveform[0].split(PIECE_SAMPLES)]
        return torch.cat(pieces)[: 2 * count]

    def _encode_piece(self, samples: Tensor) -> Tensor:
        """Averages (1500, 5, dim), float32, of at most 30 s; the rest of the piece is silence, as in training."""
        found = self.extract(samples.cpu().numpy(), sampling_rate=SAMPLE_RATE, return_tensors="pt")
        weight = self.encoder.conv1.weight
        mel = found.input_features.to(device=weight.device, dtype=weight.dtype)
        return group_layers(self.encoder(mel, output_hidden_states=True).hidden_states)


def group_layers(states: Sequence[Tensor]) -> Tensor:
    """Average the encoder's hidden states.

    Args: states: 33 of (1, T, dim), the input of each layer and the output.
    Returns: (T, 5, dim), float32.
    Raises: ConfigError: another number of states.
    """
    if len(states) != GROUPS[-1][1]:
        raise ConfigError(
            f"Whisper: expected {GROUPS[-1][1]} hidden states, got {len(states)}. Use whisper-large-v3."
        )
    means = [torch.stack([state[0].float() for state in states[a:b]]).mean(dim=0) for a, b in GROUPS]
    return torch.stack(means, dim=1)


def regroup_rate(features: Tensor, count: int) -> Tensor:
    """Interpolate features (2 * count, groups, dim), 50 a second, to `count`, 25 a second; both ends stay."""
    rows = features.flatten(1).T[None]
    rows = functional.interpolate(rows, size=count, align_corners=True, mode="linear")
    return rows[0].T.unflatten(1, features.shape[1:]).contiguous()


def _make(config: WhisperConfig) -> tuple[Any, Any]:
    """The encoder of transformers, and what makes its spectrograms."""
    try:
        from transformers import WhisperConfig as LibraryConfig
        from transformers import WhisperFeatureExtractor
        from transformers.models.whisper.modeling_whisper import WhisperEncoder
    except ImportError as error:
        raise MissingDependencyError(
            "transformers: expected it to be installed, for HuMo's speech encoder (Whisper), got none. "
            "Run: pip install transformers"
        ) from error
    library = LibraryConfig(
        d_model=config.dim,
        encoder_layers=config.num_layers,
        encoder_attention_heads=config.num_heads,
        encoder_ffn_dim=config.ffn_dim,
        num_mel_bins=config.mels,
        max_source_positions=config.positions,
    )
    return WhisperEncoder(library), WhisperFeatureExtractor(feature_size=config.mels)
