"""Train the voice encoder on the world's speech; goes on from its last checkpoint.

    python -m training.train_voice_encoder --bank data/bank --out data/voice_encoder.safetensors [--steps 1200]

Two clips of one voice with different words must be more alike than those of any other voice in the batch (once for all
tokens, once for timbre alone), and each token must tell its own factors of the voice. Speech features carry gain,
noise, band limits and analysis errors, so that real recordings are not strange to it. The last voices of the bank are
never seen; at the end they are told apart with other words.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wan_core.checkpoints.nano import load_part, save_part
from wan_core.ops.speech import CEPSTRA
from wan_core.voice import VoiceCode, VoiceEncoder, VoiceEncoderConfig

from .fit_audio import load_codec
from .runs import RunLog, load_state, save_state
from .voice_data import VoiceBatches, real_features
from .world.bank import SpeechBank
from .world.voices import NAMES, TIMBRE

TIMBRE_COLUMNS = [NAMES.index(name) for name in TIMBRE]
PITCH_COLUMNS = [NAMES.index(name) for name in ("pitch", "pitch_range")]
SPEED_COLUMNS = [NAMES.index("speed")]


class VoiceTrainee(nn.Module):
    """The encoder and the heads that only its training needs."""

    def __init__(self, config: VoiceEncoderConfig) -> None:
        super().__init__()
        self.encoder = VoiceEncoder(config)
        self.timbre = nn.Linear(config.timbre_tokens * config.token_dim, len(TIMBRE_COLUMNS))
        self.pitch = nn.Linear(config.token_dim, len(PITCH_COLUMNS))
        self.speed = nn.Linear(config.token_dim, len(SPEED_COLUMNS))

    def predict(self, code: VoiceCode) -> Tensor:
        """Factors of the voice in [0, 1], (B, 14), in the order timbre, pitch, speed."""
        count = self.encoder.config.timbre_tokens
        parts = (
            self.timbre(code.tokens[:, :count].flatten(1)),
            self.pitch(code.tokens[:, count]),
            self.speed(code.tokens[:, count + 1]),
        )
        return torch.cat(parts, -1)

    def loss(self, features: Tensor, factors: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Loss of a batch of two clips a voice, and its parts."""
        code = self.encoder(features)
        wanted = factors[:, TIMBRE_COLUMNS + PITCH_COLUMNS + SPEED_COLUMNS].repeat(2, 1)
        regress = 12.0 * (self.predict(code) - wanted).square().mean()
        whole, accuracy = contrast(code.embedding, 0.1)
        timbre = F.normalize(code.tokens[:, : self.encoder.config.timbre_tokens].flatten(1), dim=-1)
        alone, timbre_accuracy = contrast(timbre, 0.1)
        parts = {"regress": regress.item(), "accuracy": accuracy, "timbre_accuracy": timbre_accuracy}
        return whole + alone + 2.0 * regress, parts


def contrast(vectors: Tensor, temperature: float) -> tuple[Tensor, float]:
    """InfoNCE of unit vectors (2 V, D), rows i and i + V being one voice: the loss, how often the nearest is right."""
    first, second = vectors.chunk(2)
    scores = first @ second.T / temperature
    target = torch.arange(len(first), device=vectors.device)
    loss = 0.5 * (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target))
    return loss, (scores.argmax(-1) == target).float().mean().item()


@torch.inference_mode()
def bank_tokens(encoder: VoiceEncoder, bank: SpeechBank, codec_path: Path | None, phrases: range) -> Tensor:
    """Voice tokens of every voice of a bank from some of its phrases, (V, len(phrases), 4, D) float16."""
    codec = load_codec(codec_path)
    rows: list[Tensor] = []
    for voice in range(bank.info["voices"]):
        latents = torch.from_numpy(
            np.asarray(bank.latents[voice, phrases.start : phrases.stop : phrases.step])
        )
        rows.append(encoder(codec.unpack(latents)).tokens.half())
    return torch.stack(rows)


@torch.inference_mode()
def verify(trainee: VoiceTrainee, bank: SpeechBank, codec_path: Path | None) -> dict[str, object]:
    """On held-out voices: top-1 of 100 with other words (all tokens; timbre alone), correlation with each factor."""
    codec = load_codec(codec_path)
    first, second = (
        torch.from_numpy(bank.latents[bank.held_out_voices.start :, phrase].astype(np.float32))
        for phrase in (9, 50)
    )
    features = codec.unpack(torch.cat((first, second)))
    code = trainee.encoder(features)
    factors = torch.from_numpy(bank.voices[bank.held_out_voices.start :])
    columns = TIMBRE_COLUMNS + PITCH_COLUMNS + SPEED_COLUMNS
    guess = trainee.predict(code).chunk(2)[1]
    names = [NAMES[column] for column in columns]
    return {
        "voices": len(first),
        "top1": contrast(code.embedding, 1.0)[1],
        "timbre_top1": contrast(F.normalize(code.tokens[:, :2].flatten(1), dim=-1), 1.0)[1],
        "correlation": {
            name: round(float(np.corrcoef(guess[:, i], factors[:, column])[0, 1]), 3)
            for i, (name, column) in enumerate(zip(names, columns, strict=True))
        },
    }


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description="Train the voice encoder.")
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--codec", type=Path, default=None)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--voices", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    log = RunLog(options.out.with_suffix(".log"))
    bank, codec = SpeechBank(options.bank), load_codec(options.codec)
    config = VoiceEncoderConfig()
    trainee = VoiceTrainee(config)
    real = real_features(bank, 100, 8)
    voiced = real[0].flatten(0, 2)
    voiced = voiced[voiced[:, CEPSTRA + 1] > 0.3]
    trainee.encoder.feature_mean.copy_(voiced.mean(0))
    trainee.encoder.feature_scale.copy_(1.0 / voiced.std(0))
    optimizer = torch.optim.AdamW(trainee.parameters(), 2e-3, weight_decay=0.02)
    checkpoint = options.out.with_suffix(".state")
    start = 0
    if (saved := load_state(checkpoint)) is not None:
        trainee.load_state_dict(saved[0])
        start = int(saved[1]["step"])
    batches = VoiceBatches(bank, codec, real, options.voices, options.seed + start)
    began = time.monotonic()
    for step in range(start, options.steps):
        rate = 2e-3 * min(1.0, (step + 1) / 50) * 0.5 * (1.0 + math.cos(math.pi * step / options.steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss, parts = trainee.loss(*batches.draw())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trainee.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 99:
            log.write(step=step + 1, loss=loss.item(), seconds=time.monotonic() - began, **parts)
        if step % 250 == 249:
            save_state(checkpoint, trainee.state_dict(), {"step": step + 1})
            save_part(options.out, "voice", config, trainee.encoder)
    trainee.train(False)
    save_part(options.out, "voice", config, trainee.encoder)
    log.write(**verify(trainee, bank, options.codec))


def load_voice_encoder(path: Path) -> VoiceEncoder:
    """A trained encoder, in inference mode."""
    encoder = load_part(path, "voice")
    assert isinstance(encoder, VoiceEncoder)
    return encoder


if __name__ == "__main__":
    main()
