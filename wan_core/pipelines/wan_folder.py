"""Which Wan models a folder holds, and what is missing to run each: headers alone are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..checkpoints.clip_image import clip_names
from ..checkpoints.families import detect
from ..checkpoints.header import Header
from ..checkpoints.source import INDEX_SUFFIX, open_source
from ..checkpoints.text_umt5 import detect_text
from ..checkpoints.vae_families import detect_vae
from ..errors import CheckpointError, InputError
from .wan_family import WanFamily, find_family
from .wan_files import FoundModel, FoundTransformer

SUFFIXES = (".safetensors", ".gguf", ".pth", ".pt")
#: Words by which the two experts of a model tell themselves apart, in file or folder names.
_PAIRS = (
    ("high_noise", "low_noise"),
    ("high-noise", "low-noise"),
    ("HighNoise", "LowNoise"),
    ("HIGH", "LOW"),
)
_DIFFUSERS_PAIR = ("transformer", "transformer_2")


@dataclass(frozen=True, slots=True)
class FolderModel:
    """A model of a folder.

    Attributes: name: of the family.   path: of its transformer, of experts the high-noise one.
        model: its parts, where none is missing.   missing: the parts that are.
    """

    name: str
    path: Path
    model: FoundModel | None
    missing: tuple[str, ...] = ()


@dataclass(slots=True)
class _Parts:
    transformers: list[FoundTransformer] = field(default_factory=list[FoundTransformer])
    vaes: dict[int, Path] = field(default_factory=dict[int, Path])
    text: Path | None = None
    clip: Path | None = None


def survey(folder: Path) -> list[FolderModel]:
    """Find every Wan model in a folder and the folders in it; files of other models are passed over.

    Parts are shared: the first VAE of the right kind, umT5 and CLIP tower that are found serve every transformer.

    Raises: InputError: there is no such folder.
    """
    parts = _Parts()
    for path in weight_files(folder):
        _sort(path, parts)
    return [
        _complete(high, low, parts)
        for high, low in _pair(parts.transformers)
        if not _is_other(high, has_experts=low is not None)
    ]


def weight_files(folder: Path) -> Iterator[Path]:
    """Files and sharded indices in a folder and the folders in it; the shards themselves are left out.

    Raises: InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"--models: expected a folder, got none at {folder}. Check the path.")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    indices = [path for path in files if path.name.endswith(INDEX_SUFFIX)]
    sharded = {(path.parent, path.name.removesuffix(INDEX_SUFFIX)) for path in indices}
    yield from indices
    for path in files:
        is_shard = any(path.parent == place and path.name.startswith(f"{stem}-") for place, stem in sharded)
        if path.suffix.lower() in SUFFIXES and not is_shard:
            yield path


def _sort(path: Path, parts: _Parts) -> None:
    """Put a file where it belongs, if it is a part of a Wan model that can be read."""
    try:
        source = open_source(path)
        if is_video_codec(source.header):
            channels = detect_vae(open_source(path, "vae")).config.latent_channels
            parts.vaes.setdefault(channels, path)
        elif _is_clip(source.header):
            parts.clip = parts.clip or path
        elif is_text_encoder(source.header):
            detect_text(open_source(path, "text_encoder"))
            parts.text = parts.text or path
        else:
            found = detect(source)
            parts.transformers.append(FoundTransformer(path=path, header=source.header, detected=found))
    except CheckpointError:
        return


def is_video_codec(header: Header) -> bool:
    """Whether a header is of a Wan VAE, by its names."""
    return any(key.endswith("decoder.conv1.weight") or "decoder.mid_block" in key for key in header.tensors)


def is_text_encoder(header: Header) -> bool:
    """Whether a header is of a text encoder, by its names."""
    names = ("token_embedding.weight", "shared.weight", "token_embd.weight")
    return any(key.endswith(names) for key in header.tensors)


def _is_clip(header: Header) -> bool:
    try:
        clip_names(header)
    except CheckpointError:
        return False
    return True


def _pair(found: list[FoundTransformer]) -> list[tuple[FoundTransformer, FoundTransformer | None]]:
    """Bring the experts of a model together by the names of their files or folders."""
    by_path = {str(each.path): each for each in found}
    pairs: dict[str, str] = {}
    for path in by_path:
        for high, low in _PAIRS:
            partner = path.replace(high, low)
            if partner != path and partner in by_path:
                pairs[path] = partner
        place = Path(path)
        if place.parent.name == _DIFFUSERS_PAIR[0]:
            partner = str(place.parent.with_name(_DIFFUSERS_PAIR[1]) / place.name)
            if partner in by_path:
                pairs[path] = partner
    lows = set(pairs.values())
    return [
        (each, by_path[pairs[path]] if path in pairs else None)
        for path, each in by_path.items()
        if path not in lows
    ]


def _is_other(found: FoundTransformer, *, has_experts: bool) -> bool:
    """Whether this pipeline can not run a transformer."""
    try:
        find_family(found.detected.config, has_experts=has_experts, where=found.header.name)
    except CheckpointError:
        return True
    return False


def _complete(high: FoundTransformer, low: FoundTransformer | None, parts: _Parts) -> FolderModel:
    family = find_family(high.detected.config, has_experts=low is not None, where=high.header.name)
    vae = parts.vaes.get(family.latent_channels)
    missing = _missing(family, low, vae, parts)
    if missing or vae is None or parts.text is None:
        return FolderModel(family.name, high.path, None, missing)
    model = FoundModel(
        family=family,
        transformers=(high,) if low is None else (high, low),
        vae=vae,
        text_encoder=parts.text,
        tokenizer=None,
        clip_vision=parts.clip if family.needs_clip else None,
    )
    return FolderModel(family.name, high.path, model)


def _missing(
    family: WanFamily, low: FoundTransformer | None, vae: Path | None, parts: _Parts
) -> tuple[str, ...]:
    absent = {
        "the low-noise expert": family.has_experts and low is None,
        f"the VAE with {family.latent_channels} channels": vae is None,
        "umT5-xxl": parts.text is None,
        "the CLIP picture tower": family.needs_clip and parts.clip is None,
    }
    return tuple(name for name, is_absent in absent.items() if is_absent)
