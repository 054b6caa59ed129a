"""Reference-to-video on Wan: families whose weights are (or stand on) those of a text-to-video model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

from ..errors import CheckpointMismatchError, InputError
from .wan_family import FAMILIES, SPEECH_FAMILIES, T2V, T2V_EXPERTS, T2V_SMALL, ReferenceMethod, WanFamily

METHODS: tuple[ReferenceMethod, ...] = get_args(ReferenceMethod)
_LYNX_NEGATIVE = (
    "Bright tones, overexposed, blurred background, static, subtitles, style, works, paintings, images, overall gray, "
    "worst quality, low quality, JPEG compression residue, ugly, incomplete, extra fingers, poorly drawn hands, poorly "
    "drawn faces, deformed, disfigured, misshapen limbs, fused fingers, still picture, messy background, three legs, "
    "many people in the background, walking backwards"
)

#: Source: bytedance/lynx@3a6a91a infer.py, infer_lite.py; the shift is that of the scheduler file of the Diffusers
#: release of Wan2.1-T2V-14B, which Lynx runs on.
LYNX_FULL = replace(
    T2V,
    name="Lynx",
    method="lynx",
    base=T2V.name,
    shift=3.0,
    guidance=(5.0, 5.0),
    reference_guidance=(2.0, 2.0),
    negative_prompt=_LYNX_NEGATIVE,
)
LYNX_LITE = replace(LYNX_FULL, name="Lynx-lite", fps=24, frames=121, reference_guidance=None)
#: Source: svjack/Phantom@7aa4d87 generate.py, phantom_wan/configs (a copy of the official code). The larger one is
#: published with 121 frames at 24 a second.
PHANTOM_SMALL = replace(
    T2V_SMALL,
    name="Phantom-Wan-1.3B",
    method="phantom",
    base=T2V_SMALL.name,
    guidance=(7.5, 7.5),
    reference_guidance=(5.0, 5.0),
)
PHANTOM = replace(PHANTOM_SMALL, name="Phantom-Wan-14B", base=T2V.name, sizes=T2V.sizes, fps=24, frames=121)
_BERNINI_SIZES = ((848, 480), (480, 848))
#: Source: neuregex/ComfyUI-BerniniR@1bd2745 bernini/constants.py; the low-noise expert has 0.8 of the scales.
BERNINI = replace(
    T2V_EXPERTS,
    name="Bernini-R",
    method="bernini",
    base=T2V_EXPERTS.name,
    steps=40,
    shift=3.0,
    guidance=(3.2, 4.0),
    reference_guidance=(3.6, 4.5),
    size=_BERNINI_SIZES[0],
    sizes=_BERNINI_SIZES,
)
BERNINI_SMALL = replace(
    BERNINI,
    name="Bernini-R-1.3B",
    base=T2V_SMALL.name,
    boundary=None,
    guidance=(4.0, 4.0),
    reference_guidance=(4.5, 4.5),
)
REFERENCE_FAMILIES = (LYNX_FULL, LYNX_LITE, PHANTOM_SMALL, PHANTOM, BERNINI_SMALL, BERNINI)
#: Every family that latents can be of.
ALL_FAMILIES = (*FAMILIES, *REFERENCE_FAMILIES, *SPEECH_FAMILIES)
#: Method -> family of the weights -> family.
_BY_LAYOUT = {
    "phantom": {T2V_SMALL.name: PHANTOM_SMALL, T2V.name: PHANTOM},
    "bernini": {T2V_SMALL.name: BERNINI_SMALL, T2V_EXPERTS.name: BERNINI},
}


def family_of_method(family: WanFamily, method: ReferenceMethod, where: str) -> WanFamily:
    """Family of weights that the user says are of a method: no header tells them from the text-to-video models'.

    Args:
        family: by the header.   method: "phantom" or "bernini".   where: file, named in errors.
    Raises:
        InputError: no such method, or Lynx, which is an adapter.
        CheckpointMismatchError: the method has no weights of this layout.
    """
    if method == "lynx":
        raise InputError(
            "method: expected the files of the adapter for Lynx, got none. Name them with --adapter; the model is "
            "Wan2.1-T2V-14B."
        )
    if method not in METHODS:
        raise InputError(
            f"method: expected one of {', '.join(METHODS)}, got {method!r}. Leave it out for none."
        )
    found = _BY_LAYOUT[method].get(family.name)
    if found is None:
        names = " or ".join(own.name for own in _BY_LAYOUT[method].values())
        is_half = method == "bernini" and family.name == T2V.name
        remedy = "Name the low-noise expert too (--model-low)" if is_half else "Name the file of that model"
        raise CheckpointMismatchError(
            f"method {method}: expected the weights of {names}, got {family.name} in {where}. {remedy}, or leave the "
            "method out."
        )
    return found


def suggested_method(path: Path) -> ReferenceMethod | None:
    """What the name of a file (or of its folder) suggests; names prove nothing, so it is only ever said."""
    text = f"{path.parent.name} {path.name}".lower()
    return next((method for method in ("phantom", "bernini") if method in text), None)
