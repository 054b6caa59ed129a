"""The drawing of one person: measures from identity and pose, then layers of soft shapes from back to front."""

from __future__ import annotations

import torch
from torch import Tensor

from .identity import HAIR_STYLES, IdentityBatch
from .motion import Motion
from .shapes import UNITS, Planes, blend, cover, ellipse, pixel_grid, rounded_box, segment, shade

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


def paint_person(person: Tensor, behind: Planes, size: int) -> tuple[Planes, Tensor]:
    """Draw people over a background.

    Args:
        person: (N, len(PERSON_PARAMETERS)) from lay_out_person.
        behind: three planes (N, size, size) in [0, 1].
        size: pixels per side.

    Returns: three planes (N, size, size) in [0, 1] (not clipped), and how much of each pixel is person, alike.
    """
    v = {name: person[:, index, None, None] for index, name in enumerate(PERSON_PARAMETERS)}

    def colour(name: str) -> Planes:
        return v[f"{name}_r"], v[f"{name}_g"], v[f"{name}_b"]

    soft = 1.35 * UNITS / size
    grid_x, grid_y = pixel_grid(size, person.device)
    x = (grid_x - 32.0 - v["pan_x"]) / v["zoom"] + 32.0
    y = (grid_y - 32.0 - v["pan_y"]) / v["zoom"] + 32.0
    bx = x - v["body_x"]
    dx, dy = x - v["head_x"], y - v["head_y"]
    hx = v["roll_cos"] * dx + v["roll_sin"] * dy
    hy = v["roll_cos"] * dy - v["roll_sin"] * dx
    face_half, face_high, yaw = v["face_half"], v["face_high"], v["yaw"]
    skin, hair = colour("skin"), colour("hair")
    side = (
        1.0 + 0.14 * v["light_x"] * (hx / face_half).clamp(-1.3, 1.3) - 0.05 * v["light_y"] * hy / face_high
    )

    # clothes
    folds = 1.0 - 0.12 * (bx / 27.0) ** 2 + 0.07 * v["light_x"] * bx / 27.0
    bands = (0.5 + 1.1 * torch.sin((y - 46.0) * 1.05)).clamp(0.0, 1.0) * v["stripes"]
    cloth = blend(shade(colour("cloth"), folds), (0.96, 0.95, 0.92), 0.72 * bands)
    torso = cover(ellipse(bx, y - 72.0, 27.5, 25.5), soft)
    planes = blend(behind, cloth, torso)

    # long hair falls over the shoulders, behind the neck
    ripple = v["curl"] * 0.9 * torch.sin(hx * 1.15 + 0.6) * torch.sin(hy * 1.15)
    fall_y = hy - 0.5 * (v["hair_low"] - 10.0)
    back = rounded_box(hx, fall_y, v["hair_wide"], 0.5 * (v["hair_low"] + 10.0), 4.0) + ripple
    fall = cover(back, soft)
    planes = blend(planes, shade(hair, 0.72), fall)

    # neckline, neck, ears
    notch = (bx.abs() - 6.2 * (1.0 - (y - 45.0) / v["collar"])) * 0.75
    planes = blend(planes, shade(colour("cloth"), 0.62), cover(torch.maximum(notch - 1.5, 44.5 - y), soft))
    planes = blend(planes, shade(skin, 0.93), cover(torch.maximum(notch, 44.5 - y), soft))
    neck = segment(x - v["body_x"], y - 48.0, v["head_x"] - v["body_x"], v["head_y"] - 42.0, 4.9)
    throat = cover(neck, soft)
    planes = blend(planes, shade(skin, 0.80), throat)
    ear = ellipse((hx + 1.2 * yaw).abs() - face_half + 0.2, hy - 0.8, 2.1, 3.1)
    lobe = cover(ear, soft)
    planes = blend(planes, shade(skin, 0.86), lobe)

    # face
    below = (hy / face_high).clamp(0.0, 1.0)
    drop = 1.0 + below * v["chin_drop"] / face_high
    face = ellipse(hx / (1.0 - v["taper"] * below), hy / drop, face_half, face_high)
    on_face = cover(face, soft)
    planes = blend(planes, shade(skin, side), on_face)

    fx = hx - EYE_SHIFT * yaw
    fx = fx * (1.0 + 0.02 * yaw * fx)
    fy = hy - 2.7 * v["pitch"]
    blush = 0.16 * (1.0 - ellipse(fx.abs() - 7.2, fy - 4.2, 3.0, 2.4) / 2.0).clamp(0.0, 1.0)
    planes = blend(planes, (0.86, 0.36, 0.32), blush * on_face)

    # beard
    across = ((hx - MOUTH_SHIFT * yaw) / face_half) ** 2
    edge = v["mouth_y"] + 3.4 - 6.2 * v["beard_full"] - (1.5 + 5.0 * v["beard_full"]) * across
    beard = torch.maximum(face - 0.5 - 1.6 * v["beard_full"], (edge - fy) * 0.8)
    jaw_hair = cover(beard, soft)
    planes = blend(planes, shade(hair, 0.86 * side), 0.94 * v["beard"] * jaw_hair)

    # nose
    nose_x, nose_y = fx - 1.3 * yaw, fy - 0.6 * v["pitch"]
    under = ellipse(nose_x, nose_y - 2.6, v["nose_half"], v["nose_high"])
    planes = blend(planes, shade(skin, 0.72 * side), cover(under, soft))
    tip = ellipse(nose_x, nose_y - 1.6, v["nose_half"] * 0.92, v["nose_high"])
    planes = blend(planes, shade(skin, 1.03 * side), cover(tip, soft))

    # mouth: lips, dark inside, teeth above, tongue below
    half, high = v["mouth_half"], v["mouth_high"]
    mx = hx - MOUTH_SHIFT * yaw
    bend = (mx / half) ** 2
    my = fy - v["mouth_y"] + v["smile"] * (1.5 * bend - 0.5)
    pinch = (1.0 - 0.55 * bend).clamp(min=0.25)
    lips = blend(shade(skin, 0.62), (0.76, 0.22, 0.27), torch.full_like(half, 0.55))
    planes = blend(planes, lips, cover(ellipse(mx, my, half, high + v["lip"]), soft) * on_face)
    inside = cover(ellipse(mx, my / (0.55 + 0.45 * pinch), half - 1.2, high), soft) * on_face
    dark = blend(
        (0.20, 0.04, 0.06),
        (0.72, 0.28, 0.30),
        cover(ellipse(mx, my - 0.85 * high, 0.5 * half, 0.55 * high), soft),
    )
    grin = (v["opening"] * 4.0 - 0.4).clamp(0.0, 1.0)
    dark = blend(dark, (0.97, 0.96, 0.93), grin * cover(my + 0.42 * high, soft))
    planes = blend(planes, dark, inside)

    # eyes and brows, drawn once for both sides
    ex, ey = fx.abs() - v["eye_gap"], fy + 1.4
    lash = ellipse(ex, ey + 0.45, v["eye_half"] + 0.55, v["eye_high"] + 0.35)
    planes = blend(planes, shade(skin, 0.34), cover(lash, soft))
    white = cover(ellipse(ex, ey, v["eye_half"], v["eye_high"]), soft)
    planes = blend(planes, (0.97, 0.97, 0.96), white)
    around = torch.sqrt(ex * ex + ey * ey + 1e-6)
    planes = blend(planes, colour("eye"), white * cover(around - v["iris"], soft))
    planes = blend(planes, (0.03, 0.03, 0.04), white * cover(around - 0.45 * v["iris"], soft))
    brow = torch.maximum(ex.abs() - 3.1, (fy - v["brow_y"] + v["brow_tilt"] * ex).abs() - v["brow_half"])
    planes = blend(
        planes, blend(shade(hair, 0.8), shade(skin, 0.5), torch.full_like(half, 0.25)), cover(brow, soft)
    )

    # front hair: a cap cut off by the hairline
    gx = hx - 2.4 * yaw
    line = face_high * (
        v["hair_line"] + v["hair_slope"] * gx / face_half + v["hair_rise"] * (gx / face_half) ** 2
    )
    line = line + 1.8 * v["pitch"]
    cap = ellipse(
        hx + 0.5 * yaw, hy + 2.4, face_half + 1.5 + v["hair_volume"], face_high + 0.8 + v["hair_volume"]
    )
    cap = torch.maximum(cap + ripple, (hy - line) * 0.85)
    cap = torch.maximum(cap, hy - 3.0)
    gloss = 1.0 + 0.16 * (1.0 - ((hx - 4.0 * v["light_x"]) ** 2 + (hy + 11.0) ** 2 * 2.5) / 60.0).clamp(
        0.0, 1.0
    )
    gloss = gloss * (1.0 - 0.10 * v["curl"] * torch.sin(hx * 1.2) * torch.sin(hy * 1.2))
    crown = cover(cap, soft)
    planes = blend(planes, shade(hair, gloss), crown)

    # glasses
    disc = torch.sqrt(ex * ex + ey * ey * 1.2 + 1e-6) - 3.9
    frame = rounded_box(ex, ey, 4.1, 3.1, 0.8)
    lens = frame + v["lens_round"] * (disc - frame)
    planes = blend(planes, (0.80, 0.90, 0.97), 0.20 * v["glasses"] * cover(lens, soft))
    bridge = torch.maximum(fx.abs() - v["eye_gap"] + 3.6, (ey + 0.6).abs() - 0.55)
    arm = torch.maximum(torch.maximum(4.0 - ex, hx.abs() - face_half), (ey + 0.6).abs() - 0.55)
    rim = torch.minimum(torch.minimum(lens.abs() - 0.62, bridge), arm)
    planes = blend(planes, (0.07, 0.07, 0.10), v["glasses"] * cover(rim, soft))

    # raised hand: sleeve, forearm, palm, four fingers and a thumb
    wx, wy = x - v["hand_x"], y - v["hand_y"]
    sleeve = segment(
        x - v["body_x"] - 23.0, y - 74.0, v["hand_x"] - v["body_x"] - 23.0, v["hand_y"] - 60.0, 4.2
    )
    cuff = cover(torch.maximum(sleeve, v["hand_y"] + 12.0 - y), soft)
    planes = blend(planes, shade(cloth, 0.9), cuff)
    wrist = segment(wx, wy - 2.0, v["body_x"] + 23.0 - v["hand_x"], 74.0 - v["hand_y"], 2.7)
    arm_skin = cover(torch.maximum(wrist, y - v["hand_y"] - 12.5), soft)
    px, py = wx + v["hand_tilt"] * wy, wy - v["hand_tilt"] * wx
    spread = px / (1.0 - 0.075 * (py - 2.0).clamp(max=0.0))
    finger = spread - 2.15 * (torch.floor(spread / 2.15) + 0.5).clamp(-1.5, 1.5)
    fingers = segment(finger, py + 9.0, 0.0, 9.0, 0.72)
    palm = rounded_box(px, py - 0.8, 3.9, 3.6, 2.2)
    thumb = segment(px + 2.8, py - 1.5, -3.4, -4.0, 1.15)
    hand = torch.minimum(torch.minimum(palm, fingers), thumb)
    outline = cover(torch.minimum(torch.minimum(palm, thumb) - 0.7, fingers - 0.4), soft)
    planes = blend(planes, shade(skin, 0.70), outline)
    planes = blend(planes, shade(skin, 0.96), torch.maximum(arm_skin, cover(hand, soft)))

    solid = (1.0 - torso) * (1.0 - fall) * (1.0 - throat) * (1.0 - lobe) * (1.0 - on_face) * (1.0 - crown)
    solid = (
        solid * (1.0 - v["beard"] * jaw_hair) * (1.0 - torch.maximum(arm_skin, torch.maximum(outline, cuff)))
    )
    glow = v["bright"] * (
        1.0 + 0.08 * (v["light_x"] * (grid_x - 32.0) + v["light_y"] * (grid_y - 32.0)) / 32.0
    )
    red, green, blue = shade(planes, glow)
    return (red * (1.0 + v["warm"]), green, blue * (1.0 - v["warm"])), 1.0 - solid
