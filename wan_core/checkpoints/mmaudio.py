"""The published weights of MMAudio's 16 kHz codec: VAE (v1-16.pth) and vocoder (best_netG.pt)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..errors import CheckpointMismatchError, UnknownCheckpointError
from .header import Header
from .source import open_source
from .tensors import read_tensors

if TYPE_CHECKING:
    from ..audio.mmaudio import MMAudioCodec, MMAudioConfig

#: What stands before the keys in some files.
_PREFIXES = ("", "generator.", "vocoder.vocoder.", "vocoder.", "tod.vae.", "vae.")
VAE_SIGNATURE, VOCODER_SIGNATURE = "decoder.mid.attn_1.qkv.weight", "resblocks.0.activations.0.act.alpha"
#: How a weight is stored as length and direction, by the older and by the newer function of torch.
_LENGTHS = (
    ("weight_g", "weight_v"),
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),
)
#: Names of the vocoder's last layer: ours holds it beside its tanh.
_LAST = (r"^conv_post\.", "conv_post.0.")
_SHOWN = 5


def load_audio_codec(
    vae: Path | str,
    vocoder: Path | str,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> MMAudioCodec:
    """Load MMAudio's codec of 16 kHz: `encode(waveform)` and `decode(latents)`.

    Every tensor of both files must be one of the codec's, and the other way round.

    Args: vae, vocoder: v1-16.pth and best_netG.pt, or the same tensors as .safetensors.   dtype: of the weights.
    Raises:
        UnknownCheckpointError: another kind of file.   CheckpointMismatchError: tensors missing, left over or of
        another shape.   CheckpointError: missing or damaged.   MissingDependencyError: no diffusers.
    """
    from ..audio.mmaudio import MMAudioCodec

    headers = (_open(vae, "VAE", VAE_SIGNATURE), _open(vocoder, "vocoder", VOCODER_SIGNATURE))
    with torch.device("meta"):
        codec = MMAudioCodec(infer_config(*headers))
    for module, header in zip((codec.vae, codec.vocoder), headers, strict=True):
        names = plain_names(header)
        compare(module, header, names)
        weights = _weights(header, names)
        if module is codec.vae:
            weights = {name: _normalised(name, tensor) for name, tensor in weights.items()}
        weights = {name: tensor.to(device=device, dtype=dtype) for name, tensor in weights.items()}
        module.load_state_dict(weights, strict=True, assign=True)
    return codec.requires_grad_(False).train(False)


def infer_config(vae: Header, vocoder: Header) -> MMAudioConfig:
    """Sizes of a codec of this kind; what no shape tells is as published."""
    from ..audio.mmaudio import MMAudioConfig

    first, second = plain_names(vae), plain_names(vocoder)
    return MMAudioConfig(
        latent_channels=_size(first, "decoder.conv_in.weight", 1, vae),
        hidden_channels=_size(first, "encoder.conv_in.weight", 0, vae),
        vocoder_channels=_size(second, "conv_pre.weight", 0, vocoder),
    )


def plain_names(header: Header) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors once lengths and directions are joined and prefixes cut off."""
    return {name: header.shape(keys[-1]) for name, keys in _sources(header).items()}


def compare(module: nn.Module, header: Header, found: Mapping[str, tuple[int, ...]]) -> None:
    """Check names and shapes of a file against those of a module.

    Raises: CheckpointMismatchError: they differ.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    missing, unexpected = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    other = sorted(name for name in set(expected) & set(found) if expected[name] != found[name])
    if missing or unexpected or other:
        raise CheckpointMismatchError(
            f"audio codec: expected the {len(expected)} tensors of {type(module).__name__}, got {len(found)}: "
            f"{len(missing)} missing ({_some(missing)}), {len(unexpected)} unexpected ({_some(unexpected)}), "
            f"{len(other)} of another shape ({_some(other)}) in {header.name}. Use MMAudio's files of 16 kHz: "
            "v1-16.pth and best_netG.pt."
        )


def _open(path: Path | str, part: str, signature: str) -> Header:
    header = open_source(path, "audio").header
    if not any(prefix + signature in header.tensors for prefix in _PREFIXES):
        raise UnknownCheckpointError(
            f"audio {part}: expected MMAudio's {part} of 16 kHz, got a file without {signature} in {header.name}. "
            f"Name {'v1-16.pth' if part == 'VAE' else 'best_netG.pt'}."
        )
    return header


def _sources(header: Header) -> dict[str, tuple[str, ...]]:
    """Name -> the stored keys that it is made of: one, or length and direction."""
    signatures = (VAE_SIGNATURE, VOCODER_SIGNATURE)
    prefix = next((p for p in _PREFIXES if any(p + s in header.tensors for s in signatures)), "")
    found: dict[str, tuple[str, ...]] = {}
    for key in header.tensors:
        name = re.sub(*_LAST, key.removeprefix(prefix))
        pair = next((pair for pair in _LENGTHS if name.endswith(pair)), None)
        if pair is None:
            found[name] = (key,)
        elif name.endswith(pair[1]):
            length = key[: -len(pair[1])] + pair[0]
            found[name[: -len(pair[1])] + "weight"] = (length, key) if length in header.tensors else (key,)
        elif key[: -len(pair[0])] + pair[1] not in header.tensors:
            found[name] = (key,)
    return found


def _weights(header: Header, names: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    stored = read_tensors(header)
    result: dict[str, Tensor] = {}
    for name, keys in _sources(header).items():
        tensor = stored[keys[-1]]
        if len(keys) == 2:
            axes = tuple(range(1, tensor.ndim))
            tensor = tensor * (stored[keys[0]] / torch.linalg.vector_norm(tensor, dim=axes, keepdim=True))
        result[name] = tensor.view(names[name])
    return result


def _normalised(name: str, weight: Tensor) -> Tensor:
    """A convolution of the VAE as it is used: every filter of unit length.

    Source: character-ai/Ovi@5b69b25 ovi/modules/mmaudio/ext/autoencoder/edm2_utils.py (the weights are stored before).
    """
    if weight.ndim != 3 or not name.startswith(("encoder.", "decoder.")):
        return weight
    count = weight[0].numel()
    length = torch.linalg.vector_norm(weight, dim=(1, 2), keepdim=True)
    return weight / (1e-4 + length / math.sqrt(count)) / math.sqrt(count)


def _size(names: Mapping[str, tuple[int, ...]], name: str, axis: int, header: Header) -> int:
    if name not in names or len(names[name]) <= axis:
        raise CheckpointMismatchError(
            f"audio codec: expected the tensor {name}, got none in {header.name}. The file is incomplete."
        )
    return names[name][axis]


def _some(names: list[str]) -> str:
    return (", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")) or "none"
