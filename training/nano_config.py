"""The sizes of nano: one place that training and documentation read."""

from __future__ import annotations

from wan_core.dit.config import JointConfig, WanConfig
from wan_core.identity.config import ResamplerConfig
from wan_core.ops.key_value import KeyValueAdapter
from wan_core.text.encoder import NanoTextConfig

FPS = 8
FRAMES = 17
SIZE = 64
SAMPLE_RATE = 16000
SAMPLES = SAMPLE_RATE * FRAMES // FPS
AUDIO_LATENTS = 34
AUDIO_CHANNELS = 32
AUDIO_LATENT_SECONDS = 0.064
LAYERS = 6
VIDEO_DIM = 256
AUDIO_DIM = 160
TEXT_DIM = 128
TOKEN_DIM = 128

# A latent frame is half a second; frame k of the video stands for time k / 8 s, so the middle of latent frame f (frames
# 4f-3 .. 4f) lies at (4f - 1.5) / 8 s. An audio latent is 64 ms, its middle at (j + 0.5) * 0.064 s.
AUDIO_POSITION_SCALE = AUDIO_LATENT_SECONDS * FPS / 4
AUDIO_POSITION_OFFSET = 0.5 * AUDIO_POSITION_SCALE + 1.5 / 4


def joint_config(latent_channels: int) -> JointConfig:
    """Config of nano's two towers.

    Args:
        latent_channels: channels of the video codec's latents.
    """
    video = WanConfig(
        dim=VIDEO_DIM,
        ffn_dim=3 * VIDEO_DIM,
        num_heads=4,
        num_layers=LAYERS,
        in_channels=latent_channels,
        out_channels=latent_channels,
        text_dim=TEXT_DIM,
        text_len=16,
        freq_dim=128,
        patch_size=(1, 1, 1),
        prediction="sample",
    )
    audio = WanConfig(
        dim=AUDIO_DIM,
        ffn_dim=3 * AUDIO_DIM,
        num_heads=4,
        num_layers=LAYERS,
        in_channels=AUDIO_CHANNELS,
        out_channels=AUDIO_CHANNELS,
        text_dim=TEXT_DIM,
        text_len=16,
        freq_dim=128,
        patch_size=(1,),
        prediction="sample",
        embedding_kernel=3,
        embedding_hidden=AUDIO_DIM,
    )
    return JointConfig(
        video=video,
        audio=audio,
        fusion_window=1.0,
        audio_position_scale=AUDIO_POSITION_SCALE,
        audio_position_offset=AUDIO_POSITION_OFFSET,
        audio_self_stretch=1 / AUDIO_POSITION_SCALE,
    )


def text_config() -> NanoTextConfig:
    """Config of nano's text encoder."""
    return NanoTextConfig(dim=TEXT_DIM)


def resampler_config() -> ResamplerConfig:
    """Config of the resampler that turns a face embedding into identity tokens."""
    return ResamplerConfig(dim=128, depth=2, heads=4, queries=8, in_dim=128, out_dim=TOKEN_DIM)


def make_identity_adapter() -> KeyValueAdapter:
    """Identity keys and values, one pair a block of the video tower."""
    return KeyValueAdapter(TOKEN_DIM, VIDEO_DIM, LAYERS)


def make_voice_adapter() -> KeyValueAdapter:
    """Voice keys and values, one pair a block of the audio tower."""
    return KeyValueAdapter(TOKEN_DIM, AUDIO_DIM, LAYERS)
