"""The nodes as they are written, without ComfyUI: ids, tooltips, help pages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from source_tree import ROOT, name_of, parse, python_files

NODES = python_files("nodes")


def node_classes() -> Iterator[tuple[Path, ast.ClassDef]]:
    for path in NODES:
        for item in parse(path).body:
            if isinstance(item, ast.ClassDef) and any(
                ast.unparse(base) == "io.ComfyNode" for base in item.bases
            ):
                yield path, item


def schema_of(node: ast.ClassDef) -> ast.Call:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "io.Schema":
            return call
    raise AssertionError(f"{node.name} makes no io.Schema")


def keywords(call: ast.Call) -> dict[str, ast.expr]:
    return {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}


def node_ids() -> list[str]:
    return [str(ast.literal_eval(keywords(schema_of(node))["node_id"])) for _, node in node_classes()]


def test_ids_have_the_prefix_and_are_unique() -> None:
    ids = node_ids()
    assert len(ids) >= 8 and len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"WanR2V_[A-Z][A-Za-z0-9]+", name) for name in ids)


@pytest.mark.parametrize(
    ("path", "node"), list(node_classes()), ids=lambda item: getattr(item, "name", str(item))
)
def test_schema_says_what_the_node_does(path: Path, node: ast.ClassDef) -> None:
    given = keywords(schema_of(node))
    for field in ("display_name", "category", "description"):
        assert field in given, f"{name_of(path)}: {node.name} has no {field}"
    assert str(ast.literal_eval(given["category"])).split("/")[0] == "Wan R2V"


@pytest.mark.parametrize("path", NODES, ids=name_of)
def test_every_input_has_a_tooltip_and_every_output_a_name(path: Path) -> None:
    for call in ast.walk(parse(path)):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
            continue
        where = f"{name_of(path)}:{call.lineno}"
        if call.func.attr == "Input":
            assert "tooltip" in keywords(call), f"{where}: the input has no tooltip"
        if call.func.attr == "Output":
            assert "display_name" in keywords(call), f"{where}: the output has no display_name"


def test_every_node_has_a_help_page_and_every_page_a_node() -> None:
    pages = {path.stem: path for path in (ROOT / "web" / "docs").glob("*.md")}
    assert set(pages) == set(node_ids())
    for path in pages.values():
        text = path.read_text(encoding="utf-8")
        assert text.startswith("# ") and len(text) > 300, f"{name_of(path)} says too little"


def test_extension_lists_every_node() -> None:
    listed = (ROOT / "nodes" / "extension.py").read_text(encoding="utf-8")
    for _, node in node_classes():
        assert re.search(rf"\b{node.name}\b", listed), f"nodes/extension.py does not list {node.name}"


def test_help_pages_name_every_input() -> None:
    for _, node in node_classes():
        schema = schema_of(node)
        page = ROOT / "web" / "docs" / f"{ast.literal_eval(keywords(schema)['node_id'])}.md"
        text = page.read_text(encoding="utf-8")
        for call in ast.walk(keywords(schema)["inputs"]):
            is_input = (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr == "Input"
            )
            if is_input and call.args and isinstance(call.args[0], ast.Constant):
                assert f"`{call.args[0].value}`" in text, (
                    f"{name_of(page)} does not name {call.args[0].value}"
                )
