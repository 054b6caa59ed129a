"""Who may import whom, read from the syntax trees (an import inside a function counts like any other)."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_tree import ROOT, imports, name_of, python_files, resolve

SIBLINGS = ("dit", "identity", "voice", "text", "vae", "audio", "sampling", "provenance", "report")
ORDER = (
    ("errors",),
    ("types",),
    ("protocols",),
    ("ops",),
    SIBLINGS,
    ("checkpoints",),
    ("pipelines",),
    ("media",),
    ("cli",),
)
RANK = {module: rank for rank, modules in enumerate(ORDER) for module in modules}
DATA_ONLY = ("assets",)
HOST_MODULES = (
    "comfy",
    "comfy_api",
    "comfy_api_nodes",
    "comfy_config",
    "comfy_execution",
    "comfy_extras",
    "execution",
    "folder_paths",
    "latent_preview",
    "node_helpers",
    "server",
)
CORE = python_files("wan_core")
NODES = python_files("nodes")
TOOLS = [path for folder in ("training", "benchmarks") for path in python_files(folder)]


def part_of(path: Path) -> str:
    """`wan_core/dit/model.py` -> "dit"; a file right in `wan_core` -> its stem."""
    parts = path.relative_to(ROOT / "wan_core").parts
    return parts[0] if len(parts) > 1 else Path(parts[0]).stem


def is_host(module: str) -> bool:
    return module.split(".")[0] in HOST_MODULES


def test_there_is_something_to_check() -> None:
    assert CORE and NODES


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_core_knows_its_place(path: Path) -> None:
    part = part_of(path)
    if part == "__init__":
        return
    assert part in RANK, f"{name_of(path)}: wan_core.{part} has no layer. Give it one in ORDER of this test."
    for line, level, module in imports(path):
        if level == 0:
            continue
        target = resolve(path, level, module).split(".")
        assert target[0] == "wan_core", f"{name_of(path)}:{line} climbs out of wan_core to {'.'.join(target)}"
        other = target[1] if len(target) > 1 else "__init__"
        if other == part:
            continue
        assert other in RANK, f"{name_of(path)}:{line} imports wan_core.{other}, which has no layer"
        assert RANK[other] < RANK[part], (
            f"{name_of(path)}:{line}: wan_core.{part} must not import wan_core.{other}"
        )


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_core_is_free_of_comfyui(path: Path) -> None:
    for line, level, module in imports(path):
        assert level > 0 or not is_host(module), (
            f"{name_of(path)}:{line} imports {module}: wan_core runs without ComfyUI"
        )
        assert level > 0 or module.split(".")[0] not in ("nodes", "training", "benchmarks", "tests"), (
            f"{name_of(path)}:{line} imports {module}: the direction is the other way round"
        )


@pytest.mark.parametrize("path", [*CORE, *NODES], ids=name_of)
def test_imports_inside_the_pack_are_relative(path: Path) -> None:
    """ComfyUI loads the pack under a name made from its path: `import wan_core` would find nothing, or another copy."""
    for line, level, module in imports(path):
        first = module.split(".")[0]
        assert level > 0 or first not in ("wan_core", "nodes"), (
            f"{name_of(path)}:{line}: write it as a relative import"
        )


@pytest.mark.parametrize("path", [p for p in NODES if p.parent.name != "host"], ids=name_of)
def test_only_the_host_package_touches_comfyui(path: Path) -> None:
    for line, level, module in imports(path):
        assert level > 0 or not is_host(module), (
            f"{name_of(path)}:{line} imports {module}: only nodes/host/ may"
        )


@pytest.mark.parametrize("path", NODES, ids=name_of)
def test_nodes_import_the_pack_only(path: Path) -> None:
    for line, level, module in imports(path):
        if level > 0:
            target = resolve(path, level, module)
            assert target.split(".")[0] in ("nodes", "wan_core"), f"{name_of(path)}:{line} imports {target}"


@pytest.mark.parametrize("path", TOOLS, ids=name_of)
def test_training_and_benchmarks_do_not_need_the_nodes(path: Path) -> None:
    for line, level, module in imports(path):
        target = resolve(path, level, module) if level else module
        assert target.split(".")[0] != "nodes" and not is_host(target), (
            f"{name_of(path)}:{line} imports {target}"
        )
