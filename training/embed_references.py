"""Encode the reference voices of the bank, and silence, as the transformer's training sees them.

    python -m training.embed_references --bank DIR --voice-encoder FILE --out DIR [--clips 4]

Writes voice_tokens.npy (V, clips, N, D) float16, one set of tokens for each of a few phrases of every voice, and
silence.npy (32, 34) float32, the sound of a clip in which nobody speaks.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wan_core.checkpoints.nano import load_part
from wan_core.ops.speech import analyse
from wan_core.voice import VoiceEncoder

from .fit_audio import load_codec
from .nano_config import SAMPLES
from .world.bank import SpeechBank
from .world.speech import PHRASES


@torch.inference_mode()
def encode_voices(bank: SpeechBank, encoder: VoiceEncoder, clips: int) -> Tensor:
    """Tokens of `clips` phrases of every voice, (V, clips, N, D); the phrases differ from voice to voice."""
    codec = load_codec()
    rows: list[Tensor] = []
    for voice in range(len(bank.voices)):
        phrases = [(voice * 7 + 13 * k) % PHRASES for k in range(clips)]
        latents = torch.from_numpy(np.stack([bank.latents[voice, p] for p in phrases])).float()
        rows.append(encoder(analyse(codec.decode(latents)).stack()).tokens)
    return torch.stack(rows)


def main() -> None:
    """Encode and save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--voice-encoder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=4)
    arguments = parser.parse_args()
    encoder = load_part(arguments.voice_encoder, "voice")
    assert isinstance(encoder, VoiceEncoder)
    tokens = encode_voices(SpeechBank(arguments.bank), encoder, arguments.clips)
    np.save(arguments.out / "voice_tokens.npy", tokens.half().numpy())
    np.save(arguments.out / "silence.npy", load_codec().encode(torch.zeros(1, SAMPLES))[0].numpy())


if __name__ == "__main__":
    main()
