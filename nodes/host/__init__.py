"""Everything of ComfyUI that the nodes use; the only package that imports it.

Only public methods of its classes are called; nothing is patched or registered globally.
"""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io, ui

from .carriers import NAMED, nest, normalised_latents, raw_latents, set_in_conditioning, unnest
from .folders import adapter_files, adapter_names, model_folder, model_folders, weight_file, weight_files
from .humo import REFERENCE_LATENTS, SPEECH, humo_conditionings, is_large, null_reference
from .identity import HeldReferences, apply_identity, is_marked, mark
from .joint import AUDIO_CONTEXT, REFERENCES, STREAMS, joint_model, wrap_joint
from .memory import (
    cast_operations,
    check_interrupted,
    codec_dtype,
    intermediate,
    manage,
    place,
    place_whole,
    progress_bar,
)
from .ovi import load_ovi, ovi_family
from .pictures import face_detector, keep_picture
from .recipes import RecipeGuider, check_streams, streams_of, with_streams
from .sampling import ChainGuider, make_callback
from .strength import FaceShape, weigh_streams
from .tower import place_beside, wan_tower, with_own_attention
from .wan_load import DEFAULT, PACKED_FORMATS, load_wan

__all__ = [
    "REFERENCE_LATENTS",
    "SPEECH",
    "humo_conditionings",
    "is_large",
    "null_reference",
    "AUDIO_CONTEXT",
    "STREAMS",
    "load_ovi",
    "ovi_family",
    "DEFAULT",
    "NAMED",
    "REFERENCES",
    "ChainGuider",
    "ComfyExtension",
    "FaceShape",
    "HeldReferences",
    "adapter_files",
    "adapter_names",
    "RecipeGuider",
    "apply_identity",
    "check_streams",
    "streams_of",
    "with_own_attention",
    "with_streams",
    "weigh_streams",
    "cast_operations",
    "is_marked",
    "mark",
    "place_beside",
    "wan_tower",
    "check_interrupted",
    "face_detector",
    "keep_picture",
    "codec_dtype",
    "intermediate",
    "normalised_latents",
    "place_whole",
    "progress_bar",
    "raw_latents",
    "io",
    "joint_model",
    "PACKED_FORMATS",
    "load_wan",
    "make_callback",
    "manage",
    "model_folder",
    "model_folders",
    "nest",
    "place",
    "set_in_conditioning",
    "ui",
    "unnest",
    "weight_file",
    "weight_files",
    "wrap_joint",
]
