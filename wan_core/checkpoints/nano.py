"""The parts of nano: one safetensors file each, which carries its own configuration."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import CheckpointError, OutputError
from .assign import build_and_load
from .config_json import config_from_json, config_to_json
from .header import Header, read_header
from .kinds import part_classes

METADATA_KEY = "wan_r2v"


def save_part(
    path: Path | str, kind: str, config: Any, module: nn.Module, *, dtype: torch.dtype | None = None
) -> None:
    """Write a part, all or nothing: an interrupted write leaves no file, or the earlier one, under the name.

    Args:
        kind: a key of `kinds.PART_KINDS`.   config: the part's configuration.
        dtype: floating-point tensors are stored in it (None: as they are).
    Raises: CheckpointError: no such kind, or the configuration is of another class.   OutputError: can not be written.
    """
    path = Path(path)
    config_class, _ = part_classes(kind, str(path))
    if not isinstance(config, config_class):
        raise CheckpointError(
            f"configuration of '{kind}': expected {config_class.__name__}, got {type(config).__name__}. "
            "Save the part under its own kind."
        )
    tensors: dict[str, Tensor] = {}
    for name, tensor in module.state_dict().items():
        wanted = dtype if tensor.is_floating_point() else None
        tensors[name] = tensor.detach().to(device="cpu", dtype=wanted).contiguous().clone()
    metadata = {METADATA_KEY: json.dumps({"kind": kind, "config": config_to_json(config)}, sort_keys=True)}
    partial = path.with_name(f"{path.name}.partial")
    try:
        save_file(tensors, partial, metadata=metadata)
        # safetensors writes a file that only its owner may read; shipped weights are for everybody.
        partial.chmod(0o644)
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        if partial.is_file():
            partial.unlink()
        raise OutputError(
            f"weights file: expected to write {path}, got '{error}'. Check that the folder exists and has room."
        ) from error


def load_part(
    path: Path | str,
    kind: str | tuple[str, ...],
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = torch.float32,
) -> Any:
    """Read a part back.

    Args:
        kind: the kind (or kinds) that will do.   dtype: of floating-point tensors; None keeps the stored one.
    Returns: the module, in inference mode.
    Raises: CheckpointError: missing, damaged, no part of this project, or of another kind; ConfigError: a configuration
        that this version does not know.
    """
    header = read_header(path)
    found, config = read_part_config(header)
    kinds = (kind,) if isinstance(kind, str) else kind
    if found not in kinds:
        raise CheckpointError(
            f"kind of part: expected {' or '.join(kinds)}, got '{found}' in {path}. Name the file of that part."
        )
    return build_part(header, found, config, device=device, dtype=dtype)


def read_part_config(header: Header) -> tuple[str, Any]:
    """Kind and configuration that a file of this project carries.

    Raises: CheckpointError: it carries none, or one that can not be read.
    """
    text = header.metadata.get(METADATA_KEY)
    if text is None:
        raise CheckpointError(
            f"weights file: expected the metadata '{METADATA_KEY}' of this project's own files, got none in "
            f"{header.name}. Use a file that this project wrote."
        )
    try:
        entry = json.loads(text)
        kind, data = str(entry["kind"]), entry["config"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"metadata '{METADATA_KEY}': expected JSON with kind and config, got something else in {header.name}. "
            "Install the file again."
        ) from error
    config_class, _ = part_classes(kind, header.name)
    return kind, config_from_json(config_class, data, header.name)


def build_part(
    header: Header, kind: str, config: Any, *, device: torch.device | str, dtype: torch.dtype | None
) -> nn.Module:
    """Make the module of a kind from its configuration and the tensors of its file."""
    _, model_class = part_classes(kind, header.name)
    return build_and_load(lambda: model_class(config), header, device=device, dtype=dtype)
