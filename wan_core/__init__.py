"""Wan R2V's engine: reference-to-video with sound, independent of ComfyUI.

Names are imported on first use, so that `import wan_core` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoints.clip_image import load_clip_image
    from .checkpoints.load import load_dit, load_text_encoder, load_vae
    from .checkpoints.lora import Lora, apply_lora
    from .checkpoints.lynx import load_lynx
    from .checkpoints.lynx_face import load_arcface
    from .checkpoints.mmaudio import load_audio_codec
    from .checkpoints.whisper import load_whisper
    from .errors import WanCoreError
    from .identity.lynx_prepare import prepare_lynx
    from .identity.strength import Strength
    from .pipelines.bundle import NanoBundle, load_bundle
    from .pipelines.generate import Result, generate
    from .pipelines.humo_best_of import best_of_humo
    from .pipelines.humo_generate import HumoResult, generate_humo
    from .pipelines.humo_request import HumoPlan, HumoRequest, plan_humo
    from .pipelines.ovi_files import OviFiles
    from .pipelines.ovi_generate import OviResult, generate_ovi
    from .pipelines.ovi_request import OviRequest
    from .pipelines.request import Character, GenerateRequest, Scales
    from .pipelines.wan_best_of import WanBest, WanDrafts, best_of_wan
    from .pipelines.wan_files import WanFiles
    from .pipelines.wan_generate import WanResult, decode_latents, generate_wan, sample_wan
    from .pipelines.wan_judge import WanJudge, judge_of, open_judge
    from .pipelines.wan_plan import WanOptions, WanPlan, plan_wan
    from .pipelines.wan_request import WanRequest
    from .types import AudioClip, AVLatents, TokenStream

__all__ = [
    "AVLatents",
    "AudioClip",
    "Character",
    "GenerateRequest",
    "HumoPlan",
    "HumoRequest",
    "HumoResult",
    "Lora",
    "NanoBundle",
    "OviFiles",
    "OviRequest",
    "OviResult",
    "Result",
    "Scales",
    "Strength",
    "TokenStream",
    "WanBest",
    "WanCoreError",
    "WanDrafts",
    "WanFiles",
    "WanJudge",
    "WanOptions",
    "WanPlan",
    "WanRequest",
    "WanResult",
    "apply_lora",
    "best_of_humo",
    "best_of_wan",
    "decode_latents",
    "generate",
    "generate_humo",
    "generate_ovi",
    "generate_wan",
    "judge_of",
    "load_arcface",
    "load_audio_codec",
    "load_bundle",
    "load_clip_image",
    "load_dit",
    "load_lynx",
    "load_text_encoder",
    "load_vae",
    "load_whisper",
    "open_judge",
    "plan_humo",
    "plan_wan",
    "prepare_lynx",
    "sample_wan",
]

_HOMES = MappingProxyType(
    {
        "AVLatents": ".types",
        "AudioClip": ".types",
        "Character": ".pipelines.request",
        "GenerateRequest": ".pipelines.request",
        "HumoPlan": ".pipelines.humo_request",
        "HumoRequest": ".pipelines.humo_request",
        "HumoResult": ".pipelines.humo_generate",
        "Lora": ".checkpoints.lora",
        "NanoBundle": ".pipelines.bundle",
        "OviFiles": ".pipelines.ovi_files",
        "OviRequest": ".pipelines.ovi_request",
        "OviResult": ".pipelines.ovi_generate",
        "Result": ".pipelines.generate",
        "Scales": ".pipelines.request",
        "Strength": ".identity.strength",
        "TokenStream": ".types",
        "WanBest": ".pipelines.wan_best_of",
        "WanCoreError": ".errors",
        "WanDrafts": ".pipelines.wan_best_of",
        "WanFiles": ".pipelines.wan_files",
        "WanJudge": ".pipelines.wan_judge",
        "WanOptions": ".pipelines.wan_plan",
        "WanPlan": ".pipelines.wan_plan",
        "WanRequest": ".pipelines.wan_request",
        "WanResult": ".pipelines.wan_generate",
        "apply_lora": ".checkpoints.lora",
        "best_of_humo": ".pipelines.humo_best_of",
        "best_of_wan": ".pipelines.wan_best_of",
        "decode_latents": ".pipelines.wan_generate",
        "generate": ".pipelines.generate",
        "generate_humo": ".pipelines.humo_generate",
        "generate_ovi": ".pipelines.ovi_generate",
        "generate_wan": ".pipelines.wan_generate",
        "judge_of": ".pipelines.wan_judge",
        "load_arcface": ".checkpoints.lynx_face",
        "load_audio_codec": ".checkpoints.mmaudio",
        "load_bundle": ".pipelines.bundle",
        "load_clip_image": ".checkpoints.clip_image",
        "load_dit": ".checkpoints.load",
        "load_lynx": ".checkpoints.lynx",
        "load_text_encoder": ".checkpoints.load",
        "load_vae": ".checkpoints.load",
        "load_whisper": ".checkpoints.whisper",
        "open_judge": ".pipelines.wan_judge",
        "plan_humo": ".pipelines.humo_request",
        "plan_wan": ".pipelines.wan_plan",
        "prepare_lynx": ".identity.lynx_prepare",
        "sample_wan": ".pipelines.wan_generate",
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
