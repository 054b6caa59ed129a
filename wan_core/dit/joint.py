"""Two towers, video and sound, whose blocks read each other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import ShapeError
from ..ops.rope import rope_table
from ..protocols import TORCH_OPERATIONS, Injection, Operations
from ..types import AVLatents, TokenStream
from .attention import OtherTower
from .config import JointConfig
from .model import TowerInputs, WanModel


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
        context: Tensor,
        *,
        audio_context: Tensor | None = None,
        video_injections: Sequence[Injection] = (),
        audio_injections: Sequence[Injection] = (),
        video_streams: Sequence[TokenStream] = (),
        audio_streams: Sequence[TokenStream] = (),
        fuse: bool = True,
    ) -> AVLatents:
        """Predict the velocities of both modalities.

        Args:
            latents: video (B, C, F, H, W) and audio (B, C_a, T_a); without audio the video tower runs alone.
            timesteps: video (B,) or (B, F), and audio (B,) or (B, T_a); range [0, 1000].
            context: text embedding of the video, (B or 1, L, text_dim).
            audio_context: text embedding of the sound; None: the same.
            video_injections, audio_injections: references of each tower.
            video_streams, audio_streams: extra tokens of each tower, which the other tower reads too. The offset of a
                stream of the audio tower is, as all its positions, in latent frames of the video.
            fuse: False lets neither tower read the other.
        Returns: velocities with the shapes of `latents`.
        Raises: ShapeError: a size does not fit the model.
        """
        video_model, audio_model = self.video_model, self.audio_model
        if latents.audio is None:
            velocity = video_model(
                latents.video, timesteps[0], context, injections=video_injections, streams=video_streams
            )
            return AVLatents(velocity, None)
        if latents.audio.shape[0] != latents.video.shape[0]:
            raise ShapeError(
                f"audio latents: expected batch {latents.video.shape[0]} (as the video), got {latents.audio.shape[0]}. "
                "Give one sound per video."
            )
        config = self.config
        video = video_model.embed(latents.video, timesteps[0], context, streams=video_streams)
        audio = audio_model.embed(
            latents.audio,
            timesteps[1],
            context if audio_context is None else audio_context,
            streams=audio_streams,
            position_scale=config.audio_position_scale,
            position_offset=config.audio_position_offset,
        )
        v, a = self._run_blocks(video, audio, video_injections, audio_injections, fuse)
        return AVLatents(
            video_model.unembed(v, video, latents.video, timesteps[0]),
            audio_model.unembed(a, audio, latents.audio, timesteps[1]),
        )

    def _run_blocks(
        self,
        video: TowerInputs,
        audio: TowerInputs,
        video_injections: Sequence[Injection],
        audio_injections: Sequence[Injection],
        fuse: bool,
    ) -> tuple[Tensor, Tensor]:
        """Return the tokens of both towers after the last block."""
        video_heads, audio_heads = self.config.video.head_dim, self.config.audio.head_dim
        video_table = rope_table(video.positions, video_heads)
        audio_table = rope_table(audio.positions, audio_heads)
        is_same = video_heads == audio_heads
        video_keys = video_table if is_same else rope_table(video.positions, audio_heads)
        audio_keys = audio_table if is_same else rope_table(audio.positions, video_heads)
        stretched = torch.cat(
            (audio.positions[:, :1] * self.config.audio_self_stretch, audio.positions[:, 1:]), dim=1
        )
        audio_self = rope_table(stretched, audio_heads)
        video_mask, audio_mask = self._masks(video.positions, audio.positions)
        v, a = video.tokens, audio.tokens
        pairs = zip(self.video_model.tower_blocks(), self.audio_model.tower_blocks(), strict=True)
        for index, (video_block, audio_block) in enumerate(pairs):
            v_mod = video_block.modulate(video.modulation)
            a_mod = audio_block.modulate(audio.modulation)
            a = audio_block.attend_self(a, a_mod, audio_self, audio.work, audio.layout)
            v = video_block.attend_self(v, v_mod, video_table, video.work, video.layout)
            to_video = OtherTower(a, video_table, audio_keys, video_mask) if fuse else None
            to_audio = OtherTower(v, audio_table, video_keys, audio_mask) if fuse else None
            a = audio_block.attend_context(a, audio.context, None, to_audio, audio_injections, index)
            a = audio_block.feed_forward(a, a_mod, audio.work, audio.layout)
            v = video_block.attend_context(
                v, video.context, video.image_context, to_video, video_injections, index
            )
            v = video_block.feed_forward(v, v_mod, video.work, video.layout)
        return v, a

    def _masks(self, video: Tensor, audio: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """What a video token (L_v, L_a) and a sound token (L_a, L_v) may read of the other tower.

        Nearest tokens stay visible where the window reaches none, so that no token is left without anything to read.
        """
        window = self.config.fusion_window
        if window is None:
            return None, None
        distance = (video[:, :1] - audio[:, 0]).abs()
        for_video = distance <= distance.amin(dim=1, keepdim=True).clamp(min=window)
        for_audio = distance <= distance.amin(dim=0, keepdim=True).clamp(min=window)
        return for_video, for_audio.transpose(0, 1).contiguous()
