"""Pipelines: from a request to a clip, by composing the parts."""

from __future__ import annotations

from .bundle import NanoBundle, load_bundle
from .defaults import NanoDefaults
from .generate import Progress, ProgressCallback, Result, generate
from .request import Character, GenerateRequest, Scales

__all__ = [
    "Character",
    "GenerateRequest",
    "NanoBundle",
    "NanoDefaults",
    "Progress",
    "ProgressCallback",
    "Result",
    "Scales",
    "generate",
    "load_bundle",
]
