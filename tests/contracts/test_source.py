"""Rules that hold for every file: its length, its docstrings, and calls that shipped code must not make."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from source_tree import ROOT, imports, name_of, parse, python_files

SHIPPED = [ROOT / "__init__.py", *python_files("wan_core", "nodes")]
EVERYTHING = [
    *SHIPPED,
    *(path for folder in ("training", "benchmarks", "tests", "tools") for path in python_files(folder)),
]
FORBIDDEN_MODULES = {
    "urllib": "nothing is downloaded",
    "requests": "nothing is downloaded",
    "httpx": "nothing is downloaded",
    "socket": "nothing is downloaded",
    "huggingface_hub": "nothing is downloaded",
    "subprocess": "shipped code starts no program",
    "pickle": "a pickle can run code: use safetensors",
    "marshal": "a marshalled file can run code",
}
FORBIDDEN_CALLS = ("eval", "exec", "compile", "__import__", "print")
FORBIDDEN_ATTRIBUTES = {
    ("os", "environ"): "settings are arguments",
    ("os", "getenv"): "settings are arguments",
    ("os", "putenv"): "settings are arguments",
    ("os", "system"): "shipped code starts no program",
    ("os", "popen"): "shipped code starts no program",
    ("torch", "save"): "a pickle can run code: use safetensors",
}
FORBIDDEN_FILE_NAMES = ("utils.py", "util.py", "helpers.py", "common.py", "misc.py")
MAX_LINES = 400
MAX_NODE_LINES = 150


@pytest.mark.parametrize("path", EVERYTHING, ids=name_of)
def test_file_is_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    limit = MAX_NODE_LINES if path.parent == ROOT / "nodes" else MAX_LINES
    assert lines <= limit, f"{name_of(path)}: expected at most {limit} lines, got {lines}. Split it."
    assert path.name not in FORBIDDEN_FILE_NAMES, f"{name_of(path)}: name the file after what is in it"


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_file_has_no_forbidden_import(path: Path) -> None:
    for line, level, module in imports(path):
        reason = FORBIDDEN_MODULES.get(module.split(".")[0]) if level == 0 else None
        assert reason is None, f"{name_of(path)}:{line} imports {module}: {reason}"


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_file_makes_no_forbidden_call(path: Path) -> None:
    for node in ast.walk(parse(path)):
        where = f"{name_of(path)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            allowed = node.func.id == "print" and path.name == "cli.py"
            assert node.func.id not in FORBIDDEN_CALLS or allowed, f"{where} calls {node.func.id}()"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            only = [k for k in node.keywords if k.arg == "weights_only" and isinstance(k.value, ast.Constant)]
            assert only and only[0].value.value is True, f"{where}: torch.load needs weights_only=True"  # type: ignore[attr-defined]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            reason = FORBIDDEN_ATTRIBUTES.get((node.value.id, node.attr))
            assert reason is None, f"{where} uses {node.value.id}.{node.attr}: {reason}"
        if isinstance(node, ast.Attribute):
            assert node.attr != "eval", f"{where}: write .train(False); scanners take .eval() for the builtin"
        if isinstance(node, ast.Global):
            raise AssertionError(f"{where}: no module-level mutable state")


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_errors_are_not_swallowed(path: Path) -> None:
    for node in ast.walk(parse(path)):
        where = f"{name_of(path)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{where}: name the exception"
            assert not (len(node.body) == 1 and isinstance(node.body[0], ast.Pass)), (
                f"{where}: except ...: pass"
            )
        if (
            isinstance(node, ast.Raise)
            and isinstance(node.exc, ast.Call)
            and isinstance(node.exc.func, ast.Name)
        ):
            assert node.exc.func.id not in ("Exception", "BaseException"), (
                f"{where}: use a class of wan_core.errors"
            )


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_public_things_have_docstrings(path: Path) -> None:
    tree = parse(path)
    assert ast.get_docstring(tree) or not tree.body, f"{name_of(path)}: the file has no docstring"
    for node in tree.body:
        if isinstance(
            node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        ) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{name_of(path)}:{node.lineno}: {node.name} has no docstring"


@pytest.mark.parametrize("path", python_files("wan_core", "nodes"), ids=name_of)
def test_source_is_annotated_and_passes_no_kwargs_on(path: Path) -> None:
    for function in ast.walk(parse(path)):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        where = f"{name_of(path)}:{function.lineno}: {function.name}"
        assert function.returns is not None, f"{where} has no return annotation"
        if function.args.kwarg is None or path.parent == ROOT / "nodes" / "host":
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Call):
                handed_on = [
                    k.value.id for k in node.keywords if k.arg is None and isinstance(k.value, ast.Name)
                ]
                assert function.args.kwarg.arg not in handed_on, (
                    f"{where} hands **{function.args.kwarg.arg} on"
                )
