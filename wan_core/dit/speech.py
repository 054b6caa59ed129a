"""Attention to speech (HuMo): every latent frame of the picture hears the sound of its own moment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import ShapeError
from ..ops.attention import attend, merge_heads, split_heads
from ..protocols import Operations
from .attention import make_norm
from .config import SpeechConfig, WanConfig


class SpeechKeys(NamedTuple):
    """Keys and values of speech for one block, (B or 1, windows, heads, tokens, head_dim).

    silent_key, silent_value: those of a silent window, (B or 1, 1, heads, tokens, head_dim).
    """

    key: Tensor
    value: Tensor
    silent_key: Tensor
    silent_value: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedSpeech:
    """Speech as every block of a tower reads it; made once by `WanModel.prepare_speech`, valid until weights change.

    blocks: one entry a block, in order.
    """

    blocks: tuple[SpeechKeys, ...]

    @property
    def nbytes(self) -> int:
        """Memory of all keys and values, in bytes."""
        return sum(part.nbytes for keys in self.blocks for part in keys)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> PreparedSpeech:
        """Return the same elsewhere or in another dtype."""
        moved = [SpeechKeys(*(part.to(device=device, dtype=dtype) for part in keys)) for keys in self.blocks]
        return PreparedSpeech(blocks=tuple(moved))

    def cut(self, start: int, stop: int) -> PreparedSpeech:
        """What latent frames from start to stop hear; shares the memory."""
        pieces = [
            keys._replace(key=keys.key[:, start:stop], value=keys.value[:, start:stop])
            for keys in self.blocks
        ]
        return PreparedSpeech(blocks=tuple(pieces))


class SpeechProjection(nn.Module):
    """Windows of Whisper features to a few tokens each.

    Source: Phantom-video/HuMo@17094e9 humo/models/audio/audio_proj.py AudioProjModel.
    """

    def __init__(
        self,
        config: SpeechConfig,
        *,
        operations: Operations,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.config = config

        def linear(width_in: int, width_out: int) -> nn.ModuleDict:
            return nn.ModuleDict(
                {"layer": operations.Linear(width_in, width_out, device=device, dtype=dtype)}
            )

        self.audio_proj_glob_1 = linear(config.window * config.groups * config.features, config.hidden)
        self.audio_proj_glob_2 = linear(config.hidden, config.hidden)
        self.audio_proj_glob_3 = linear(config.hidden, config.tokens * config.width)
        norm = operations.LayerNorm(config.width, device=device, dtype=dtype)
        self.audio_proj_glob_norm = nn.ModuleDict({"layer": norm})

    def forward(self, windows: Tensor) -> Tensor:
        """Project.

        Args: windows: (B, F, window, groups, features), one a latent frame.
        Returns: (B, F, tokens, width).
        """
        config = self.config
        hidden = torch.relu(self.audio_proj_glob_1["layer"](windows.flatten(2)))
        hidden = torch.relu(self.audio_proj_glob_2["layer"](hidden))
        tokens = self.audio_proj_glob_3["layer"](hidden).unflatten(-1, (config.tokens, config.width))
        return self.audio_proj_glob_norm["layer"](tokens)


class SpeechProjections(nn.Module):
    """Layers q, k, v, o of attention to speech, with the norms of q and k."""

    def __init__(
        self,
        config: WanConfig,
        width: int,
        *,
        operations: Operations,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        dim = config.dim
        self.q = operations.Linear(dim, dim, device=device, dtype=dtype)
        self.k = operations.Linear(width, dim, device=device, dtype=dtype)
        self.v = operations.Linear(width, dim, device=device, dtype=dtype)
        self.o = operations.Linear(dim, dim, device=device, dtype=dtype)
        self.norm_q = make_norm(config, device, dtype)
        self.norm_k = make_norm(config, device, dtype)


class SpeechAttention(nn.Module):
    """An injection between a block's text attention and its feed-forward; not gated, without positions or mask.

    Source: Phantom-video/HuMo@17094e9 humo/models/wan_modules/model_humo.py AudioCrossAttentionWrapper,
    WanT2VCrossAttentionGather. Differs: keys and values are made once for all steps.
    """

    def __init__(
        self,
        config: WanConfig,
        speech: SpeechConfig,
        *,
        operations: Operations,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.norm1_audio = operations.LayerNorm(config.dim, eps=config.eps, device=device, dtype=dtype)
        self.audio_cross_attn = SpeechProjections(
            config, speech.width, operations=operations, device=device, dtype=dtype
        )

    def read(self, tokens: Tensor) -> SpeechKeys:
        """Keys and values of tokens (B, F + 1, tokens, width), of which the last are those of silence."""
        layers = self.audio_cross_attn

        def heads(x: Tensor) -> Tensor:
            return x.unflatten(-1, (self.num_heads, -1)).transpose(2, 3)

        key, value = heads(layers.norm_k(layers.k(tokens))), heads(layers.v(tokens))
        return SpeechKeys(key[:, :-1], value[:, :-1], key[:, -1:], value[:, -1:])

    def forward(self, x: Tensor, keys: SpeechKeys, cells: int) -> Tensor:
        """Attend.

        Args:
            x: (B, L, D), frame after frame.   keys: of the windows; frames after the last one hear silence.
            cells: tokens of a latent frame.
        Returns: what is added to x, (B, L, D).
        Raises: ShapeError: more windows than frames, or tokens that are no whole frames.
        """
        batch, length, _ = x.shape
        frames, known = length // cells, keys.key.shape[1]
        if length % cells or known > frames or keys.key.shape[0] not in (1, batch):
            raise ShapeError(
                f"speech: expected at most {frames} windows for batch {batch} or 1 and references of the clip's size, "
                f"got {known} windows for batch {keys.key.shape[0]} and {length} tokens at {cells} a frame. "
                "Give one window a latent frame."
            )
        layers = self.audio_cross_attn
        query = layers.norm_q(layers.q(self.norm1_audio(x)))
        query = split_heads(query.view(batch * frames, cells, -1), self.num_heads)
        key = _per_frame(keys.key, keys.silent_key, batch, frames)
        value = _per_frame(keys.value, keys.silent_value, batch, frames)
        return layers.o(merge_heads(attend(query, key, value)).view(batch, length, -1))


def prepare_speech(
    projection: SpeechProjection, attentions: Iterable[SpeechAttention], windows: Tensor
) -> PreparedSpeech:
    """Keys and values of windows (B, F, window, groups, features) for each attention, those of a silent window last.

    Raises: ShapeError: windows of another form.
    """
    config = projection.config
    expected = (config.window, config.groups, config.features)
    if windows.ndim != 5 or tuple(windows.shape[2:]) != expected:
        raise ShapeError(
            f"speech: expected windows (batch, latent frames, {', '.join(map(str, expected))}), got "
            f"{tuple(windows.shape)}. Make them with wan_core.voice.speech_windows."
        )
    silence = windows.new_zeros(windows.shape[0], 1, *windows.shape[2:])
    tokens = projection(torch.cat((windows, silence), dim=1))
    return PreparedSpeech(blocks=tuple(attention.read(tokens) for attention in attentions))


def no_windows(config: WanConfig, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Windows (1, 0, ...) of a clip without speech.

    Raises: ShapeError: the model does not hear.
    """
    own = config.speech
    if own is None:
        raise ShapeError("speech: expected none for a model that does not hear, got some. Use HuMo.")
    return torch.zeros(1, 0, own.window, own.groups, own.features, device=device, dtype=dtype)


def _per_frame(known: Tensor, silent: Tensor, batch: int, frames: int) -> Tensor:
    """One entry a frame, (B * frames, heads, tokens, head_dim), silence after the known ones."""
    filled = torch.cat((known, silent.expand(-1, frames - known.shape[1], -1, -1, -1)), dim=1)
    return filled.expand(batch, -1, -1, -1, -1).flatten(0, 1)
