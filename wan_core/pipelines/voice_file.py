"""Voice tokens as a file, so that a voice is encoded once and used for many clips."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from ..checkpoints.header import read_header
from ..checkpoints.tensors import read_tensors
from ..errors import InputError
from ..voice.encoder import VoiceEncoder

METADATA_KEY = "wan_r2v_voice"
TENSOR = "tokens"
SUFFIX = ".voice.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceInfo:
    """What voice tokens are, beside their numbers.

    encoder: fingerprint of the encoder that made them.   source: name of the recording.   seconds: its length.
    """

    encoder: str
    source: str
    seconds: float


def encoder_fingerprint(encoder: VoiceEncoder) -> str:
    """Sixteen hexadecimal digits that change with the encoder's weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def voice_to_bytes(tokens: Tensor, info: VoiceInfo) -> bytes:
    """Content of a .safetensors file.

    Args: tokens: (1, N, D), as `encode_voice` gives them.
    """
    metadata = {METADATA_KEY: json.dumps(asdict(info))}
    return save({TENSOR: tokens.detach().float().cpu().contiguous()}, metadata=metadata)


def read_voice_tokens(path: Path) -> tuple[Tensor, VoiceInfo]:
    """Read such a file back.

    Returns: tokens (1, N, D) float32, and what they are.
    Raises: InputError: it holds something else.   CheckpointError: missing or damaged.
    """
    header = read_header(path)
    try:
        entry = json.loads(header.metadata.get(METADATA_KEY) or "null")
        info = VoiceInfo(
            encoder=str(entry["encoder"]), source=str(entry["source"]), seconds=float(entry["seconds"])
        )
        tokens = read_tensors(header, [TENSOR])[TENSOR].float()
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"voice: expected a file that `wan-r2v encode-voice` wrote, got something else in {path}. "
            f"Name the {SUFFIX} file, or the recording itself."
        ) from error
    if tokens.ndim != 3 or tokens.shape[0] != 1 or not bool(tokens.isfinite().all()):
        raise InputError(
            f"voice: expected finite tokens (1, N, D), got {tuple(tokens.shape)} in {path}. Encode the voice again."
        )
    return tokens, info


def check_encoder(info: VoiceInfo, encoder: VoiceEncoder, where: str) -> None:
    """Check that tokens come from the encoder that is loaded.

    Raises: InputError: they come from another training.
    """
    wanted = encoder_fingerprint(encoder)
    if info.encoder != wanted:
        raise InputError(
            f"voice: expected tokens of the voice encoder {wanted}, got those of {info.encoder}{where}. "
            "Encode the recording again with the weights in use."
        )
