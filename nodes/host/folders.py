"""Files and folders of weights, where ComfyUI and the user's path settings put them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import folder_paths

from ...wan_core.errors import InputError

SUFFIXES = (".safetensors", ".gguf", ".pth", ".pt", ".safetensors.index.json")
#: Files that tell a folder with a whole model, and an adapter as it is published.
WHOLE_MODEL, OFFICIAL_ADAPTER = "dit.safetensors", "ip_layers.safetensors"
SHARD = re.compile(r"-\d{5}-of-\d{5}\.safetensors$")


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


def adapter_names(key: str) -> list[str]:
    """Folders in models/<key> that hold weights and no whole model, and single files of weights there."""
    found: set[str] = set()
    for root in _roots(key):
        for path in root.iterdir():
            is_folder = (
                path.is_dir() and any(path.glob("*.safetensors")) and not (path / WHOLE_MODEL).is_file()
            )
            if is_folder or (path.is_file() and path.suffix in (".safetensors", ".pth")):
                found.add(path.name)
    return sorted(found)


def adapter_files(key: str, name: str) -> tuple[Path, ...]:
    """What `load_lynx` takes for one of `adapter_names`: the folder, the files in it where they are not the official
    ones, or the file.

    Raises: InputError: there is none of that name.
    """
    for root in _roots(key):
        path = root / name
        if path.is_dir() and not (path / OFFICIAL_ADAPTER).is_file():
            return tuple(sorted(path.glob("*.safetensors")))
        if path.exists():
            return (path,)
    raise InputError(f"adapter: expected a folder or file in models/{key}, got {name}. Put it there.")


def weight_files(key: str) -> list[str]:
    """Files of weights in ComfyUI's folder `key` and the folders below it; of a split file, its index alone."""
    found: set[str] = set()
    for root in folder_paths.get_folder_paths(key):
        if os.path.isdir(root):
            found |= set(folder_paths.recursive_search(root, excluded_dir_names=[".git"])[0])
    return sorted(name for name in found if name.lower().endswith(SUFFIXES) and not SHARD.search(name))


def weight_file(key: str, name: str) -> Path:
    """Full path of one of `weight_files`.

    Raises: InputError: there is none of that name.
    """
    path = folder_paths.get_full_path(key, name)
    if path is None:
        raise InputError(
            f"weights: expected a file in models/{key}, got {name}. Put it there or choose another."
        )
    return Path(path)


def _roots(key: str) -> list[Path]:
    paths = [
        *folder_paths.folder_names_and_paths.get(key, ([],))[0],
        os.path.join(folder_paths.models_dir, key),
    ]
    return [path for path in dict.fromkeys(map(Path, paths)) if path.is_dir()]
