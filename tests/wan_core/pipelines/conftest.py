"""A nano of real modules, tiny and with random weights."""

from __future__ import annotations

import math

import pytest
import torch
from report_clips import LOUDNESS

from wan_core.audio.codec import AudioCodec
from wan_core.audio.config import AudioCodecConfig
from wan_core.dit.config import JointConfig, WanConfig
from wan_core.dit.joint import JointModel
from wan_core.identity.config import FaceEncoderConfig, IdentityConfig, ResamplerConfig
from wan_core.identity.model import IdentityEncoder
from wan_core.ops.key_value import KeyValueAdapter
from wan_core.pipelines import NanoBundle, NanoDefaults, load_bundle
from wan_core.text.encoder import NanoTextConfig, NanoTextEncoder
from wan_core.types import AudioClip
from wan_core.vae.config import PatchVAEConfig
from wan_core.vae.patch_vae import PatchVAE
from wan_core.voice.config import VoiceEncoderConfig
from wan_core.voice.encoder import VoiceEncoder


def tower(channels: int, patch: tuple[int, ...]) -> WanConfig:
    return WanConfig(
        dim=16,
        ffn_dim=16,
        num_heads=2,
        num_layers=2,
        in_channels=channels,
        out_channels=channels,
        text_dim=8,
        text_len=16,
        freq_dim=8,
        patch_size=patch,
        prediction="sample",
        embedding_kernel=3,
        embedding_hidden=16,
    )


def make_bundle() -> NanoBundle:
    vae = PatchVAE(PatchVAEConfig(image_channels=6, motion_channels=2, refiner_widths=(4, 8)))
    joint = JointConfig(
        video=tower(8, (1, 1, 1)), audio=tower(32, (1,)), fusion_window=1.0, audio_position_scale=0.128
    )
    face = FaceEncoderConfig(widths=(32,), blocks=(1,), hidden_dim=16, embed_dim=16)
    resampler = ResamplerConfig(dim=16, depth=1, heads=2, queries=3, in_dim=16, out_dim=8)
    bundle = NanoBundle(
        dit=JointModel(joint),
        text=NanoTextEncoder(NanoTextConfig(dim=8, num_layers=1, num_heads=2)),
        vae=vae,
        audio=AudioCodec(AudioCodecConfig()),
        identity=IdentityEncoder(IdentityConfig(face=face, resampler=resampler)),
        identity_adapter=KeyValueAdapter(8, 16, 2),
        voice=VoiceEncoder(VoiceEncoderConfig(token_dim=8, timbre_width=8, contour_width=8, blocks=1)),
        voice_adapter=KeyValueAdapter(8, 16, 2),
    )
    generator = torch.Generator().manual_seed(0)
    for module in (
        bundle.dit,
        bundle.text,
        bundle.identity,
        bundle.identity_adapter,
        bundle.voice,
        bundle.voice_adapter,
    ):
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    for basis in (vae.image_basis, vae.motion_basis):
        torch.nn.init.orthogonal_(basis, generator=generator)
    return bundle


@pytest.fixture(scope="session")
def bundle() -> NanoBundle:
    return make_bundle()


@pytest.fixture(scope="session")
def shipped() -> NanoBundle:
    """Nano with its own weights."""
    return load_bundle()


@pytest.fixture
def loudness() -> torch.Tensor:
    """Of 17 frames."""
    return torch.tensor(LOUDNESS)


@pytest.fixture
def quick() -> NanoDefaults:
    """Nano's limits with three steps."""
    return NanoDefaults(steps=3, audio_lead=1)


@pytest.fixture(scope="session")
def photo() -> torch.Tensor:
    """(80, 100, 3) uint8."""
    return torch.randint(0, 256, (80, 100, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


@pytest.fixture(scope="session")
def voice() -> AudioClip:
    """One second of a buzz at 120 Hz, which a pitch tracker takes for a voice."""
    time = torch.arange(16000) / 16000
    wave = torch.stack([torch.sin(2 * math.pi * 120 * k * time) / k for k in range(1, 20)]).sum(dim=0)
    return AudioClip(0.2 * wave[None], 16000)
