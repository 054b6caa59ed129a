"""Running a script of this folder inside a real ComfyUI's Python, and reading what it found."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from comfy_server import find_comfyui

HERE = Path(__file__).parent


def run_inside(script: str, *arguments: str | Path, limit: float = 500) -> Any:
    """Run a script and return the JSON of the last line that it printed.

    Args:
        script: name in this folder without `.py`; it gets ComfyUI's folder, the project's and `arguments`.
        arguments: what else it reads.   limit: seconds that it may take.
    """
    comfyui = find_comfyui()
    assert comfyui is not None
    command = (comfyui.python, HERE / f"{script}.py", comfyui.folder, HERE.parents[1], *arguments)
    run = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=limit, check=False
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])
