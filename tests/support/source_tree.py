"""What the contract tests share: the project's Python files and their syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def python_files(*folders: str) -> list[Path]:
    """All Python files under the given folders of the repository, sorted."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def parse(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name_of(path: Path) -> str:
    """A file's path inside the repository, for messages."""
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[tuple[int, int, str]]:
    """Yield (line, level, dotted module) for each import anywhere in a file; level 0 is absolute.

    `from . import a, b` gives one entry a name, since each may be a module.
    """
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            if node.module:
                yield node.lineno, node.level, node.module
            else:
                for alias in node.names:
                    yield node.lineno, node.level, alias.name


def resolve(path: Path, level: int, module: str) -> str:
    """The module inside the repository that a relative import of `path` means, dotted from the root.

    A result that starts with ".." has left the repository.
    """
    package = list(path.relative_to(ROOT).with_suffix("").parts)[:-1]
    up = level - 1
    if up > len(package):
        return ".." + module
    return ".".join([*package[: len(package) - up], *module.split(".")])
