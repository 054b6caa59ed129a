"""Provenance: consent for references, and the tag that says a clip is synthetic."""

from __future__ import annotations

from .consent import CONSENT_MEANINGS, Consent, check_consent
from .metadata import SyntheticTag, from_metadata, to_metadata

__all__ = ["CONSENT_MEANINGS", "Consent", "SyntheticTag", "check_consent", "from_metadata", "to_metadata"]
