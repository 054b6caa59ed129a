"""Files and folders of weights, where ComfyUI and the user's path settings put them."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths

from ...wan_core.errors import InputError


def model_folders(key: str, marker: str) -> list[str]:
    """Names of the folders in models/<key> (and where the user's path settings put it) that hold a file `marker`."""
    return sorted(path.parent.name for root in _roots(key) for path in root.glob(f"*/{marker}"))


def model_folder(key: str, name: str) -> Path:
    """Full path of one of `model_folders`.

    Raises: InputError: there is none of that name.
    """
    for root in _roots(key):
        if any(path.name == name for path in root.iterdir()):
            return root / name
    raise InputError(
        f"weights: expected a folder in models/{key}, got {name}. Put it there or choose another."
    )


def _roots(key: str) -> list[Path]:
    paths = [
        *folder_paths.folder_names_and_paths.get(key, ([],))[0],
        os.path.join(folder_paths.models_dir, key),
    ]
    return [path for path in dict.fromkeys(map(Path, paths)) if path.is_dir()]
