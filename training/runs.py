"""What every training run needs: a checkpoint that survives being killed, and a log."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


def save_state(path: Path, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
    """Write tensors and numbers to one safetensors file, all or nothing.

    Args:
        path: the checkpoint; a partial write never replaces a good one.
        tensors: name -> tensor.
        info: JSON values (step number, settings).
    """
    temporary = path.with_suffix(".partial")
    save_file(
        {name: tensor.detach().contiguous() for name, tensor in tensors.items()},
        temporary,
        metadata={"info": json.dumps(dict(info))},
    )
    os.replace(temporary, path)


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read what `save_state` wrote.

    Returns: (tensors, info), or None where there is no checkpoint yet.
    """
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as file:
        info = json.loads((file.metadata() or {}).get("info", "{}"))
        return {name: file.get_tensor(name) for name in file.keys()}, info  # noqa: SIM118


class RunLog:
    """A log with one JSON object a line, echoed to standard output."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")

    def write(self, **values: Any) -> None:
        """Append one line; the local time is added."""
        line = json.dumps({"time": time.strftime("%H:%M:%S"), **values})
        self._file.write(line + "\n")
        self._file.flush()
        print(line, flush=True)
