"""The synthetic-media tag goes into metadata and comes back."""

from __future__ import annotations

import json

import pytest

from wan_core.provenance import SyntheticTag, from_metadata, to_metadata


@pytest.mark.parametrize("consent", [None, "own", "written", "fictional"])
def test_round_trip(consent: str | None) -> None:
    tag = SyntheticTag(model="nano", consent=consent, seed=2**63, version="0.1.0")
    metadata = to_metadata(tag)
    assert from_metadata(metadata) == tag
    assert metadata["comment"].startswith("Synthetic media")
    assert json.loads(metadata["wan_r2v"])["digital_source_type"] == "trainedAlgorithmicMedia"


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"comment": "Synthetic media"},
        {"wan_r2v": "no json"},
        {"wan_r2v": "[1, 2]"},
        {"wan_r2v": '{"synthetic": false}'},
        {"wan_r2v": '{"synthetic": true, "consent": "stolen"}'},
    ],
)
def test_what_is_no_tag(metadata: dict[str, str]) -> None:
    assert from_metadata(metadata) is None
