"""Reports: what a clip shows of its references, as figures and as a picture."""

from __future__ import annotations

from .measure import ColourMatch, FaceScale, LipSync, Measurements, measure_clip
from .sheet import describe, draw_sheet, to_json

__all__ = [
    "ColourMatch",
    "FaceScale",
    "LipSync",
    "Measurements",
    "describe",
    "draw_sheet",
    "measure_clip",
    "to_json",
]
