"""Fit nano's audio codec to the world's speech: one pass of statistics and principal components, seconds of work.

    python -m training.fit_audio [--out FILE] [--voices 120] [--seed 11]

The features are weighted before the components are taken: log F0 so that 1 % of pitch counts like 0.4 dB of the whole
envelope, because the ear is that keen on it. Latents are scaled by the square root of their spread, between plain
components (where quiet detail would drown in the noise of sampling) and full whitening (where it would count as much as
the words).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import wan_core
from wan_core.audio import AudioCodec, AudioCodecConfig
from wan_core.checkpoints.nano import load_part, save_part
from wan_core.ops.speech import CEPSTRA, FEATURES, analyse

from .world.speech import PHRASES, Speaker
from .world.voices import draw_voices

F0_WEIGHT, VOICING_WEIGHT = 60.0, 8.0


def default_codec_path() -> Path:
    """Where the shipped codec's weights lie."""
    return Path(wan_core.__path__[0]) / "assets" / "nano" / "audio.safetensors"


def load_codec(path: Path | None = None) -> AudioCodec:
    """The codec of a weights file, by default the shipped one, float32 on the CPU."""
    codec = load_part(default_codec_path() if path is None else path, "audio")
    assert isinstance(codec, AudioCodec)
    return codec


def spoken_waveforms(voices: int, clips: int, seed: int) -> Tensor:
    """`clips` random phrases of each of `voices` voices drawn from `seed`, (voices * clips, 34000)."""
    random = np.random.default_rng(seed)
    with Speaker() as speaker:
        waves = [
            speaker.say(voice, int(phrase), seed * 1000 + number)[0]
            for number, voice in enumerate(draw_voices(voices, seed))
            for phrase in random.choice(PHRASES, clips, replace=False)
        ]
    return torch.stack(waves)


def fit(waveforms: Tensor, config: AudioCodecConfig) -> tuple[AudioCodec, float]:
    """Fit a codec.

    Args:
        waveforms: (B, T), 16 kHz. config: sizes.
    Returns: the codec and the share of the weighted variance that its latents hold.
    """
    codec = AudioCodec(config)
    padded = torch.nn.functional.pad(waveforms, (0, -waveforms.shape[-1] % codec.latent_samples))
    features = torch.cat([analyse(part).stack() for part in padded.split(32)])
    mean = features.mean((0, 1))
    scale = torch.ones(FEATURES)
    scale[CEPSTRA], scale[CEPSTRA + 1] = F0_WEIGHT, VOICING_WEIGHT
    chunks = ((features - mean) * scale).reshape(-1, FEATURES * config.frames_per_latent).double()
    values, vectors = torch.linalg.eigh(chunks.T @ chunks / len(chunks))
    basis = vectors.flip(-1)[:, : config.latent_dim].T
    latents = chunks @ basis.T
    spread = latents.std(0)
    latent_scale = spread.rsqrt()
    latent_scale /= (latents.std(0) * latent_scale).square().mean().sqrt()
    codec.feature_mean.copy_(mean)
    codec.feature_scale.copy_(scale)
    codec.basis.copy_(basis)
    codec.latent_mean.copy_(latents.mean(0))
    codec.latent_scale.copy_(latent_scale)
    held = values.flip(-1)[: config.latent_dim].sum() / values.sum()
    return codec, float(held)


def main() -> None:
    """Fit and write the codec."""
    parser = argparse.ArgumentParser(description="Fit nano's audio codec.")
    parser.add_argument("--out", type=Path, default=default_codec_path())
    parser.add_argument("--voices", type=int, default=120)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        codec, held = fit(spoken_waveforms(options.voices, 10, options.seed), AudioCodecConfig())
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_part(options.out, "audio", codec.config, codec)
    print(f"{options.out.name}: {held:.4f} of the weighted variance in {codec.config.latent_dim} numbers")


if __name__ == "__main__":
    main()
