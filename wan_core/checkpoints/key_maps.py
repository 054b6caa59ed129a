"""Names of tensors in published files, as data."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: What wrappers put before every key of a transformer.
PREFIXES = ("", "model.diffusion_model.", "diffusion_model.", "model.", "module.")

#: What stands before the keys of the transformer, and of the other parts, in an all-in-one checkpoint of ComfyUI.
ALL_IN_ONE_PREFIX = "model.diffusion_model."
OTHER_PART_PREFIXES = ("first_stage_model.", "vae.", "cond_stage_model.", "text_encoders.", "clip_vision.")

#: Diffusers -> original, as (regular expression of the whole key, replacement). Block norms swap their numbers:
#: Diffusers counts in order of use, the original in order of definition.
#: Source: huggingface/diffusers scripts/convert_wan_to_diffusers.py (names only); Wan-Video/Wan2.1@9737cba.
DIFFUSERS_RULES = (
    (r"patch_embedding\.(.+)", r"patch_embedding.\1"),
    (r"condition_embedder\.text_embedder\.linear_1\.(.+)", r"text_embedding.0.\1"),
    (r"condition_embedder\.text_embedder\.linear_2\.(.+)", r"text_embedding.2.\1"),
    (r"condition_embedder\.time_embedder\.linear_1\.(.+)", r"time_embedding.0.\1"),
    (r"condition_embedder\.time_embedder\.linear_2\.(.+)", r"time_embedding.2.\1"),
    (r"condition_embedder\.time_proj\.(.+)", r"time_projection.1.\1"),
    (r"condition_embedder\.image_embedder\.norm1\.(.+)", r"img_emb.proj.0.\1"),
    (r"condition_embedder\.image_embedder\.ff\.net\.0\.proj\.(.+)", r"img_emb.proj.1.\1"),
    (r"condition_embedder\.image_embedder\.ff\.net\.2\.(.+)", r"img_emb.proj.3.\1"),
    (r"condition_embedder\.image_embedder\.norm2\.(.+)", r"img_emb.proj.4.\1"),
    (r"condition_embedder\.image_embedder\.pos_embed", r"img_emb.emb_pos"),
    (r"blocks\.(\d+)\.attn1\.to_([qkv])\.(.+)", r"blocks.\1.self_attn.\2.\3"),
    (r"blocks\.(\d+)\.attn1\.to_out\.0\.(.+)", r"blocks.\1.self_attn.o.\2"),
    (r"blocks\.(\d+)\.attn1\.norm_([qk])\.(.+)", r"blocks.\1.self_attn.norm_\2.\3"),
    (r"blocks\.(\d+)\.attn2\.to_([qkv])\.(.+)", r"blocks.\1.cross_attn.\2.\3"),
    (r"blocks\.(\d+)\.attn2\.to_out\.0\.(.+)", r"blocks.\1.cross_attn.o.\2"),
    (r"blocks\.(\d+)\.attn2\.norm_([qk])\.(.+)", r"blocks.\1.cross_attn.norm_\2.\3"),
    (r"blocks\.(\d+)\.attn2\.add_([kv])_proj\.(.+)", r"blocks.\1.cross_attn.\2_img.\3"),
    (r"blocks\.(\d+)\.attn2\.norm_added_k\.(.+)", r"blocks.\1.cross_attn.norm_k_img.\2"),
    (r"blocks\.(\d+)\.norm2\.(.+)", r"blocks.\1.norm3.\2"),
    (r"blocks\.(\d+)\.ffn\.net\.0\.proj\.(.+)", r"blocks.\1.ffn.0.\2"),
    (r"blocks\.(\d+)\.ffn\.net\.2\.(.+)", r"blocks.\1.ffn.2.\2"),
    (r"blocks\.(\d+)\.scale_shift_table", r"blocks.\1.modulation"),
    (r"scale_shift_table", r"head.modulation"),
    (r"proj_out\.(.+)", r"head.head.\1"),
)

#: Ovi wraps the modulation of a block in a module of its own. Source: character-ai/Ovi@5b69b25 ovi/modules/model.py.
OVI_RULES = (
    (r"((?:video|audio)_model\.blocks\.\d+)\.modulation\.modulation", r"\1.modulation"),
    (r"((?:video|audio)_model\..+)", r"\1"),
)

#: Files in the original layout.
PLAIN_RULES = ((r"(.+)", r"\1"),)

Rules = tuple[tuple[str, str], ...]


def find_prefix(keys: Iterable[str], signature: str) -> str | None:
    """Return the prefix under which a key is present, or None."""
    present = set(keys)
    return next((prefix for prefix in PREFIXES if prefix + signature in present), None)


def rename(keys: Iterable[str], prefix: str, rules: Rules) -> dict[str, str]:
    """Map stored keys to names of parameters.

    Args: prefix: cut off; keys without it are left out.   rules: the first one that fits a whole key decides.
    Returns: stored key -> name; a key that no rule knows is left out.
    """
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]
    names: dict[str, str] = {}
    for key in keys:
        if not key.startswith(prefix):
            continue
        for pattern, replacement in compiled:
            match = pattern.fullmatch(key[len(prefix) :])
            if match:
                names[key] = match.expand(replacement)
                break
    return names
