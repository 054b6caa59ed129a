"""Under which terms published weights may be used, as far as their publishers say; shown where they are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: Part -> its terms, in one sentence each.
LICENCES: Mapping[str, str] = MappingProxyType(
    {
        "Ovi": "Ovi: weights and code Apache-2.0",
        "DreamID-Omni": "DreamID-Omni: code Apache-2.0; its authors mean the model for academic research and technical "
        "demonstration only, and ask that results be labelled as made by AI",
        "MMAudio": "MMAudio's VAE and vocoder: code MIT; the weights are reported as CC-BY-NC 4.0, which is not for "
        "commercial use: see their publisher's page",
        "Wan 2.2 VAE": "Wan 2.2 VAE: Apache-2.0",
        "umT5": "umT5-xxl: Apache-2.0",
    }
)


def licences_of(*parts: str) -> tuple[str, ...]:
    """Terms of parts, in order, each once.

    Args: parts: keys of `LICENCES`.
    """
    return tuple(dict.fromkeys(LICENCES[part] for part in parts))
