"""The files that installers read agree with each other and with the README."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

try:
    import tomllib
except ImportError:
    import tomli as tomllib  # type: ignore[no-redef]

NEVER_REQUIRED = (
    "torch",
    "torchvision",
    "torchaudio",
    "onnxruntime-gpu",
    "opencv-python",
    "xformers",
    "flash-attn",
)


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


def requirement_lines(path: Path) -> list[str]:
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def test_requirements_equal_the_dependencies(root: Path, project: dict[str, Any]) -> None:
    assert requirement_lines(root / "requirements.txt") == project["project"]["dependencies"]


def test_comfyui_keeps_its_own_torch(project: dict[str, Any]) -> None:
    for line in project["project"]["dependencies"]:
        name = re.split(r"[<>=!~\[ ;@]", line)[0].lower()
        assert name not in NEVER_REQUIRED, f"{name} in the dependencies would replace the user's build"
        assert not re.search(r"@|://|==|<", line), f"{line}: no link and no upper bound"


def test_every_requirement_is_used(root: Path, project: dict[str, Any]) -> None:
    import_names = {"pillow": "PIL", "scikit-image": "skimage"}
    source = "\n".join(path.read_text(encoding="utf-8") for path in (root / "wan_core").rglob("*.py"))
    for line in project["project"]["dependencies"]:
        name = re.split(r"[<>=!~\[ ;]", line)[0]
        module = import_names.get(name, name)
        assert re.search(rf"^\s*(import|from) {module}\b", source, re.M), (
            f"{name} is required but not imported"
        )


def test_standalone_pins_a_pair_that_works(project: dict[str, Any]) -> None:
    assert project["project"]["optional-dependencies"]["standalone"] == [
        "torch==2.11.0",
        "torchaudio==2.11.0",
    ]


def test_only_the_engine_is_installed(project: dict[str, Any]) -> None:
    assert project["tool"]["setuptools"]["packages"]["find"] == {"include": ["wan_core*"]}
    assert project["project"]["scripts"] == {"wan-r2v": "wan_core.cli:main"}


def test_readme_has_the_two_commands(root: Path) -> None:
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert 'pip install -e ".[standalone]" && wan-r2v demo' in readme
    assert 'pip install -e ".[standalone,test]" && pytest' in readme


def test_ci_installs_as_the_readme_says(root: Path) -> None:
    assert 'install --quiet -e ".[standalone,test]"' in (root / ".ci" / "run").read_text(encoding="utf-8")


def test_registry_fields(root: Path, project: dict[str, Any]) -> None:
    fields = project["project"]
    assert re.fullmatch(r"[a-z][a-z0-9-]{2,99}", fields["name"]) and "comfyui" not in fields["name"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["version"])
    assert project["tool"]["comfy"]["requires-comfyui"] == ">=0.14.0"
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{fields['version']}]" in changelog or "## [Unreleased]" in changelog


def test_nothing_names_this_machine_or_a_registry(root: Path) -> None:
    hosts = ("py" + "pi.org", "python" + "hosted", "npm" + "js.", "deb." + "debian.org")
    places = re.compile(r"(?<![\w.}~-])/(?:wo" + r"rk|ro" + r"ot|fa" + r"rm|opt/w" + r"r)/[A-Za-z.]")
    kinds = {".py", ".md", ".toml", ".txt", ".json", ".yml", ".yaml", ""}
    skipped = {
        ".git",
        ".ci",
        ".venv",
        "node_modules",
        ".ruff_cache",
        ".pytest_cache",
        "__pycache__",
        "wan_r2v.egg-info",
    }
    for path in root.rglob("*"):
        inside = path.relative_to(root)
        if (
            not path.is_file()
            or path.suffix not in kinds
            or skipped & set(inside.parts)
            or path.name == "LICENSE"
        ):
            continue
        if inside.parts[0] in ("runs", "out", "outputs"):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for host in hosts:
            assert host not in text, f"{inside} names a registry's host"
        found = places.search(text)
        assert found is None, f"{inside} names a folder of one machine: {found.group(0) if found else ''}"
