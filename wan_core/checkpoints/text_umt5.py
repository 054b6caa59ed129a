"""umT5 as it is published: names of its tensors, its configuration, and the strict load."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from ..errors import CheckpointMismatchError, UnknownCheckpointError
from ..ops.thin_linear import THIN_OPERATIONS
from ..text.umt5 import UMT5Config, UMT5Encoder
from ..text.umt5_encoder import UMT5TextEncoder
from .assign import build_and_load
from .header import Header
from .key_maps import PLAIN_RULES, Rules, rename
from .source import Source, open_source
from .text_tokenizer import SPIECE_KEY, find_tokenizer
from .torch_file import DTYPE_NAMES

#: What the official release calls its text encoder, in the folder of a transformer.
OFFICIAL_FILES = "models_t5*.pth"
#: What wrappers put before every key.
PREFIXES = ("", "umt5xxl.transformer.", "text_encoders.umt5xxl.transformer.", "text_encoder.", "transformer.")
#: Stored beside the weights, and no part of the encoder: the tokenizer, the embedding once more, CLIP's temperature.
BESIDE = (SPIECE_KEY, "encoder.embed_tokens.weight", "logit_scale")

#: transformers -> official, as (regular expression of the whole key, replacement).
#: Source: huggingface/transformers src/transformers/models/umt5/modeling_umt5.py (names only).
TRANSFORMERS_RULES = (
    (r"shared\.(.+)", r"token_embedding.\1"),
    (r"encoder\.final_layer_norm\.(.+)", r"norm.\1"),
    (r"encoder\.block\.(\d+)\.layer\.0\.layer_norm\.(.+)", r"blocks.\1.norm1.\2"),
    (r"encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.([qkvo])\.(.+)", r"blocks.\1.attn.\2.\3"),
    (
        r"encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.relative_attention_bias\.(.+)",
        r"blocks.\1.pos_embedding.embedding.\2",
    ),
    (r"encoder\.block\.(\d+)\.layer\.1\.layer_norm\.(.+)", r"blocks.\1.norm2.\2"),
    (r"encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wi_0\.(.+)", r"blocks.\1.ffn.gate.0.\2"),
    (r"encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wi_1\.(.+)", r"blocks.\1.ffn.fc1.\2"),
    (r"encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wo\.(.+)", r"blocks.\1.ffn.fc2.\2"),
)
#: llama.cpp -> official.   Source: ggml-org/llama.cpp gguf-py/gguf/constants.py, architecture t5encoder (MIT).
GGUF_RULES = (
    (r"token_embd\.(.+)", r"token_embedding.\1"),
    (r"enc\.output_norm\.(.+)", r"norm.\1"),
    (r"enc\.blk\.(\d+)\.attn_norm\.(.+)", r"blocks.\1.norm1.\2"),
    (r"enc\.blk\.(\d+)\.attn_([qkvo])\.(.+)", r"blocks.\1.attn.\2.\3"),
    (r"enc\.blk\.(\d+)\.attn_rel_b\.(.+)", r"blocks.\1.pos_embedding.embedding.\2"),
    (r"enc\.blk\.(\d+)\.ffn_norm\.(.+)", r"blocks.\1.norm2.\2"),
    (r"enc\.blk\.(\d+)\.ffn_gate\.(.+)", r"blocks.\1.ffn.gate.0.\2"),
    (r"enc\.blk\.(\d+)\.ffn_up\.(.+)", r"blocks.\1.ffn.fc1.\2"),
    (r"enc\.blk\.(\d+)\.ffn_down\.(.+)", r"blocks.\1.ffn.fc2.\2"),
)


@dataclass(frozen=True, slots=True)
class TextLayout:
    """A way of naming umT5's tensors; signature: keys that such a file has, after its prefix."""

    name: str
    signature: tuple[str, ...]
    rules: Rules

    def find_prefix(self, header: Header) -> str | None:
        """What stands before the keys of a header of this layout, or None if it has another one."""
        for prefix in PREFIXES:
            if all(prefix + key in header.tensors for key in self.signature):
                return prefix
        return None


LAYOUTS = (
    TextLayout(
        "umT5, transformers names",
        ("shared.weight", "encoder.block.0.layer.0.SelfAttention.q.weight"),
        TRANSFORMERS_RULES,
    ),
    TextLayout(
        "umT5, official names",
        ("token_embedding.weight", "blocks.0.attn.q.weight", "blocks.0.ffn.gate.0.weight"),
        PLAIN_RULES,
    ),
    TextLayout("umT5, GGUF names", ("token_embd.weight", "enc.blk.0.attn_q.weight"), GGUF_RULES),
)


@dataclass(frozen=True, slots=True)
class DetectedText:
    """A recognised text encoder.

    layout: name of its layout.   config: from its shapes.   names: stored key -> parameter name.
    header: of its own tensors alone, without what is stored beside them.
    """

    layout: str
    config: UMT5Config
    names: Mapping[str, str]
    header: Header


def open_text_source(path: Path | str) -> Source:
    """Find the text encoder that a path means and read its header.

    Args: path: a .safetensors, .gguf or .pth file, a sharded index, a folder with either, a Diffusers pipeline folder
        (its `text_encoder` is taken), or the folder of an official release (its `models_t5*.pth` is taken).
    Raises: CheckpointError: nothing there, several candidates, damaged.
    """
    path = Path(path)
    if path.is_dir() and not (path / "model_index.json").is_file():
        official = sorted(path.glob(OFFICIAL_FILES))
        if len(official) == 1:
            path = official[0]
    return open_source(path, "text_encoder")


def detect_text(source: Source) -> DetectedText:
    """Recognise umT5 from its header.

    Raises: UnknownCheckpointError: another model, with what each layout lacks.
        CheckpointMismatchError: incomplete, T5 instead of umT5, or a config.json that contradicts the tensors.
    """
    header = source.header
    for layout in LAYOUTS:
        prefix = layout.find_prefix(header)
        if prefix is not None:
            kept = {key: i for key, i in header.tensors.items() if not key.endswith(BESIDE)}
            own = replace(header, tensors=kept)
            names = rename(kept, prefix, layout.rules)
            shapes = {name: header.shape(key) for key, name in names.items()}
            return DetectedText(layout.name, infer_config(shapes, source.config, header.name), names, own)
    lacks = "; ".join(
        f"{layout.name}: no {next((k for k in layout.signature if k not in header.tensors), layout.signature[0])}"
        for layout in LAYOUTS
    )
    raise UnknownCheckpointError(
        f"text encoder: expected a known layout of umT5's tensors, got none of them ({lacks}) in {header.name}. "
        "Name the file of umT5-xxl, for example umt5_xxl_fp16.safetensors or models_t5_umt5-xxl-enc-bf16.pth."
    )


def infer_config(shapes: Mapping[str, tuple[int, ...]], stored: Mapping[str, Any], where: str) -> UMT5Config:
    """Configuration from shapes, by parameter name.

    Args: stored: entries of a config.json beside the weights, used if it describes umT5; it supplies what no shape
        tells (largest distance, eps) and must agree with the rest.   where: file, named in errors.
    Raises: CheckpointMismatchError: as `detect_text`.
    """

    def shape(name: str) -> tuple[int, int]:
        found = shapes.get(name, ())
        if len(found) != 2:
            got = f"shape {found}" if name in shapes else "none"
            raise CheckpointMismatchError(
                f"tensor {name}: expected a matrix, got {got} in {where}. Use a complete file of umT5's encoder."
            )
        return found[0], found[1]

    stored = stored if stored.get("model_type") == "umt5" else {}
    count = 1 + max(int(m[1]) for m in (re.match(r"blocks\.(\d+)\.", name) for name in shapes) if m)
    if count > 1 and not any(re.match(r"blocks\.[1-9]\d*\.pos_embedding\.", name) for name in shapes):
        raise CheckpointMismatchError(
            f"text encoder: expected relative positions in each of {count} blocks, as umT5 has them, got them in none "
            f"after the first in {where}. This is T5: use umT5-xxl."
        )
    buckets, heads = shape("blocks.0.pos_embedding.embedding.weight")
    vocabulary, dim = shape("token_embedding.weight")
    config = UMT5Config(
        vocab_size=vocabulary,
        dim=dim,
        attention_dim=shape("blocks.0.attn.q.weight")[0],
        ffn_dim=shape("blocks.0.ffn.fc1.weight")[0],
        num_heads=heads,
        num_layers=count,
        num_buckets=buckets,
        max_distance=int(stored.get("relative_attention_max_distance") or 128),
        eps=float(stored.get("layer_norm_epsilon") or 1e-6),
    )
    wanted = {
        "vocab_size": vocabulary,
        "d_model": dim,
        "d_ff": config.ffn_dim,
        "num_heads": heads,
        "num_layers": count,
        "relative_attention_num_buckets": buckets,
        "feed_forward_proj": "gated-gelu",
    }
    for name, value in wanted.items():
        if stored.get(name, value) != value:
            raise CheckpointMismatchError(
                f"{name}: expected {value} as the tensors have it, got {stored[name]} in the config.json beside "
                f"{where}. Put the config.json of this model there."
            )
    return config


def load_umt5(
    source: Source,
    tokenizer: Path | str | None = None,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = torch.float32,
) -> UMT5TextEncoder:
    """Load umT5 and its tokenizer.

    Args:
        source: of `open_text_source`.   tokenizer: as `text_tokenizer.find_tokenizer`.
        dtype: in which the layers compute, and of all weights but the embedding, which keeps its stored dtype (only
            the rows of the prompt are converted); packed weights stay packed. None: the stored dtype, or bfloat16 where
            weights are packed.
    Raises: CheckpointError and its kinds, as `detect_text` and `find_tokenizer`; all before a weight is read.
    """
    found = detect_text(source)
    found_tokenizer = find_tokenizer(source.header, tokenizer)
    if not found.config.vocab_size - 512 < found_tokenizer.size <= found.config.vocab_size:
        raise CheckpointMismatchError(
            f"tokenizer: expected about {found.config.vocab_size} tokens, as umT5's embedding has, got "
            f"{found_tokenizer.size} for {source.header.name}. Use the tokenizer of google/umt5-xxl."
        )
    model = build_and_load(
        lambda: UMT5Encoder(found.config, operations=THIN_OPERATIONS),
        found.header,
        names=found.names,
        device=device,
        dtype=dtype or stored_dtype(found),
        as_stored=("token_embedding.weight",),
    )
    return UMT5TextEncoder(cast("UMT5Encoder", model), found_tokenizer).train(False)


def stored_dtype(found: DetectedText) -> torch.dtype:
    """The dtype of the first linear layer; bfloat16, in which the official code computes, where it is packed."""
    dtypes = {name: dtype for dtype, name in DTYPE_NAMES.items()}
    key = next(key for key, name in found.names.items() if name == "blocks.0.attn.q.weight")
    return torch.bfloat16 if key in found.header.packing else dtypes[found.header.tensors[key].dtype]
