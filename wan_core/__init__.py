"""Wan R2V's engine: reference-to-video with sound, independent of ComfyUI.

Names are imported on first use, so that `import wan_core` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoints.load import load_dit, load_text_encoder, load_vae
    from .errors import WanCoreError
    from .pipelines.bundle import NanoBundle, load_bundle
    from .pipelines.generate import Result, generate
    from .pipelines.request import Character, GenerateRequest, Scales
    from .types import AudioClip, AVLatents, TokenStream

__all__ = [
    "AVLatents",
    "AudioClip",
    "Character",
    "GenerateRequest",
    "NanoBundle",
    "Result",
    "Scales",
    "TokenStream",
    "WanCoreError",
    "generate",
    "load_bundle",
    "load_dit",
    "load_text_encoder",
    "load_vae",
]

_HOMES = MappingProxyType(
    {
        "AVLatents": ".types",
        "AudioClip": ".types",
        "Character": ".pipelines.request",
        "GenerateRequest": ".pipelines.request",
        "NanoBundle": ".pipelines.bundle",
        "Result": ".pipelines.generate",
        "Scales": ".pipelines.request",
        "TokenStream": ".types",
        "WanCoreError": ".errors",
        "generate": ".pipelines.generate",
        "load_bundle": ".pipelines.bundle",
        "load_dit": ".checkpoints.load",
        "load_text_encoder": ".checkpoints.load",
        "load_vae": ".checkpoints.load",
    }
)


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
