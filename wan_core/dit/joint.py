"""Two towers, video and sound, whose blocks read each other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import ShapeError
from ..ops.kept import Kept
from ..ops.rope import Places, rope_table, token_positions
from ..protocols import TORCH_OPERATIONS, Injection, Operations
from ..types import AVLatents, TokenStream
from .attention import OtherTower
from .config import JointConfig
from .context import PreparedJointContext
from .model import TowerInputs, WanModel


class Geometry(NamedTuple):
    """Everything that follows from where the tokens of both towers stand.

    video, audio: RoPE of a tower's queries and keys at its own head width.   audio_self: of the sound in its own
    self-attention.   video_keys, audio_keys: of a tower's tokens at the head width of the other one, which reads them.
    video_mask: (L_v, L_a), audio_mask: (L_a, L_v), what a token may read of the other tower, or None.
    """

    video: Tensor
    audio: Tensor
    audio_self: Tensor
    video_keys: Tensor
    audio_keys: Tensor
    video_mask: Tensor | None
    audio_mask: Tensor | None


class JointModel(nn.Module):
    """Video and sound from one network.

    Each block: both towers attend to themselves; then each reads text, references and the other tower's tokens as they
    stand after that self-attention; then the feed-forward layers. Parameters: `video_model.*` and `audio_model.*`.
    Source: character-ai/Ovi@5b69b25 ovi/modules/fusion.py. Differs: towers of different width, a window of time for
    what a token may read, separate timesteps, float32 norms and tables.
    """

    def __init__(
        self,
        config: JointConfig,
        *,
        operations: Operations = TORCH_OPERATIONS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self._geometry = Kept(geometry_of_places, 2)
        video, audio = config.video, config.audio
        self.video_model = WanModel(
            video, other_dim=audio.dim, operations=operations, device=device, dtype=dtype
        )
        self.audio_model = WanModel(
            audio, other_dim=video.dim, operations=operations, device=device, dtype=dtype
        )

    def forward(
        self,
        latents: AVLatents,
        timesteps: tuple[Tensor, Tensor],
        context: Tensor | PreparedJointContext,
        *,
        audio_context: Tensor | None = None,
        video_injections: Sequence[Injection] = (),
        audio_injections: Sequence[Injection] = (),
        video_streams: Sequence[TokenStream] = (),
        audio_streams: Sequence[TokenStream] = (),
        audio_position_scale: float | None = None,
        skip_blocks: Collection[int] = (),
        fuse: bool = True,
    ) -> AVLatents:
        """Predict the velocities of both modalities.

        Args:
            latents: video (B, C, F, H, W) and audio (B, C_a, T_a); without audio the video tower runs alone.
            timesteps: video (B,) or (B, F), and audio (B,) or (B, T_a); range [0, 1000].
            context: text embedding of the video, (B or 1, L, text_dim); or what `prepare` made of both.
            audio_context: text embedding of the sound; None: the same.
            video_injections, audio_injections: references of each tower.
            video_streams, audio_streams: extra tokens of each tower, which the other tower reads too. The offset of a
                stream of the audio tower is, as all its positions, in latent frames of the video.
            audio_position_scale: latent frames of the video between two tokens of the sound; None: the configuration's.
            skip_blocks: numbers of blocks that both towers leave out (guidance by a weakened model).
            fuse: False lets neither tower read the other.
        Returns: velocities with the shapes of `latents`.
        Raises: ShapeError: a size does not fit the model, or there is no block of such a number.
        """
        _check_blocks(skip_blocks, self.config.video.num_layers)
        video_model, audio_model = self.video_model, self.audio_model
        if isinstance(context, PreparedJointContext):
            if audio_context is not None:
                raise ShapeError(
                    f"audio_context: expected none beside a prepared context, got {tuple(audio_context.shape)}. "
                    "Give it to prepare."
                )
            video_context, sound_context = context.video, context.audio
        else:
            video_context, sound_context = context, context if audio_context is None else audio_context
        if latents.audio is None:
            velocity = video_model(
                latents.video, timesteps[0], video_context, injections=video_injections, streams=video_streams
            )
            return AVLatents(velocity, None)
        if latents.audio.shape[0] != latents.video.shape[0]:
            raise ShapeError(
                f"audio latents: expected batch {latents.video.shape[0]} (as the video), got {latents.audio.shape[0]}. "
                "Give one sound per video."
            )
        config = self.config
        video = video_model.embed(latents.video, timesteps[0], video_context, streams=video_streams)
        audio = audio_model.embed(
            latents.audio,
            timesteps[1],
            sound_context,
            streams=audio_streams,
            position_scale=config.audio_position_scale
            if audio_position_scale is None
            else audio_position_scale,
            position_offset=config.audio_position_offset,
        )
        v, a = self._run_blocks(video, audio, video_injections, audio_injections, skip_blocks, fuse)
        return AVLatents(
            video_model.unembed(v, video, latents.video, timesteps[0]),
            audio_model.unembed(a, audio, latents.audio, timesteps[1]),
        )

    def prepare(self, context: Tensor, audio_context: Tensor | None = None) -> PreparedJointContext:
        """Compute what all blocks of both towers read of a prompt once; see `WanModel.prepare`.

        Args: context, audio_context: as in `forward`.
        """
        audio = context if audio_context is None else audio_context
        return PreparedJointContext(
            video=self.video_model.prepare(context), audio=self.audio_model.prepare(audio)
        )

    def _run_blocks(
        self,
        video: TowerInputs,
        audio: TowerInputs,
        video_injections: Sequence[Injection],
        audio_injections: Sequence[Injection],
        skip_blocks: Collection[int],
        fuse: bool,
    ) -> tuple[Tensor, Tensor]:
        """Return the tokens of both towers after the last block."""
        places = self._geometry((self.config, video.places, audio.places, video.tokens.device))
        v, a = video.tokens, audio.tokens
        video_model, audio_model = self.video_model, self.audio_model
        pairs = zip(
            video_model.walk(video_model.tower_blocks()),
            audio_model.walk(audio_model.tower_blocks()),
            strict=True,
        )
        for index, (video_block, audio_block) in enumerate(pairs):
            if index in skip_blocks:
                continue
            v_mod = video_block.modulate(video.modulation)
            a_mod = audio_block.modulate(audio.modulation)
            a = audio_block.attend_self(
                a, a_mod, places.audio_self, audio.work, audio.layout, bias=audio.bias(index)
            )
            v = video_block.attend_self(
                v, v_mod, places.video, video.work, video.layout, bias=video.bias(index)
            )
            to_video = OtherTower(a, places.video, places.audio_keys, places.video_mask) if fuse else None
            to_audio = OtherTower(v, places.audio, places.video_keys, places.audio_mask) if fuse else None
            a = audio_block.attend_context(
                a, audio.block_context(index), None, to_audio, audio_injections, index
            )
            a = audio_block.feed_forward(a, a_mod, audio.work, audio.layout)
            v = video_block.attend_context(
                v, video.block_context(index), video.image_context, to_video, video_injections, index
            )
            v = video_block.feed_forward(v, v_mod, video.work, video.layout)
        return v, a


def geometry_of_places(
    key: tuple[JointConfig, tuple[Places, ...], tuple[Places, ...], torch.device],
) -> Geometry:
    """Compute the tables and masks of both towers from the places of the video's and the sound's tokens."""
    config, video, audio, device = key
    video_at, audio_at = token_positions(video, device), token_positions(audio, device)
    video_width, audio_width = config.video.head_dim, config.audio.head_dim
    stretched = torch.cat((audio_at[:, :1] * config.audio_self_stretch, audio_at[:, 1:]), dim=1)
    video_mask, audio_mask = _masks(video_at, audio_at, config.fusion_window)
    return Geometry(
        video=rope_table(video_at, video_width),
        audio=rope_table(audio_at, audio_width),
        audio_self=rope_table(stretched, audio_width),
        video_keys=rope_table(video_at, audio_width),
        audio_keys=rope_table(audio_at, video_width),
        video_mask=video_mask,
        audio_mask=audio_mask,
    )


def _check_blocks(numbers: Collection[int], count: int) -> None:
    wrong = sorted(number for number in numbers if not 0 <= number < count)
    if wrong:
        raise ShapeError(
            f"skipped blocks: expected numbers from 0 to {count - 1}, got {wrong}. Name blocks that the model has."
        )


def _masks(video: Tensor, audio: Tensor, window: float | None) -> tuple[Tensor | None, Tensor | None]:
    """What a video token (L_v, L_a) and a sound token (L_a, L_v) may read of the other tower.

    Nearest tokens stay visible where the window reaches none, so that no token is left without anything to read.
    """
    if window is None:
        return None, None
    distance = (video[:, :1] - audio[:, 0]).abs()
    for_video = distance <= distance.amin(dim=1, keepdim=True).clamp(min=window)
    for_audio = distance <= distance.amin(dim=0, keepdim=True).clamp(min=window)
    return for_video, for_audio.transpose(0, 1).contiguous()
