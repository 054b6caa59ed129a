"""CLIP's picture tower from the files that it is published in."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..errors import CheckpointError, CheckpointMismatchError, UnknownCheckpointError
from ..identity.clip_image import ClipImageConfig, ClipImageEncoder
from .header import Header
from .key_maps import Rules, rename
from .source import Source, open_source
from .tensors import read_tensors

#: Width of a head of ViT-H, used where no config.json tells the number of heads.
PUBLISHED_HEAD_DIM = 80
#: Original names (Wan's .pth) -> those of transformers. Fused q, k, v are split afterwards.
#: Source: Wan-Video/Wan2.1@9737cba wan/modules/clip.py (names only).
ORIGINAL_RULES: Rules = (
    (r"visual\.patch_embedding\.weight", r"embeddings.patch_embedding.weight"),
    (r"visual\.cls_embedding", r"embeddings.class_embedding"),
    (r"visual\.pos_embedding", r"embeddings.position_embedding.weight"),
    (r"visual\.pre_norm\.(.+)", r"pre_layrnorm.\1"),
    (r"visual\.post_norm\.(.+)", r"post_layernorm.\1"),
    (r"visual\.transformer\.(\d+)\.norm([12])\.(.+)", r"encoder.layers.\1.layer_norm\2.\3"),
    (r"visual\.transformer\.(\d+)\.attn\.to_qkv\.(.+)", r"encoder.layers.\1.self_attn.qkv.\2"),
    (r"visual\.transformer\.(\d+)\.attn\.proj\.(.+)", r"encoder.layers.\1.self_attn.out_proj.\2"),
    (r"visual\.transformer\.(\d+)\.mlp\.0\.(.+)", r"encoder.layers.\1.mlp.fc1.\2"),
    (r"visual\.transformer\.(\d+)\.mlp\.2\.(.+)", r"encoder.layers.\1.mlp.fc2.\2"),
)
#: Names of transformers, as ComfyUI's clip_vision_h.safetensors and Diffusers folders have them.
TRANSFORMERS_RULES: Rules = (
    (r"(?:vision_model\.)?((?:embeddings|encoder|pre_layrnorm|post_layernorm)\..+)", r"\1"),
)
#: What such files hold beside the tower: the text half, projections, indices.
NOT_NEEDED = re.compile(
    r"(?:textual|text_model)\..+|log_scale|logit_scale|visual\.head|(?:visual|text)_projection\.weight|.+\.position_ids"
)
_LAYER = re.compile(r"encoder\.layers\.(\d+)\.")


def load_clip_image(
    path: Path | str, device: torch.device | str = "cpu", dtype: torch.dtype | None = torch.float32
) -> ClipImageEncoder:
    """Load CLIP's picture tower for Wan2.1 image-to-video: `encode(pictures)` gives the transformer's `image_embeds`.

    Args:
        path: the original open-clip .pth, ComfyUI's clip_vision_h.safetensors, or a Hugging Face folder (of a pipeline,
            its `image_encoder`).   dtype: of the weights; None keeps the stored one.
    Returns: the tower without its last block, in inference mode.
    Raises:
        CheckpointError: missing or damaged.   UnknownCheckpointError: no picture tower in it.
        CheckpointMismatchError: tensors missing, left over or of another shape.
    """
    source = open_source(path, "image_encoder")
    header, names = source.header, clip_names(source.header)
    config = clip_config(source, names)
    last = f"encoder.layers.{config.num_layers}."
    wanted = {key: name for key, name in names.items() if not name.startswith(last)}
    with torch.device("meta"):
        encoder = ClipImageEncoder(config)
    expected = {name: tuple(value.shape) for name, value in encoder.vision.state_dict().items()}
    # Releases of transformers before 5 have one more level in the names.
    prefix = "vision_model." if any(name.startswith("vision_model.") for name in expected) else ""
    tensors = read_tensors(header, wanted, device=device, dtype=dtype)
    state = {f"{prefix}{name}": t for key, name in wanted.items() for name, t in _split(name, tensors[key])}
    found = {name: tuple(value.shape) for name, value in state.items()}
    if found != expected:
        wrong = sorted(name for name in set(found) | set(expected) if found.get(name) != expected.get(name))
        raise CheckpointMismatchError(
            f"CLIP picture tower: expected {len(expected)} tensors of a vision transformer, got {len(wrong)} missing, "
            f"unexpected or of another shape ({', '.join(wrong[:5])}) in {header.name}. Use the CLIP file of Wan2.1."
        )
    encoder.vision.load_state_dict(state, strict=True, assign=True)
    for module in encoder.modules():
        if "position_ids" in dict(module.named_buffers(recurse=False)):
            module.register_buffer(
                "position_ids", torch.arange(config.tokens, device=device)[None], persistent=False
            )
    return encoder.requires_grad_(False).train(False)


def clip_names(header: Header) -> dict[str, str]:
    """Stored key -> name in transformers (where q, k and v are fused: `self_attn.qkv`).

    Raises: UnknownCheckpointError: the file holds no picture tower.   CheckpointMismatchError: unknown tensors.
    """
    rules = ORIGINAL_RULES if "visual.patch_embedding.weight" in header.tensors else TRANSFORMERS_RULES
    names = rename(header.tensors, "", rules)
    names = {key: name for key, name in names.items() if not NOT_NEEDED.fullmatch(key)}
    if "embeddings.patch_embedding.weight" not in names.values():
        raise UnknownCheckpointError(
            f"CLIP picture tower: expected a patch embedding, got none in {header.name}. Name "
            "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth, clip_vision_h.safetensors or a folder."
        )
    unknown = sorted(key for key in header.tensors if key not in names and not NOT_NEEDED.fullmatch(key))
    if unknown:
        raise CheckpointMismatchError(
            f"CLIP picture tower: expected known tensors alone, got {len(unknown)} unknown ones "
            f"({', '.join(unknown[:5])}) in {header.name}. Use the CLIP file of Wan2.1."
        )
    return names


def clip_config(source: Source, names: Mapping[str, str]) -> ClipImageConfig:
    """Configuration from the shapes; a config.json of a CLIP tower beside the file tells the number of heads, which
    otherwise follows from the width.

    Raises: CheckpointError: tensors that no tower can be built from.
    """
    header = source.header
    shapes = {name: header.shape(key) for key, name in names.items()}
    layers = {int(match[1]) for name in shapes if (match := _LAYER.match(name))}
    try:
        dim, _, patch, _ = shapes["embeddings.patch_embedding.weight"]
        positions = shapes["embeddings.position_embedding.weight"][-2]
        ffn = shapes["encoder.layers.0.mlp.fc1.weight"][0]
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(
            f"CLIP picture tower: expected embeddings and blocks, got '{error}' in {header.name}. "
            "Use the CLIP file of Wan2.1."
        ) from error
    told = source.config.get("vision_config", source.config)
    told = told if str(told.get("model_type", "")).startswith("clip") else {}
    return ClipImageConfig(
        dim=dim,
        ffn_dim=ffn,
        num_heads=int(told.get("num_attention_heads") or max(1, dim // PUBLISHED_HEAD_DIM)),
        num_layers=len(layers) - 1,
        patch_size=patch,
        image_size=math.isqrt(positions - 1) * patch,
        eps=float(told.get("layer_norm_eps") or 1e-5),
        activation=str(told.get("hidden_act") or "gelu"),
    )


def _split(name: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
    """One stored tensor as transformers has it: q, k and v apart, embeddings without axes of length 1."""
    if ".self_attn.qkv." in name:
        parts = zip("qkv", tensor.chunk(3), strict=True)
        return [(name.replace(".qkv.", f".{part}_proj."), piece.contiguous()) for part, piece in parts]
    if name in ("embeddings.class_embedding", "embeddings.position_embedding.weight"):
        width = tensor.shape[-1]
        return [
            (name, tensor.reshape(width) if name.endswith("class_embedding") else tensor.reshape(-1, width))
        ]
    return [(name, tensor)]
