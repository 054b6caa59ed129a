"""Exit codes, one line an error, JSON for machines, and the installed program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from wan_core.cli import generate as generate_module

from .conftest import Run


def test_help_is_quick_because_torch_is_not_loaded(tmp_path: Path) -> None:
    code = "import sys; from wan_core.cli.parser import build_parser; build_parser(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, check=False).returncode == 0


def test_installed_program(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("wan-r2v")
    if not program.exists():
        pytest.skip("the package is not installed in this environment")
    done = subprocess.run([program, "frobnicate"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("wan-r2v: command line:")
    assert (
        subprocess.run([program, "generate", "--help"], cwd=tmp_path, stdout=subprocess.PIPE).returncode == 0
    )


def test_no_command_is_bad_input(run: Run) -> None:
    code, out, err = run()
    assert (code, out) == (2, "")
    assert "COMMAND" in err and err.count("\n") == 1


def test_unknown_command_names_the_known_ones(run: Run) -> None:
    code, _, err = run("make-coffee")
    assert code == 2
    assert "generate" in err and "doctor" in err


def test_errors_as_json(run: Run) -> None:
    code, out, err = run("verify", "nowhere.mp4", "--json")
    assert code == 2
    assert json.loads(out) == {
        "error": "video: expected a file, got none at nowhere.mp4. Check the path.",
        "kind": "InputError",
    }
    assert err.startswith("wan-r2v: video:")


def test_a_fault_is_one_line_and_debug_shows_all(
    run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise ZeroDivisionError("three\nlines\nof text")

    monkeypatch.setattr(generate_module, "generate", break_down)
    code, out, err = run("demo", "--weights", weights)
    assert (code, out) == (1, "")
    assert err == (
        "wan-r2v: fault: ZeroDivisionError: three lines of text. Run again with --debug and report what it shows.\n"
    )
    assert "Traceback" in run("demo", "--weights", weights, "--debug")[2]
    assert list(tmp_path.iterdir()) == []


def test_interrupt(run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(generate_module, "generate", interrupt)
    code, _, err = run("demo", "--weights", weights)
    assert (code, err) == (130, "wan-r2v: interrupted; nothing was written.\n")
    assert list(tmp_path.iterdir()) == []
