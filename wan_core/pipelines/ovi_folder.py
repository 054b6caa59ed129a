"""Which joint models a folder holds, and what is missing to run each: headers alone are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..checkpoints.families import detect
from ..checkpoints.mmaudio import VAE_SIGNATURE, VOCODER_SIGNATURE
from ..checkpoints.source import open_source
from ..checkpoints.text_umt5 import detect_text
from ..checkpoints.vae_families import detect_vae
from ..dit.config import JointConfig
from ..errors import CheckpointError
from .ovi_family import AUDIO_CHANNELS, LATENT_CHANNELS, choose_ovi
from .ovi_files import FoundOvi, OviFiles, find_ovi
from .wan_folder import is_text_encoder, is_video_codec, weight_files

_VAE, _TEXT = f"the VAE with {LATENT_CHANNELS} channels", "umT5-xxl"
_AUDIO_VAE, _VOCODER = "MMAudio's VAE (v1-16.pth)", "MMAudio's vocoder (best_netG.pt)"


@dataclass(frozen=True, slots=True)
class FolderOvi:
    """A joint model of a folder.

    Attributes: name: of the family.   path: of its transformer.
        model: its parts, where none is missing.   missing: the parts that are.
    """

    name: str
    path: Path
    model: FoundOvi | None
    missing: tuple[str, ...] = ()


def survey_ovi(folder: Path) -> list[FolderOvi]:
    """Find every joint model in a folder and the folders in it; files of other models are passed over.

    The first part of each kind that is found serves every transformer.

    Raises: InputError: there is no such folder.
        CheckpointError: parts that do not belong together.
    """
    transformers: list[Path] = []
    parts: dict[str, Path] = {}
    for path in weight_files(folder):
        try:
            kind = _kind(path)
        except CheckpointError:
            continue
        if kind == "":
            transformers.append(path)
        elif kind is not None:
            parts.setdefault(kind, path)
    return [_complete(path, parts) for path in transformers]


def _kind(path: Path) -> str | None:
    """Which part of a joint model a file is: "" for the transformer, None for none."""
    header = open_source(path, "audio").header
    if is_video_codec(header):
        channels = detect_vae(open_source(path, "vae")).config.latent_channels
        return _VAE if channels == LATENT_CHANNELS else None
    if is_text_encoder(header):
        detect_text(open_source(path, "text_encoder"))
        return _TEXT
    for part, signature in ((_AUDIO_VAE, VAE_SIGNATURE), (_VOCODER, VOCODER_SIGNATURE)):
        if any(key.endswith(signature) for key in header.tensors):
            return part
    config = detect(open_source(path)).config
    channels = (
        (config.video.in_channels, config.audio.in_channels) if isinstance(config, JointConfig) else None
    )
    return "" if channels == (LATENT_CHANNELS, AUDIO_CHANNELS) else None


def _complete(path: Path, parts: dict[str, Path]) -> FolderOvi:
    family, _ = choose_ovi(None, path, has_references=False)
    missing = tuple(name for name in (_VAE, _TEXT, _AUDIO_VAE, _VOCODER) if name not in parts)
    if missing:
        return FolderOvi(family.name, path, None, missing)
    files = OviFiles(
        model=path,
        vae=parts[_VAE],
        text_encoder=parts[_TEXT],
        audio_vae=parts[_AUDIO_VAE],
        vocoder=parts[_VOCODER],
    )
    return FolderOvi(family.name, path, find_ovi(files, has_references=family.takes_references))
