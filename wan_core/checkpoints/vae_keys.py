"""Names of a causal video VAE's tensors: Diffusers' to the original ones."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Layers of a residual block, Diffusers -> original; what is not listed has the same name in both.
BLOCK_NAMES = {
    "norm1": "residual.0",
    "conv1": "residual.2",
    "norm2": "residual.3",
    "conv2": "residual.6",
    "conv_shortcut": "shortcut",
}
_FIRST_LEVEL = re.compile(r"decoder\.up_blocks\.0\.resnets\.(\d+)\.norm1\.gamma")
_OUTER = (
    (re.compile(r"quant_conv\.(.+)"), r"conv1.\1"),
    (re.compile(r"post_quant_conv\.(.+)"), r"conv2.\1"),
    (re.compile(r"(encoder|decoder)\.conv_in\.(.+)"), r"\1.conv1.\2"),
    (re.compile(r"(encoder|decoder)\.norm_out\.(.+)"), r"\1.head.0.\2"),
    (re.compile(r"(encoder|decoder)\.conv_out\.(.+)"), r"\1.head.2.\2"),
    (re.compile(r"(encoder|decoder)\.mid_block\.attentions\.0\.(.+)"), r"\1.middle.1.\2"),
)
_MIDDLE = re.compile(r"(encoder|decoder)\.mid_block\.resnets\.([01])\.(.+)")
_DOWN = re.compile(r"encoder\.down_blocks\.(\d+)\.(?:(resnets)\.(\d+)\.|(downsampler)\.)?(.+)")
_UP = re.compile(r"decoder\.up_blocks\.(\d+)\.(?:resnets\.(\d+)|(upsamplers\.0)|(upsampler))\.(.+)")


def diffusers_vae_names(keys: Iterable[str], prefix: str) -> dict[str, str]:
    """Map the keys of a Diffusers AutoencoderKLWan to original names.

    Args: prefix: cut off; keys without it are left out.
    Returns: stored key -> name; a key of another kind is left out.
    Source: huggingface/diffusers src/diffusers/models/autoencoders/autoencoder_kl_wan.py at 0.42 (names only);
        Wan-Video/Wan2.1@9737cba wan/modules/vae.py; Wan-Video/Wan2.2@42bf4cf wan/modules/vae2_2.py.
    """
    own = {key: key[len(prefix) :] for key in keys if key.startswith(prefix)}
    found = [int(match[1]) for name in own.values() if (match := _FIRST_LEVEL.fullmatch(name))]
    up_blocks = max(found, default=0) + 1
    is_residual = any("upsampler." in name or "downsampler." in name for name in own.values())
    named = {key: _original(name, up_blocks, is_residual) for key, name in own.items()}
    return {key: name for key, name in named.items() if name is not None}


def _original(name: str, up_blocks: int, is_residual: bool) -> str | None:
    """One name. up_blocks: residual blocks in a level of the decoder; the encoder's levels have one less."""
    for pattern, replacement in _OUTER:
        match = pattern.fullmatch(name)
        if match:
            return match.expand(replacement)
    if match := _MIDDLE.fullmatch(name):
        return f"{match[1]}.middle.{2 * int(match[2])}.{_in_block(match[3])}"
    if match := _DOWN.fullmatch(name):
        level, _, block, sampler, rest = match.groups()
        if block is None and sampler is None:
            return f"encoder.downsamples.{level}.{_in_block(rest)}"
        number = up_blocks - 1 if block is None else block
        return f"encoder.downsamples.{level}.downsamples.{number}.{_in_block(rest)}"
    if match := _UP.fullmatch(name):
        level, block, _, _, rest = match.groups()
        number = up_blocks if block is None else int(block)
        if is_residual:
            return f"decoder.upsamples.{level}.upsamples.{number}.{_in_block(rest)}"
        return f"decoder.upsamples.{int(level) * (up_blocks + 1) + number}.{_in_block(rest)}"
    return None


def _in_block(rest: str) -> str:
    head, dot, tail = rest.partition(".")
    return f"{BLOCK_NAMES.get(head, head)}{dot}{tail}"
