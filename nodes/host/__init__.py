"""Everything of ComfyUI that the nodes use; the only package that imports it.

Only public methods of its classes are called; nothing is patched or registered globally.
"""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io, ui

from .carriers import NAMED, nest, normalised_latents, raw_latents, set_in_conditioning, unnest
from .folders import model_folder, model_folders, weight_file, weight_files
from .joint import REFERENCES, joint_model, wrap_joint
from .memory import (
    check_interrupted,
    codec_dtype,
    intermediate,
    manage,
    place,
    place_whole,
    progress_bar,
)
from .sampling import ChainGuider, make_callback
from .wan_load import DEFAULT, PACKED_FORMATS, load_wan

__all__ = [
    "DEFAULT",
    "NAMED",
    "REFERENCES",
    "ChainGuider",
    "ComfyExtension",
    "check_interrupted",
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
