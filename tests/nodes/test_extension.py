"""What a real ComfyUI makes of the pack when it loads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from comfy_server import PACK_NAME, ComfyServer

pytestmark = pytest.mark.comfy

OWN_TYPES = {
    "WANR2V_ADAPTER",
    "WANR2V_IDENTITY",
    "WANR2V_VOICE",
    "WANR2V_CHARACTER",
    "WANR2V_STRENGTH",
    "WANR2V_SPEECH",
    "WANR2V_REGION",
}
NATIVE_TYPES = {
    "MODEL",
    "CLIP",
    "VAE",
    "CONDITIONING",
    "LATENT",
    "GUIDER",
    "IMAGE",
    "AUDIO",
    "AUDIO_ENCODER_OUTPUT",
    "STRING",
    "FLOAT",
    "INT",
}


def test_pack_loads_without_a_complaint(comfy: ComfyServer) -> None:
    log = comfy.log()
    assert "IMPORT FAILED" not in log and "could not be imported" not in log
    assert f"custom_nodes/{PACK_NAME}" in log


def test_every_node_is_there_with_known_types(comfy: ComfyServer, root: Path) -> None:
    info = comfy.get("/object_info")
    ours = {name: entry for name, entry in info.items() if name.startswith("WanR2V_")}
    assert set(ours) == {path.stem for path in (root / "web" / "docs").glob("*.md")}
    for name, entry in ours.items():
        assert set(entry["output"]) <= OWN_TYPES | NATIVE_TYPES, name
        for group in ("required", "optional"):
            for field, (_, settings) in entry["input"].get(group, {}).items():
                assert settings["tooltip"], f"{name}.{field}"


def test_help_pages_and_templates_are_served(comfy: ComfyServer, root: Path) -> None:
    for path in (root / "web" / "docs").glob("*.md"):
        assert comfy.text(f"/extensions/{PACK_NAME}/docs/{path.name}") == path.read_text(encoding="utf-8")
    assert set(comfy.get("/workflow_templates")[PACK_NAME]) == {
        p.stem for p in (root / "workflows").glob("*.json")
    }
