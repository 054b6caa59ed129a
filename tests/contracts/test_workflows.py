"""The example workflows as files: format, links, fixed seeds, thumbnails (tests/nodes runs them)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from source_tree import ROOT
from workflow_api import AFTER_SEED

ANYTHING = "*"
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_modes_of_nano_and_the_families_of_wan_are_there() -> None:
    nano = ["nano_i2v", "nano_r2v", "nano_t2v"]
    wan = ["wan21_i2v_14b", "wan21_t2v_1_3b", "wan22_t2v_a14b", "wan22_ti2v_5b"]
    identity = ["lynx_full", "lynx_lite", "phantom_1_3b", "bernini_1_3b"]
    assert {*nano, *wan, *identity} <= {path.stem for path in WORKFLOWS}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_format_and_thumbnail(path: Path) -> None:
    workflow = load(path)
    assert workflow["version"] == 0.4
    assert set(workflow["extra"]) <= {"ds", "frontendVersion"}
    picture = path.with_suffix(".jpg").read_bytes()
    assert picture[:3] == b"\xff\xd8\xff" and len(picture) < 300_000


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_links_meet_their_sockets(path: Path) -> None:
    workflow = load(path)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for link, source, slot, target, target_slot, kind in workflow["links"]:
        output, socket = nodes[source]["outputs"][slot], nodes[target]["inputs"][target_slot]
        assert link in output["links"] and socket["link"] == link
        assert output["type"] == kind and socket["type"] in (kind, ANYTHING)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_seeds_are_fixed_and_nodes_say_where_they_come_from(path: Path) -> None:
    for node in load(path)["nodes"]:
        values = node.get("widgets_values") or []
        assert not [value for value in values if value in AFTER_SEED and value != "fixed"], node["type"]
        if node["type"] != "MarkdownNote":
            expected = "wan-r2v" if node["type"].startswith("WanR2V_") else "comfy-core"
            assert node["properties"]["cnr_id"] == expected


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_loaders_say_where_their_files_come_from(path: Path) -> None:
    """The frontend offers to fetch a file whose name is a value of the node."""
    for node in load(path)["nodes"]:
        if node["type"] not in (
            "WanR2V_LoadWanModel",
            "WanR2V_LoadWanVAE",
            "WanR2V_LoadWanText",
            "CLIPVisionLoader",
        ):
            continue
        (model,) = node["properties"]["models"]
        assert model["name"] in node["widgets_values"] and model["url"].endswith("/" + model["name"])
        assert model["directory"] in ("diffusion_models", "vae", "text_encoders", "clip_vision")
