"""Identity: faces found, cut out, encoded and turned into identity tokens."""

from __future__ import annotations

from .config import FaceEncoderConfig, IdentityConfig, ResamplerConfig
from .encoder import FaceEncoder
from .face import FaceBox, FaceChoice, FaceCrop, choose_face, crop_face, find_faces, read_face, whole_face
from .model import IdentityEncoder
from .resampler import Resampler

__all__ = [
    "FaceBox",
    "FaceChoice",
    "FaceCrop",
    "FaceEncoder",
    "FaceEncoderConfig",
    "IdentityConfig",
    "IdentityEncoder",
    "Resampler",
    "ResamplerConfig",
    "choose_face",
    "crop_face",
    "find_faces",
    "read_face",
    "whole_face",
]
