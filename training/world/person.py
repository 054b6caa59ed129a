"""The measures of a drawn person: what identity, pose and light mean in lengths and colours."""

from __future__ import annotations

import torch
from torch import Tensor

from .identity import HAIR_STYLES, IdentityBatch
from .motion import Motion
from .shapes import UNITS

_SKIN = ((0.98, 0.85, 0.75), (0.90, 0.71, 0.57), (0.66, 0.46, 0.33), (0.33, 0.21, 0.15))  # light .. dark
_EYES = ((0.30, 0.18, 0.10), (0.36, 0.44, 0.20), (0.25, 0.48, 0.78))  # brown, green, blue
# per hair style: line at the middle, slope, rise towards the temples, volume, curl
_HAIR_CUTS = {
    "crop": (-0.62, 0.00, 0.34, 0.2, 0.0),
    "fringe": (-0.36, 0.00, 0.12, 1.0, 0.0),
    "swept": (-0.56, 0.25, 0.28, 1.2, 0.0),
    "curly": (-0.52, 0.00, 0.26, 2.6, 1.0),
    "receding": (-0.92, 0.00, 0.72, -0.4, 0.0),
}

EYE_SHIFT, MOUTH_SHIFT = 4.2, 3.3
"""How far a full turn of the head moves the eyes and the mouth, in design units."""

PERSON_PARAMETERS: tuple[str, ...] = (
    "zoom", "pan_x", "pan_y", "body_x", "head_x", "head_y", "roll_cos", "roll_sin", "yaw", "pitch",
    "face_half", "face_high", "taper", "chin_drop", "eye_gap", "eye_half", "eye_high", "iris", "brow_half",
    "brow_tilt", "brow_y", "nose_half", "nose_high", "mouth_half", "mouth_y", "mouth_high", "lip", "smile",
    "opening", "glasses", "lens_round", "beard", "beard_full", "hair_line", "hair_slope", "hair_rise",
    "hair_volume", "curl", "hair_low", "hair_wide", "collar", "stripes", "hand_x", "hand_y", "hand_tilt",
    "light_x", "light_y", "bright", "warm", "skin_r", "skin_g", "skin_b", "hair_r", "hair_g", "hair_b",
    "cloth_r", "cloth_g", "cloth_b", "eye_r", "eye_g", "eye_b",
)  # fmt: skip
"""Columns of the table that paint_person reads."""


def _ramp(position: Tensor, stops: tuple[tuple[float, float, float], ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Interpolate colour stops at `position` in [0, 1]."""
    table = torch.tensor(stops, device=position.device)
    scaled = position.clamp(0.0, 1.0) * (len(stops) - 1)
    weights = (1.0 - (scaled[:, None] - torch.arange(len(stops), device=position.device)).abs()).clamp(
        min=0.0
    )
    red, green, blue = (weights @ table).unbind(1)
    return red, green, blue


def lay_out_person(identity: IdentityBatch, pose: Motion, light: Tensor) -> Tensor:
    """Turn identities, poses and lights into the measures that paint_person draws.

    Args:
        identity: N identities.
        pose: fields (N,).
        light: (N, LIGHT_SIZE) in [-1, 1].

    Returns: (N, len(PERSON_PARAMETERS)); lengths in design units, colours in [0, 1].
    """
    of = identity.column
    value: dict[str, Tensor] = {}
    value["zoom"], value["pan_x"], value["pan_y"] = pose.zoom, pose.pan_x * UNITS, pose.pan_y * UNITS
    value["body_x"] = 32.0 + 3.6 * pose.sway
    value["head_x"], value["head_y"] = 32.0 + pose.head_x * UNITS, 27.0 + pose.head_y * UNITS
    value["roll_cos"], value["roll_sin"] = torch.cos(pose.roll), torch.sin(pose.roll)
    value["yaw"], value["pitch"] = pose.yaw, pose.pitch

    value["face_half"] = 11.7 + 1.3 * of("face_width")
    value["face_high"] = 14.4 + 1.2 * of("face_height")
    value["taper"] = 0.20 - 0.15 * of("jaw")
    value["chin_drop"] = 2.4 * pose.mouth
    value["eye_gap"] = 5.0 + 0.7 * of("eye_spacing")
    value["eye_half"] = 2.5 + 0.5 * of("eye_size")
    value["eye_high"] = (1.75 + 0.5 * of("eye_size")) * (1.0 - 0.86 * pose.blink)
    value["iris"] = 1.55 + 0.25 * of("eye_size")
    value["brow_half"] = 0.85 + 0.45 * of("brow_thickness")
    value["brow_tilt"] = 0.20 * of("brow_angle") - 0.05
    value["brow_y"] = -5.6 - 0.3 * of("eye_size") - 0.3 * pose.smile
    value["nose_half"] = 1.9 + 0.75 * of("nose_width")
    value["nose_high"] = 1.9 + 0.7 * of("nose_size")
    value["mouth_half"] = (6.7 + 0.9 * of("mouth_width")) * (1.0 - 0.10 * pose.mouth - 0.12 * pose.yaw.abs())
    value["mouth_y"] = 0.53 * value["face_high"] + 1.5 * pose.mouth
    value["mouth_high"] = 0.36 + 3.2 * pose.mouth
    value["lip"] = 1.15 + 0.5 * of("lip_thickness")
    value["smile"], value["opening"] = pose.smile, pose.mouth

    value["glasses"] = 0.5 + 0.5 * of("glasses")
    value["lens_round"] = 0.5 - 0.5 * of("glasses_shape")
    value["beard"] = 0.5 + 0.5 * of("beard")
    value["beard_full"] = 0.5 + 0.5 * of("beard_amount")

    cut = sum((0.5 + 0.5 * of(f"style_{name}"))[:, None] * torch.tensor(_HAIR_CUTS[name], device=light.device)
              for name in HAIR_STYLES)  # fmt: skip
    assert isinstance(cut, Tensor)
    for index, name in enumerate(("hair_line", "hair_slope", "hair_rise", "hair_volume", "curl")):
        value[name] = cut[:, index]
    length = 0.5 + 0.5 * of("hair_length")
    value["hair_low"] = -2.0 + 26.0 * length
    value["hair_wide"] = (
        value["face_half"] + 1.2 + 0.5 * value["hair_volume"] + 2.0 * (2.0 * length).clamp(max=1.0)
    )

    value["collar"] = 6.5 + 4.0 * of("collar")
    value["stripes"] = 0.5 + 0.5 * of("stripes")
    value["hand_x"] = value["body_x"] + 23.2 + 3.8 * pose.hand_x
    value["hand_y"] = 78.0 - 46.0 * pose.hand
    value["hand_tilt"] = 0.30 * pose.hand_x
    value["light_x"], value["light_y"] = light[:, 0], light[:, 1]
    value["bright"], value["warm"] = 1.0 + 0.10 * light[:, 2], 0.05 * light[:, 3]

    skin = _ramp(0.5 + 0.5 * of("skin_depth"), _SKIN)
    tone = of("skin_undertone")
    value["skin_r"] = skin[0] * (1.0 + 0.02 * tone)
    value["skin_g"] = skin[1] * (1.0 - 0.045 * tone)
    value["skin_b"] = skin[2] * (1.0 + 0.08 * tone)
    value["eye_r"], value["eye_g"], value["eye_b"] = _ramp(0.5 + 0.5 * of("eye_colour"), _EYES)
    for part in ("hair", "cloth"):
        for name in ("red", "green", "blue"):
            value[f"{part}_{name[0]}"] = 0.5 + 0.5 * of(f"{part}_{name}")
    return torch.stack([value[name].expand(len(identity)) for name in PERSON_PARAMETERS], dim=1)
