"""The painting of one person: layers of soft shapes from back to front."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .person import EYE_SHIFT, MOUTH_SHIFT, PERSON_PARAMETERS
from .shapes import UNITS, Planes, blend, cover, ellipse, pixel_grid, rounded_box, segment, shade


@dataclass(frozen=True)
class _Sheet:
    """What every layer needs: the measures, and the pixels in the frames of the body, the head and the features.

    Attributes:
        v: measures by name, each (N, 1, 1).   soft: width of an edge in design units.
        x, y: camera frame.   hx, hy: head frame, centred and upright.   fx, fy: frame of eyes and nose, turned.
        side: brightness of the head's skin and hair under the light from the side.
        ripple: how far curls push the outline of the hair in or out.
    """

    v: dict[str, Tensor]
    soft: float
    x: Tensor
    y: Tensor
    hx: Tensor
    hy: Tensor
    fx: Tensor
    fy: Tensor
    side: Tensor
    ripple: Tensor

    def colour(self, name: str) -> Planes:
        """Return skin, hair, cloth or eye colour."""
        return self.v[f"{name}_r"], self.v[f"{name}_g"], self.v[f"{name}_b"]

    def cover(self, distance: Tensor) -> Tensor:
        """Turn a distance into coverage at this picture's sharpness."""
        return cover(distance, self.soft)


def _lay_sheet(person: Tensor, size: int) -> _Sheet:
    v = {name: person[:, index, None, None] for index, name in enumerate(PERSON_PARAMETERS)}
    grid_x, grid_y = pixel_grid(size, person.device)
    x = (grid_x - 32.0 - v["pan_x"]) / v["zoom"] + 32.0
    y = (grid_y - 32.0 - v["pan_y"]) / v["zoom"] + 32.0
    dx, dy = x - v["head_x"], y - v["head_y"]
    hx = v["roll_cos"] * dx + v["roll_sin"] * dy
    hy = v["roll_cos"] * dy - v["roll_sin"] * dx
    fx = hx - EYE_SHIFT * v["yaw"]
    fx = fx * (1.0 + 0.02 * v["yaw"] * fx)  # the far side of a turned face is narrower
    across = (hx / v["face_half"]).clamp(-1.3, 1.3)
    return _Sheet(
        v=v,
        soft=1.35 * UNITS / size,
        x=x,
        y=y,
        hx=hx,
        hy=hy,
        fx=fx,
        fy=hy - 2.7 * v["pitch"],
        side=1.0 + 0.14 * v["light_x"] * across - 0.05 * v["light_y"] * hy / v["face_high"],
        ripple=v["curl"] * 0.9 * torch.sin(hx * 1.15 + 0.6) * torch.sin(hy * 1.15),
    )


def _dress(sheet: _Sheet) -> Planes:
    """Colour the cloth: folds of light, and stripes."""
    v, bx = sheet.v, sheet.x - sheet.v["body_x"]
    folds = 1.0 - 0.12 * (bx / 27.0) ** 2 + 0.07 * v["light_x"] * bx / 27.0
    bands = (0.5 + 1.1 * torch.sin((sheet.y - 46.0) * 1.05)).clamp(0.0, 1.0) * v["stripes"]
    return blend(shade(sheet.colour("cloth"), folds), (0.96, 0.95, 0.92), 0.72 * bands)


def _paint_body(planes: Planes, sheet: _Sheet, cloth: Planes) -> tuple[Planes, Tensor]:
    """Shoulders, the long hair that falls over them, neckline, neck and ears; also what they leave uncovered."""
    v, x, y, hx, hy = sheet.v, sheet.x, sheet.y, sheet.hx, sheet.hy
    bx, skin = x - v["body_x"], sheet.colour("skin")
    torso = sheet.cover(ellipse(bx, y - 72.0, 27.5, 25.5))
    planes = blend(planes, cloth, torso)
    fall_y = hy - 0.5 * (v["hair_low"] - 10.0)
    back = rounded_box(hx, fall_y, v["hair_wide"], 0.5 * (v["hair_low"] + 10.0), 4.0)
    fall = sheet.cover(back + sheet.ripple)
    planes = blend(planes, shade(sheet.colour("hair"), 0.72), fall)

    notch = (bx.abs() - 6.2 * (1.0 - (y - 45.0) / v["collar"])) * 0.75
    trim = sheet.cover(torch.maximum(notch - 1.5, 44.5 - y))
    planes = blend(planes, shade(sheet.colour("cloth"), 0.62), trim)
    planes = blend(planes, shade(skin, 0.93), sheet.cover(torch.maximum(notch, 44.5 - y)))
    neck = segment(bx, y - 48.0, v["head_x"] - v["body_x"], v["head_y"] - 42.0, 4.9)
    throat = sheet.cover(neck)
    planes = blend(planes, shade(skin, 0.80), throat)
    lobe = sheet.cover(ellipse((hx + 1.2 * v["yaw"]).abs() - v["face_half"] + 0.2, hy - 0.8, 2.1, 3.1))
    planes = blend(planes, shade(skin, 0.86), lobe)
    return planes, (1.0 - torso) * (1.0 - fall) * (1.0 - throat) * (1.0 - lobe)


def _paint_face(planes: Planes, sheet: _Sheet) -> tuple[Planes, Tensor, Tensor]:
    """Face, cheeks, beard and nose; also the face's own coverage, and what face and beard leave uncovered."""
    v, fx, fy, yaw = sheet.v, sheet.fx, sheet.fy, sheet.v["yaw"]
    skin, face_half, face_high = sheet.colour("skin"), v["face_half"], v["face_high"]
    below = (sheet.hy / face_high).clamp(0.0, 1.0)
    drop = 1.0 + below * v["chin_drop"] / face_high
    face = ellipse(sheet.hx / (1.0 - v["taper"] * below), sheet.hy / drop, face_half, face_high)
    on_face = sheet.cover(face)
    planes = blend(planes, shade(skin, sheet.side), on_face)
    blush = 0.16 * (1.0 - ellipse(fx.abs() - 7.2, fy - 4.2, 3.0, 2.4) / 2.0).clamp(0.0, 1.0)
    planes = blend(planes, (0.86, 0.36, 0.32), blush * on_face)

    across = ((sheet.hx - MOUTH_SHIFT * yaw) / face_half) ** 2
    edge = v["mouth_y"] + 3.4 - 6.2 * v["beard_full"] - (1.5 + 5.0 * v["beard_full"]) * across
    beard = sheet.cover(torch.maximum(face - 0.5 - 1.6 * v["beard_full"], (edge - fy) * 0.8))
    planes = blend(planes, shade(sheet.colour("hair"), 0.86 * sheet.side), 0.94 * v["beard"] * beard)

    nose_x, nose_y = fx - 1.3 * yaw, fy - 0.6 * v["pitch"]
    under = ellipse(nose_x, nose_y - 2.6, v["nose_half"], v["nose_high"])
    planes = blend(planes, shade(skin, 0.72 * sheet.side), sheet.cover(under))
    tip = ellipse(nose_x, nose_y - 1.6, v["nose_half"] * 0.92, v["nose_high"])
    planes = blend(planes, shade(skin, 1.03 * sheet.side), sheet.cover(tip))
    return planes, on_face, (1.0 - on_face) * (1.0 - v["beard"] * beard)


def _paint_mouth(planes: Planes, sheet: _Sheet, on_face: Tensor) -> Planes:
    """Lips, the dark between them, teeth above and tongue below."""
    v, half, high = sheet.v, sheet.v["mouth_half"], sheet.v["mouth_high"]
    mx = sheet.hx - MOUTH_SHIFT * v["yaw"]
    bend = (mx / half) ** 2
    my = sheet.fy - v["mouth_y"] + v["smile"] * (1.5 * bend - 0.5)
    pinch = (1.0 - 0.55 * bend).clamp(min=0.25)
    lips = blend(shade(sheet.colour("skin"), 0.62), (0.76, 0.22, 0.27), torch.full_like(half, 0.55))
    planes = blend(planes, lips, sheet.cover(ellipse(mx, my, half, high + v["lip"])) * on_face)
    inside = sheet.cover(ellipse(mx, my / (0.55 + 0.45 * pinch), half - 1.2, high)) * on_face
    tongue = sheet.cover(ellipse(mx, my - 0.85 * high, 0.5 * half, 0.55 * high))
    filling = blend((0.20, 0.04, 0.06), (0.72, 0.28, 0.30), tongue)
    grin = (v["opening"] * 4.0 - 0.4).clamp(0.0, 1.0)
    filling = blend(filling, (0.97, 0.96, 0.93), grin * sheet.cover(my + 0.42 * high))
    return blend(planes, filling, inside)


def _paint_eyes(planes: Planes, sheet: _Sheet) -> Planes:
    """Eyes and brows; both sides at once, by folding the face along its middle."""
    v, ex, ey = sheet.v, sheet.fx.abs() - sheet.v["eye_gap"], sheet.fy + 1.4
    skin, hair = sheet.colour("skin"), sheet.colour("hair")
    lash = ellipse(ex, ey + 0.45, v["eye_half"] + 0.55, v["eye_high"] + 0.35)
    planes = blend(planes, shade(skin, 0.34), sheet.cover(lash))
    white = sheet.cover(ellipse(ex, ey, v["eye_half"], v["eye_high"]))
    planes = blend(planes, (0.97, 0.97, 0.96), white)
    around = torch.sqrt(ex * ex + ey * ey + 1e-6)
    planes = blend(planes, sheet.colour("eye"), white * sheet.cover(around - v["iris"]))
    planes = blend(planes, (0.03, 0.03, 0.04), white * sheet.cover(around - 0.45 * v["iris"]))
    lift = (sheet.fy - v["brow_y"] + v["brow_tilt"] * ex).abs() - v["brow_half"]
    brow = blend(shade(hair, 0.8), shade(skin, 0.5), torch.full_like(v["eye_gap"], 0.25))
    return blend(planes, brow, sheet.cover(torch.maximum(ex.abs() - 3.1, lift)))


def _paint_hair(planes: Planes, sheet: _Sheet) -> tuple[Planes, Tensor]:
    """The front hair, a cap cut off by the hairline; also its coverage."""
    v, hx, hy = sheet.v, sheet.hx, sheet.hy
    high, half, volume = v["face_high"], v["face_half"], v["hair_volume"]
    gx = (hx - 2.4 * v["yaw"]) / half
    line = high * (v["hair_line"] + v["hair_slope"] * gx + v["hair_rise"] * gx**2) + 1.8 * v["pitch"]
    cap = ellipse(hx + 0.5 * v["yaw"], hy + 2.4, half + 1.5 + volume, high + 0.8 + volume)
    cap = torch.maximum(torch.maximum(cap + sheet.ripple, (hy - line) * 0.85), hy - 3.0)
    from_gloss = (hx - 4.0 * v["light_x"]) ** 2 + (hy + 11.0) ** 2 * 2.5
    gloss = 1.0 + 0.16 * (1.0 - from_gloss / 60.0).clamp(0.0, 1.0)
    gloss = gloss * (1.0 - 0.10 * v["curl"] * torch.sin(hx * 1.2) * torch.sin(hy * 1.2))
    crown = sheet.cover(cap)
    return blend(planes, shade(sheet.colour("hair"), gloss), crown), crown


def _paint_glasses(planes: Planes, sheet: _Sheet) -> Planes:
    """Lenses between round and square, rims, bridge and arms."""
    v, ex, ey = sheet.v, sheet.fx.abs() - sheet.v["eye_gap"], sheet.fy + 1.4
    disc = torch.sqrt(ex * ex + ey * ey * 1.2 + 1e-6) - 3.9
    frame = rounded_box(ex, ey, 4.1, 3.1, 0.8)
    lens = frame + v["lens_round"] * (disc - frame)
    planes = blend(planes, (0.80, 0.90, 0.97), 0.20 * v["glasses"] * sheet.cover(lens))
    bar = (ey + 0.6).abs() - 0.55
    bridge = torch.maximum(sheet.fx.abs() - v["eye_gap"] + 3.6, bar)
    arm = torch.maximum(torch.maximum(4.0 - ex, sheet.hx.abs() - v["face_half"]), bar)
    rim = torch.minimum(torch.minimum(lens.abs() - 0.62, bridge), arm)
    return blend(planes, (0.07, 0.07, 0.10), v["glasses"] * sheet.cover(rim))


def _paint_hand(planes: Planes, sheet: _Sheet, cloth: Planes) -> tuple[Planes, Tensor]:
    """Sleeve, forearm, palm, four fingers and a thumb; also their coverage."""
    v, x, y, skin = sheet.v, sheet.x, sheet.y, sheet.colour("skin")
    wx, wy = x - v["hand_x"], y - v["hand_y"]
    elbow_x, elbow_y = v["body_x"] + 23.0, 74.0
    sleeve = segment(x - elbow_x, y - elbow_y, v["hand_x"] - elbow_x, v["hand_y"] + 14.0 - elbow_y, 4.2)
    cuff = sheet.cover(torch.maximum(sleeve, v["hand_y"] + 12.0 - y))
    planes = blend(planes, shade(cloth, 0.9), cuff)
    wrist = segment(wx, wy - 2.0, elbow_x - v["hand_x"], elbow_y - v["hand_y"], 2.7)
    forearm = sheet.cover(torch.maximum(wrist, wy - 12.5))

    px, py = wx + v["hand_tilt"] * wy, wy - v["hand_tilt"] * wx
    spread = px / (1.0 - 0.075 * (py - 2.0).clamp(max=0.0))
    finger = spread - 2.15 * (torch.floor(spread / 2.15) + 0.5).clamp(-1.5, 1.5)
    fingers = segment(finger, py + 9.0, 0.0, 9.0, 0.72)
    palm = torch.minimum(
        rounded_box(px, py - 0.8, 3.9, 3.6, 2.2), segment(px + 2.8, py - 1.5, -3.4, -4.0, 1.15)
    )
    outline = sheet.cover(torch.minimum(palm - 0.7, fingers - 0.4))
    planes = blend(planes, shade(skin, 0.70), outline)
    bare = torch.maximum(forearm, sheet.cover(torch.minimum(palm, fingers)))
    planes = blend(planes, shade(skin, 0.96), bare)
    return planes, torch.maximum(torch.maximum(forearm, outline), cuff)


def paint_person(person: Tensor, behind: Planes, size: int) -> tuple[Planes, Tensor]:
    """Draw people over a background.

    Args:
        person: (N, len(PERSON_PARAMETERS)) from lay_out_person.
        behind: three planes (N, size, size) in [0, 1].
        size: pixels per side.

    Returns: three planes (N, size, size) in [0, 1] (not clipped), and how much of each pixel is person, alike.
    """
    sheet = _lay_sheet(person, size)
    cloth = _dress(sheet)
    planes, around_body = _paint_body(behind, sheet, cloth)
    planes, on_face, around_face = _paint_face(planes, sheet)
    planes = _paint_mouth(planes, sheet, on_face)
    planes = _paint_eyes(planes, sheet)
    planes, crown = _paint_hair(planes, sheet)
    planes = _paint_glasses(planes, sheet)
    planes, hand = _paint_hand(planes, sheet, cloth)

    v = sheet.v
    grid_x, grid_y = pixel_grid(size, person.device)
    slope = (v["light_x"] * (grid_x - 32.0) + v["light_y"] * (grid_y - 32.0)) / 32.0
    red, green, blue = shade(planes, v["bright"] * (1.0 + 0.08 * slope))
    coverage = 1.0 - around_body * around_face * (1.0 - crown) * (1.0 - hand)
    return (red * (1.0 + v["warm"]), green, blue * (1.0 - v["warm"])), coverage
