"""Lynx adapters: the official folder of two or three files, or files in the merged layout of other tools."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

import torch

from ..errors import CheckpointError, CheckpointMismatchError, UnknownCheckpointError
from ..identity.config import ResamplerConfig
from ..identity.lynx import LynxAdapter, LynxConfig
from ..protocols import TORCH_OPERATIONS, Operations
from .assign import build_and_load
from .header import Header
from .key_maps import PREFIXES
from .source import open_header

#: Names in the official folder; lite has no reference layers.
RESAMPLER_FILE, IDENTITY_FILE, REFERENCE_FILE = (
    "resampler.safetensors",
    "ip_layers.safetensors",
    "ref_layers.safetensors",
)
#: Width of a head of the resampler; the number of heads is not in the file.
RESAMPLER_HEAD = 64

_WRAPPED = "(?:" + "|".join(re.escape(prefix) for prefix in PREFIXES if prefix) + ")?"
#: Key of a file -> (kind of layer, number or none, rest). Official files count layers, merged ones name the block.
_OFFICIAL = re.compile(r"(\d+)\.(?:(to_[kv]_ip\..+|registers)|(to_[kv]_ref\..+))")
_MERGED = re.compile(
    _WRAPPED + r"blocks\.(\d+)\.(?:cross_attn\.ip_adapter\.(.+)|self_attn\.ref_adapter\.(.+))"
)
_RESAMPLER = re.compile(r"(?:resampler\.)?((?:latents|proj_in|proj_out|norm_out|layers)(?:\..+)?)")


def load_lynx(
    path: Path | str | Sequence[Path | str],
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = torch.float32,
    operations: Operations = TORCH_OPERATIONS,
) -> LynxAdapter:
    """Load Lynx for Wan2.1-T2V-14B; full or lite is read from the header.

    Args:
        path: the official folder (`lynx_full` or `lynx_lite`); one file that holds everything; or several files that do
            so together, e.g. a merged one with `blocks.N.cross_attn.ip_adapter.*` and the resampler's.
        dtype: of the weights; None keeps the stored one.   operations: namespace that layers are made from.
    Returns:
        The adapter in inference mode.
    Raises:
        CheckpointError: missing or damaged files, or two that hold the same tensor.
        UnknownCheckpointError: no Lynx in them.
        CheckpointMismatchError: tensors missing (the resampler, or full's reference layers), left over or of another
            shape.
    Source: bytedance/lynx@3a6a91a modules/full/lynx_pipeline.py, modules/lite/lynx_lite_pipeline.py (file names, sizes
        that are read from the file); the merged layout as kijai/ComfyUI-WanVideoWrapper names it.
    """
    header = open_lynx(path)
    config, names = read_lynx(header)
    model = build_and_load(
        lambda: LynxAdapter(config, operations=operations), header, names=names, device=device, dtype=dtype
    )
    return cast("LynxAdapter", model)


def open_lynx(path: Path | str | Sequence[Path | str]) -> Header:
    """Header of all files of an adapter, for `read_lynx`, without their numbers; `path` and errors as `load_lynx`."""
    return _join([open_header(file) for file in _files(path)])


def read_lynx(header: Header) -> tuple[LynxConfig, dict[str, str]]:
    """Sizes of the Lynx that a header describes, and stored key -> parameter name; errors as `load_lynx`."""
    layers: dict[tuple[str, int], str] = {}
    names: dict[str, str] = {}
    is_merged = any(_MERGED.fullmatch(key) for key in header.tensors)
    for key in header.tensors:
        found = (_MERGED if is_merged else _OFFICIAL).fullmatch(key)
        if found:
            kind = "ip_layers" if found[2] else "ref_layers"
            layers[(key, int(found[1]))] = kind
            names[key] = f"{kind}.{found[1]}.{found[2] or found[3]}"
        elif resampler := _RESAMPLER.fullmatch(key):
            names[key] = f"resampler.{resampler[1]}"
    numbers = {
        kind: sorted({number for (_, number), own in layers.items() if own == kind})
        for kind in ("ip_layers", "ref_layers")
    }
    shapes = {name: header.shape(key) for key, name in names.items()}
    if not numbers["ip_layers"]:
        raise UnknownCheckpointError(
            f"Lynx: expected identity layers (0.to_k_ip.weight or blocks.0.cross_attn.ip_adapter.to_k_ip.weight), "
            f"got none in {header.name}. Name the folder lynx_full or lynx_lite, or its files."
        )
    config = _read_config(shapes, numbers["ip_layers"], numbers["ref_layers"], is_merged, header.name)
    if is_merged:
        ranks = {number: rank for rank, number in enumerate(numbers["ip_layers"])}
        names = {key: _ranked(name, ranks) for key, name in names.items()}
    return config, names


def _ranked(name: str, ranks: Mapping[int, int]) -> str:
    """Count the layers of lite in place of their blocks."""
    kind, number, *rest = name.split(".")
    return ".".join((kind, str(ranks[int(number)]), *rest)) if kind == "ip_layers" else name


def _read_config(
    shapes: Mapping[str, tuple[int, ...]],
    identity: Sequence[int],
    reference: Sequence[int],
    is_merged: bool,
    where: str,
) -> LynxConfig:
    first = f"ip_layers.{identity[0]}"
    dim, _ = _shape(shapes, f"{first}.to_k_ip.weight", 2, where)
    is_full = f"{first}.to_k_ip.bias" in shapes
    step = 1 if is_full else 2
    count = len(identity) * step
    expected = list(range(0, count, step)) if is_merged else list(range(len(identity)))
    if list(identity) != expected or (is_full and list(reference) != list(range(count))):
        lost = "reference layers" if is_full and not reference else "layers"
        raise CheckpointMismatchError(
            f"Lynx {'full' if is_full else 'lite'}: expected all of its layers, got identity layers {_span(identity)} "
            f"and reference layers {_span(reference)} in {where}. Add the file with the {lost} that are missing."
        )
    registers = f"{first}.registers"
    return LynxConfig(
        variant="full" if is_full else "lite",
        resampler=_read_resampler(shapes, where),
        dim=dim,
        num_blocks=count,
        blocks=tuple(range(0, count, step)),
        registers=_shape(shapes, registers, 3, where)[1] if registers in shapes else 0,
        has_reference=bool(reference),
    )


def _read_resampler(shapes: Mapping[str, tuple[int, ...]], where: str) -> ResamplerConfig:
    _, queries, dim = _shape(shapes, "resampler.latents", 3, where)
    depth = len({name.split(".")[2] for name in shapes if name.startswith("resampler.layers.")})
    return ResamplerConfig(
        dim=dim,
        depth=depth,
        heads=max(1, dim // RESAMPLER_HEAD),
        queries=queries,
        in_dim=_shape(shapes, "resampler.proj_in.weight", 2, where)[1],
        out_dim=_shape(shapes, "resampler.proj_out.weight", 2, where)[0],
        ff_mult=_shape(shapes, "resampler.layers.0.1.1.weight", 2, where)[0] // dim,
    )


def _shape(shapes: Mapping[str, tuple[int, ...]], name: str, axes: int, where: str) -> tuple[int, ...]:
    shape = shapes.get(name)
    if shape is None or len(shape) != axes:
        got = "none" if shape is None else str(shape)
        raise CheckpointMismatchError(
            f"Lynx: expected the tensor {name} of {axes} axes, got {got} in {where}. Name all files of the adapter: "
            f"{RESAMPLER_FILE}, {IDENTITY_FILE} and, for the full version, {REFERENCE_FILE}."
        )
    return shape


def _span(numbers: Sequence[int]) -> str:
    return f"{numbers[0]} to {numbers[-1]} ({len(numbers)})" if numbers else "none"


def _files(path: Path | str | Sequence[Path | str]) -> list[Path]:
    given = [Path(path)] if isinstance(path, (str, Path)) else [Path(part) for part in path]
    if len(given) != 1 or not given[0].is_dir():
        return given
    folder = given[0]
    found = [folder / name for name in (RESAMPLER_FILE, IDENTITY_FILE, REFERENCE_FILE)]
    missing = [file.name for file in found[:2] if not file.is_file()]
    if missing:
        raise CheckpointError(
            f"Lynx folder: expected {RESAMPLER_FILE} and {IDENTITY_FILE}, got no {' and no '.join(missing)} in "
            f"{folder}. Download the whole folder lynx_full or lynx_lite."
        )
    return [file for file in found if file.is_file()]


def _join(headers: Iterable[Header]) -> Header:
    """One header of several files that belong together."""
    parts = list(headers)
    keys = [key for part in parts for key in part.files]
    twice = (
        next((key for number, key in enumerate(keys) if key in keys[:number]), None)
        if len(parts) > 1
        else None
    )
    if twice is not None:
        raise CheckpointError(
            f"Lynx: expected every tensor in one file only, got {twice} in two of "
            f"{', '.join(part.name for part in parts)}. Name the files of one adapter."
        )
    return Header(
        tensors={key: info for part in parts for key, info in part.tensors.items()},
        files={key: file for part in parts for key, file in part.files.items()},
        metadata={key: text for part in parts for key, text in part.metadata.items()},
        name=", ".join(part.name for part in parts),
        packing={key: own for part in parts for key, own in part.packing.items()},
        places={key: own for part in parts for key, own in part.places.items()},
    )
