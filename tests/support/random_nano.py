"""Small nano parts with random weights: the true layout and latent sizes of nano, a few blocks, nothing learned."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from wan_core.audio.codec import AudioCodec
from wan_core.audio.config import AudioCodecConfig
from wan_core.checkpoints.nano import save_part
from wan_core.dit.config import JointConfig, WanConfig
from wan_core.dit.joint import JointModel
from wan_core.identity.config import FaceEncoderConfig, IdentityConfig, ResamplerConfig
from wan_core.identity.model import IdentityEncoder
from wan_core.ops.key_value import KeyValueAdapter, KeyValueConfig
from wan_core.text.encoder import NanoTextConfig, NanoTextEncoder
from wan_core.vae.config import PatchVAEConfig
from wan_core.vae.patch_vae import PatchVAE
from wan_core.voice.config import VoiceEncoderConfig
from wan_core.voice.encoder import VoiceEncoder

VIDEO_DIM, AUDIO_DIM, TOKEN_DIM, TEXT_DIM, BLOCKS = 32, 16, 24, 16, 2


def write_random_nano(folder: Path, seed: int = 0) -> Path:
    """Write one file for each part into `folder`, the same for the same seed; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    codec = PatchVAEConfig(image_channels=8, motion_channels=4, refiner_widths=(16, 24))

    def tower(dim: int, channels: int, patch: tuple[int, ...]) -> WanConfig:
        return WanConfig(
            dim=dim, ffn_dim=2 * dim, num_heads=2, num_layers=BLOCKS, in_channels=channels, out_channels=channels,
            text_dim=TEXT_DIM, text_len=16, freq_dim=16, patch_size=patch, prediction="sample", embedding_kernel=3,
            embedding_hidden=dim,
        )  # fmt: skip

    joint = JointConfig(
        video=tower(VIDEO_DIM, codec.latent_channels, (1, 1, 1)),
        audio=tower(AUDIO_DIM, 32, (1,)),
        fusion_window=1.0,
        audio_position_scale=0.128,
    )
    text = NanoTextConfig(dim=TEXT_DIM, num_layers=1, num_heads=2)
    face = FaceEncoderConfig(widths=(8, 16), blocks=(0, 0), group_size=4, hidden_dim=16, embed_dim=TOKEN_DIM)
    identity = IdentityConfig(
        face=face,
        resampler=ResamplerConfig(dim=16, depth=1, heads=2, queries=4, in_dim=TOKEN_DIM, out_dim=TOKEN_DIM),
    )
    voice = VoiceEncoderConfig(token_dim=TOKEN_DIM, timbre_width=8, contour_width=8, blocks=1)
    face_layers = KeyValueConfig(token_dim=TOKEN_DIM, dim=VIDEO_DIM, num_layers=BLOCKS)
    voice_layers = KeyValueConfig(token_dim=TOKEN_DIM, dim=AUDIO_DIM, num_layers=BLOCKS)
    parts: dict[str, tuple[str, object, nn.Module]] = {
        "dit": ("dit", joint, JointModel(joint)),
        "text": ("text", text, NanoTextEncoder(text)),
        "vae": ("patch_vae", codec, PatchVAE(codec)),
        "audio": ("audio", AudioCodecConfig(), AudioCodec(AudioCodecConfig())),
        "identity": ("identity", identity, IdentityEncoder(identity)),
        "identity_adapter": ("identity_adapter", face_layers, KeyValueAdapter.from_config(face_layers)),
        "voice": ("voice", voice, VoiceEncoder(voice)),
        "voice_adapter": ("voice_adapter", voice_layers, KeyValueAdapter.from_config(voice_layers)),
    }
    generator = torch.Generator().manual_seed(seed)
    for name, (kind, config, module) in parts.items():
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.1, generator=generator)
        if isinstance(module, PatchVAE):
            for basis in (module.image_basis, module.motion_basis):
                basis.copy_(torch.linalg.qr(torch.randn(basis.T.shape, generator=generator)).Q.T)
        save_part(folder / f"{name}.safetensors", kind, config, module)
    return folder


def write_random_lora(path: Path, seed: int = 1) -> Path:
    """Write a LoRA of rank 2 for the first block's query of the video tower, in ComfyUI's key names."""
    generator = torch.Generator().manual_seed(seed)
    layer = "diffusion_model.video_model.blocks.0.self_attn.q"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {
            f"{layer}.lora_A.weight": torch.randn(2, VIDEO_DIM, generator=generator),
            f"{layer}.lora_B.weight": torch.randn(VIDEO_DIM, 2, generator=generator),
        },
        path,
    )
    return path
