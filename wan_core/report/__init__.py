"""Reports: what a clip shows of its references, as figures and as a picture."""

from __future__ import annotations

from .likeness import CopyPaste, FaceTrack, Likeness, picture_sameness, summarise_track
from .lips import LipSync, aligned_mouth_opening, compare_lips, mouth_opening
from .measure import Measurements
from .pose import HeadPose, head_pose
from .sheet import draw_report, draw_sheet
from .text import describe, to_content, to_json
from .voice import PitchStatistics, SimilarityScale, VoiceMatch, pitch_statistics

__all__ = [
    "CopyPaste",
    "FaceTrack",
    "HeadPose",
    "Likeness",
    "LipSync",
    "Measurements",
    "PitchStatistics",
    "SimilarityScale",
    "VoiceMatch",
    "aligned_mouth_opening",
    "compare_lips",
    "describe",
    "draw_report",
    "draw_sheet",
    "head_pose",
    "mouth_opening",
    "picture_sameness",
    "pitch_statistics",
    "summarise_track",
    "to_content",
    "to_json",
]
