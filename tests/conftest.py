"""Shared set-up of the suite: where the project is, and the ComfyUI that the `comfy` tests start."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# `training` and `benchmarks` are run from the repository root and not installed. Appended, never inserted: `nodes/`
# must not hide ComfyUI's nodes.py.
sys.path.append(str(ROOT))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `comfy` where no ComfyUI is found."""
    from comfy_server import find_comfyui

    if find_comfyui() is not None:
        return
    for item in items:
        if item.get_closest_marker("comfy"):
            item.add_marker(pytest.mark.skip(reason="no ComfyUI found"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly when the ComfyUI part was left out, and which ComfyUI ran it otherwise."""
    from comfy_server import find_comfyui, missing_packs

    found = find_comfyui()
    terminalreporter.section("ComfyUI")
    if found is None:
        terminalreporter.write_line(
            "NO COMFYUI FOUND: the tests marked `comfy` were NOT run. Set COMFYUI_PATH to a ComfyUI folder "
            "(and COMFYUI_PYTHON to its Python), or set comfy-cli's default workspace.",
            red=True,
            bold=True,
        )
    else:
        terminalreporter.write_line(f"comfy tests: {found.folder} with {found.python}")
        if missing_packs():
            terminalreporter.write_line(
                f"NO {' AND NO '.join(missing_packs())} IN ITS custom_nodes: stacking with the real nodes of "
                "other packs was NOT tested (tests/nodes/test_other_packs.py); emulations were.",
                red=True,
                bold=True,
            )


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository root."""
    return ROOT


@pytest.fixture(scope="session")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A running ComfyUI on a free loopback port that has only this pack.

    Its input folder holds picture.png, voice.wav and silence.wav; models/wan_r2v/random holds random weights,
    models/loras a LoRA for them; models/diffusion_models, vae and
    text_encoders a tiny Wan of every family.
    """
    from comfy_server import ComfyServer, find_comfyui
    from random_nano import write_random_lora, write_random_nano
    from reference_files import write_picture, write_voice
    from tiny_wan import write_tiny_text, write_tiny_vaes, write_tiny_wan, write_wan_lora

    found = find_comfyui()
    if found is None:
        pytest.skip("no ComfyUI found")
    base = tmp_path_factory.mktemp("comfy")
    (base / "input").mkdir()
    write_picture(base / "input" / "picture.png")
    write_voice(base / "input" / "voice.wav")
    write_voice(base / "input" / "silence.wav", gain=0.0)
    write_random_nano(base / "models" / "wan_r2v" / "random")
    write_random_lora(base / "models" / "loras" / "random.safetensors")
    write_tiny_wan(base / "models" / "diffusion_models")
    write_tiny_vaes(base / "models" / "vae")
    write_tiny_text(base / "models" / "text_encoders")
    write_wan_lora(base / "models" / "loras" / "wan.safetensors")
    with ComfyServer(found, pack=ROOT, base=base) as server:
        yield server
