"""Weights that are no transformer of ours, told by their keys, so that an error can say where they belong."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .header import Header


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherPart:
    """A kind of file.

    name: what it is.   keys: regular expressions; a file of this kind has a key that each of them finds.
    place: which option and node take it.
    """

    name: str
    keys: tuple[str, ...]
    place: str

    def fits(self, keys: Iterable[str]) -> bool:
        """Whether there is a key for each expression."""
        present = list(keys)
        return all(any(re.search(pattern, key) for key in present) for pattern in self.keys)


MODEL_PLACE = "--model on the command line, the node Load Wan Model (Wan R2V) in ComfyUI"
NANO_PLACE = "--weights (its folder) on the command line, the node Load Wan R2V in ComfyUI"
VAE_PLACE = "--vae on the command line, the node Load Wan VAE (Wan R2V) in ComfyUI"
TEXT_PLACE = "--text-encoder on the command line, the node Load Wan Text Encoder (Wan R2V) in ComfyUI"
CLIP_PLACE = "--clip-vision on the command line, the node Load CLIP Vision in ComfyUI"
WHISPER_PLACE = "--whisper on the command line, the node Load Audio Encoder in ComfyUI"
LORA_PLACE = "--lora on the command line, the node Load LoRA in ComfyUI"
JOINT_PLACE = "--model on the command line, the node Load Ovi (Wan R2V) in ComfyUI"
AUDIO_PLACE = (
    "--audio-vae and --vocoder on the command line, the node Load MMAudio Codec (Wan R2V) in ComfyUI"
)
LYNX_PLACE = (
    "--adapter (its folder or files) on the command line, the node Load Identity Adapter (Wan R2V) in ComfyUI"
)
ARCFACE_PLACE = "--recogniser on the command line, the node Load Identity Adapter (Wan R2V) in ComfyUI"
NOWHERE = "nothing in this version; run it with ComfyUI's own nodes"

#: Added to a Wan transformer for another task: what it is, and a key that only it has.
#: Source of the keys: yzkee/ComfyUI comfy/model_detection.py (names only).
EXTENDED = (
    OtherPart(name="Wan VACE", keys=(r"vace_patch_embedding\.weight$",), place=NOWHERE),
    OtherPart(name="Wan Fun with camera control", keys=(r"control_adapter\.conv\.weight$",), place=NOWHERE),
    OtherPart(name="Wan Fun with a reference", keys=(r"(^|\.)ref_conv\.weight$",), place=NOWHERE),
    OtherPart(name="Wan2.2 S2V", keys=(r"casual_audio_encoder\.",), place=NOWHERE),
    OtherPart(name="Wan2.2 Animate", keys=(r"face_adapter\.fuser_blocks\.",), place=NOWHERE),
    OtherPart(name="MultiTalk or InfiniteTalk", keys=(r"blocks\.0\.audio_cross_attn\.",), place=NOWHERE),
)

#: In this order; the first that fits is told.
OTHER_PARTS = (
    OtherPart(
        name="LoRA",
        keys=(r"\.(lora_(A|B|down|up)(\.default)?|lora\.(down|up)|hada_w1_a|lokr_w1)(\.weight)?$",),
        place=LORA_PLACE,
    ),
    OtherPart(name="LoRA made of differences", keys=(r"\.diff(_b|_m)?$",), place=LORA_PLACE),
    OtherPart(name="Lynx identity adapter", keys=(r"to_k_ip\.weight$",), place=LYNX_PLACE),
    OtherPart(name="Lynx reference adapter", keys=(r"to_k_ref\.weight$",), place=LYNX_PLACE),
    OtherPart(
        name="Lynx resampler", keys=(r"(^|\.)latents$", r"layers\.0\.0\.to_kv\.weight$"), place=LYNX_PLACE
    ),
    OtherPart(
        name="ArcFace, the face recogniser of Lynx",
        keys=(r"(^|\.)input_layer\.0\.weight$", r"(^|\.)body\.23\.res_layer\.5\.fc2\.weight$"),
        place=ARCFACE_PLACE,
    ),
    OtherPart(
        name="audio VAE of MMAudio",
        keys=(r"(^|\.)decoder\.mid\.attn_1\.qkv\.weight$", r"(^|\.)encoder\.learnable_gain$"),
        place=AUDIO_PLACE,
    ),
    OtherPart(
        name="vocoder of MMAudio (BigVGAN)",
        keys=(r"(^|\.)resblocks\.0\.activations\.0\.act\.alpha$", r"(^|\.)ups\.0\.0\."),
        place=AUDIO_PLACE,
    ),
    OtherPart(
        name="Wan VAE",
        keys=(r"^(?:.*\.)?decoder\.(middle\.0\.residual\.0\.gamma|mid_block\.resnets\.0\.norm1\.gamma)$",),
        place=VAE_PLACE,
    ),
    OtherPart(
        name="umT5 text encoder",
        keys=(
            r"(shared|token_embedding|token_embd|embed_tokens)\.weight$",
            r"(SelfAttention|attn)[._]q\.weight$",
            r"(blocks?|blk)\.1\..*(relative_attention_bias|pos_embedding\.embedding|attn_rel_b)\.weight$",
        ),
        place=TEXT_PLACE,
    ),
    OtherPart(
        name="T5 text encoder of another model",
        keys=(
            r"(SelfAttention|enc\.blk\.0\.attn)[._]q\.weight$",
            r"(relative_attention_bias|attn_rel_b)\.weight$",
        ),
        place="nothing in this version; Wan takes umT5-xxl",
    ),
    OtherPart(
        name="CLIP",
        keys=(
            r"(visual\.transformer\.0\.attn\.to_qkv|vision_model\.encoder\.layers\.0\.self_attn\.q_proj)\.",
        ),
        place=CLIP_PLACE,
    ),
    OtherPart(
        name="Whisper",
        keys=(r"(^|\.)encoder\.conv1\.weight$", r"(^|\.)encoder\.embed_positions\.weight$"),
        place=WHISPER_PLACE,
    ),
    OtherPart(
        name="text encoder of another model",
        keys=(r"(text_model\.encoder\.layers|model\.layers)\.0\.self_attn\.q_proj\.",),
        place="nothing in this version; Wan takes umT5-xxl",
    ),
)


def find_other_part(header: Header) -> OtherPart | None:
    """What a file that is no plain transformer is, or None for something unknown."""
    return next((part for part in (*OTHER_PARTS, *EXTENDED) if part.fits(header.tensors)), None)


def find_extension(header: Header) -> OtherPart | None:
    """What was added to a Wan transformer, or None."""
    return next((part for part in EXTENDED if part.fits(header.tensors)), None)
