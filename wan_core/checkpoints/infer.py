"""Configurations from the shapes of tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..dit.config import JointConfig, SpeechConfig, WanConfig
from ..errors import CheckpointMismatchError
from .header import Header

#: Every published Wan model has heads of this width; the number of heads is in no tensor.
PUBLISHED_HEAD_DIM = 128
#: Inverse frequencies of Ovi's audio RoPE are multiplied by it: about 31 latent frames of video / 157 of sound.
#: Source: character-ai/Ovi@5b69b25 ovi/configs/model/dit/audio.json.
OVI_AUDIO_POSITION_SCALE = 0.19676

Shapes = Mapping[str, tuple[int, ...]]

#: Field of WanConfig -> its name in config.json: (Diffusers, original release).
CONFIG_NAMES = {
    "num_layers": ("num_layers", "num_layers"),
    "ffn_dim": ("ffn_dim", "ffn_dim"),
    "freq_dim": ("freq_dim", "freq_dim"),
    "in_channels": ("in_channels", "in_dim"),
    "out_channels": ("out_channels", "out_dim"),
    "text_dim": ("text_dim", "text_dim"),
    "patch_size": ("patch_size", "patch_size"),
    "dim": ("dim", "dim"),
}


def infer_tower(header: Header, names: Mapping[str, str], stored: Mapping[str, Any]) -> WanConfig:
    """Configuration of a single tower.

    Args: names: stored key -> parameter name.   stored: entries of config.json, may be empty; it supplies what no shape
        tells (heads, eps, text_len) and must agree with the rest.
    Raises: CheckpointMismatchError: it does not agree, a needed tensor is missing, or heads are unknown.
    """
    shapes = {name: header.shape(key) for key, name in names.items()}
    config = _tower(shapes, "", stored, header.name)
    for field, aliases in CONFIG_NAMES.items():
        for alias in set(aliases) & set(stored):
            claimed = stored[alias]
            claimed = tuple(claimed) if isinstance(claimed, list) else claimed
            if claimed is not None and claimed != getattr(config, field):
                raise CheckpointMismatchError(
                    f"{alias}: expected {getattr(config, field)} as the tensors have it, got {claimed} in the "
                    f"config.json beside {header.name}. Put the config.json of this model there."
                )
    return config


def infer_joint(header: Header, names: Mapping[str, str], stored: Mapping[str, Any]) -> JointConfig:
    """Configuration of Ovi's two towers; arguments and errors as `infer_tower`."""
    shapes = {name: header.shape(key) for key, name in names.items()}
    return JointConfig(
        video=_tower(shapes, "video_model.", stored, header.name),
        audio=_tower(shapes, "audio_model.", stored, header.name),
        fusion_window=None,
        audio_position_scale=OVI_AUDIO_POSITION_SCALE,
    )


def _tower(shapes: Shapes, prefix: str, stored: Mapping[str, Any], where: str) -> WanConfig:
    def shape(name: str) -> tuple[int, ...]:
        if prefix + name not in shapes:
            raise CheckpointMismatchError(
                f"tensor {prefix}{name}: expected it, got none in {where}. The file is incomplete."
            )
        return shapes[prefix + name]

    is_video = prefix + "patch_embedding.weight" in shapes
    first = "patch_embedding.weight" if is_video else "patch_embedding.0.weight"
    if len(shape(first)) != (5 if is_video else 3):
        raise CheckpointMismatchError(
            f"tensor {prefix}{first}: expected a convolution, got shape {shape(first)} in {where}. "
            "Use the file of this model."
        )
    dim, in_channels, *patch = shape(first)
    kernel, hidden = 7, None
    if not is_video:
        kernel, patch = patch[0], [1]
        hidden = shape("patch_embedding.2.w1.weight")[0]
    volume = 1
    for n in patch:
        volume *= n
    numbers = [
        int(m[1]) for m in (re.match(re.escape(prefix) + r"blocks\.(\d+)\.", name) for name in shapes) if m
    ]
    has_image = prefix + "img_emb.proj.0.weight" in shapes
    return WanConfig(
        dim=dim,
        ffn_dim=shape("blocks.0.ffn.0.weight")[0],
        num_heads=_heads(dim, stored, where),
        num_layers=max(numbers) + 1,
        in_channels=in_channels,
        out_channels=shape("head.head.weight")[0] // volume,
        text_dim=shape("text_embedding.0.weight")[1],
        text_len=int(stored.get("text_len") or 512),
        freq_dim=shape("time_embedding.0.weight")[1],
        patch_size=tuple(patch),
        qk_norm=prefix + "blocks.0.self_attn.norm_q.weight" in shapes,
        cross_attn_norm=prefix + "blocks.0.norm3.weight" in shapes,
        eps=float(stored.get("eps") or 1e-6),
        image_dim=shape("img_emb.proj.0.weight")[0] if has_image else None,
        image_positions=_image_positions(shapes, prefix),
        embedding_kernel=kernel,
        embedding_hidden=hidden,
        speech=_speech(shapes, prefix, where),
    )


def _image_positions(shapes: Shapes, prefix: str) -> int | None:
    name = prefix + "img_emb.emb_pos"
    return shapes[name][1] if name in shapes else None


def _speech(shapes: Shapes, prefix: str, where: str) -> SpeechConfig | None:
    """How a tower hears speech; window and groups are in no tensor."""
    names = [f"{prefix}audio_proj.audio_proj_glob_{part}.layer.weight" for part in ("1", "3", "norm")]
    if names[0] not in shapes:
        return None
    try:
        (hidden, width_in), (width_out, _), (width,) = (shapes[name] for name in names)
        usual = SpeechConfig()
        features, rest = divmod(width_in, usual.window * usual.groups)
        tokens, over = divmod(width_out, width)
    except (KeyError, ValueError) as error:
        raise CheckpointMismatchError(
            f"audio_proj: expected the projection of HuMo, got {error} in {where}. The file is incomplete."
        ) from error
    if rest or over:
        raise CheckpointMismatchError(
            f"audio_proj: expected windows of {usual.window} x {usual.groups} features and whole tokens, got "
            f"{width_in} in and {width_out} out in {where}. Use a HuMo file."
        )
    return SpeechConfig(features=features, hidden=hidden, tokens=tokens, width=width)


def _heads(dim: int, stored: Mapping[str, Any], where: str) -> int:
    """Number of heads: from config.json, else from the head width that all published models share."""
    claimed = stored.get("num_attention_heads") or stored.get("num_heads")
    if claimed is not None:
        return int(claimed)
    if dim % PUBLISHED_HEAD_DIM:
        raise CheckpointMismatchError(
            f"number of heads: expected a width that is a multiple of {PUBLISHED_HEAD_DIM} or a config.json beside the "
            f"file, got width {dim} in {where}. Put the model's config.json beside it."
        )
    return dim // PUBLISHED_HEAD_DIM
