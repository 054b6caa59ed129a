"""Provenance: consent for references, and the tag and the mark that say that a clip is synthetic."""

from __future__ import annotations

from .consent import CONSENT_MEANINGS, Consent, check_consent
from .metadata import SyntheticTag, from_metadata, to_metadata
from .watermark import MarkDetection, detect_mark, is_markable, mark_video

__all__ = [
    "CONSENT_MEANINGS",
    "Consent",
    "MarkDetection",
    "SyntheticTag",
    "check_consent",
    "detect_mark",
    "from_metadata",
    "is_markable",
    "mark_video",
    "to_metadata",
]
