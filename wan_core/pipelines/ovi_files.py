"""The files of a joint model: named one by one, or found in the folder into which the official code downloads them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..checkpoints.families import Detected, detect
from ..checkpoints.header import Header
from ..checkpoints.licences import licences_of
from ..checkpoints.lora import Lora
from ..checkpoints.source import open_source
from ..checkpoints.text_umt5 import detect_text, open_text_source
from ..dit.config import JointConfig
from ..errors import CheckpointError, CheckpointMismatchError, InputError
from .ovi_family import AUDIO_CHANNELS, LATENT_CHANNELS, OviFamily, choose_ovi
from .wan_family import TI2V
from .wan_files import check_vae

#: Folders of the official download, and what is in them.
_MODEL_FOLDERS = ("Ovi", "DreamID_Omni")
_PARTS = {
    "vae": "Wan2.2-TI2V-5B/Wan2.2_VAE.pth",
    "text_encoder": "Wan2.2-TI2V-5B/models_t5_umt5-xxl-enc-bf16.pth",
    "tokenizer": "Wan2.2-TI2V-5B/google/umt5-xxl",
    "audio_vae": "MMAudio/ext_weights/v1-16.pth",
    "vocoder": "MMAudio/ext_weights/best_netG.pt",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OviFiles:
    """Where the parts are; None where they lie in the folder of the official download.

    Attributes:
        model: the transformer (both towers), or that folder (`ckpts`), if it holds one transformer.
        vae: of Wan 2.2.   text_encoder, tokenizer: umT5; no tokenizer where the encoder has its own.
        audio_vae, vocoder: of MMAudio, for 16 kHz.
        variant: key of the family, None to go by the name of the file.   loras: added to both towers.
    """

    model: Path
    vae: Path | None = None
    text_encoder: Path | None = None
    tokenizer: Path | None = None
    audio_vae: Path | None = None
    vocoder: Path | None = None
    variant: str | None = None
    loras: tuple[Lora, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundOvi:
    """All parts, checked to belong together by their headers, and which of the models it is."""

    family: OviFamily
    path: Path
    header: Header
    detected: Detected
    config: JointConfig
    vae: Path
    text_encoder: Path
    tokenizer: Path | None
    audio_vae: Path
    vocoder: Path
    loras: tuple[Lora, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def licences(self) -> tuple[str, ...]:
        """Terms of every weight that is used."""
        return licences_of(self.family.licence, "MMAudio", "Wan 2.2 VAE", "umT5")


def is_joint(path: Path) -> bool:
    """Whether a file or folder is of a joint model, by its header; anything unreadable is none."""
    if path.is_dir():
        return any((path / name).is_dir() for name in _MODEL_FOLDERS)
    try:
        return isinstance(detect(open_source(path)).config, JointConfig)
    except CheckpointError:
        return False


def find_ovi(files: OviFiles, *, has_references: bool) -> FoundOvi:
    """Find all parts and recognise the model, from headers alone.

    Args: has_references: faces or voices are given; decides where neither variant nor file name do.
    Raises:
        InputError: a part is missing.   CheckpointError: a file is missing, damaged or unknown.
        CheckpointMismatchError: a file of another model.
    """
    files = complete_ovi(files)
    source = open_source(files.model)
    detected = detect(source)
    config = detected.config
    if not isinstance(config, JointConfig) or (config.video.in_channels, config.audio.in_channels) != (
        LATENT_CHANNELS,
        AUDIO_CHANNELS,
    ):
        raise CheckpointMismatchError(
            f"model: expected Ovi or DreamID-Omni, with {LATENT_CHANNELS} video and {AUDIO_CHANNELS} audio channels, "
            f"got {detected.family} in {files.model}. Name its file."
        )
    family, notes = choose_ovi(files.variant, files.model, has_references=has_references)
    text_encoder = _needed(files.text_encoder, "text encoder", "umT5-xxl", "--text-encoder")
    width = detect_text(open_text_source(text_encoder)).config.dim
    if width != config.video.text_dim:
        raise CheckpointMismatchError(
            f"text encoder: expected width {config.video.text_dim} as the transformer has it, got {width} in "
            f"{text_encoder}. Name the umT5-xxl file of Wan."
        )
    vae = _needed(files.vae, "VAE", "the Wan 2.2 VAE", "--vae")
    check_vae(vae, TI2V)
    return FoundOvi(
        family=family,
        path=files.model,
        header=source.header,
        detected=detected,
        config=config,
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=files.tokenizer,
        audio_vae=_needed(files.audio_vae, "audio VAE", "MMAudio's v1-16.pth", "--audio-vae"),
        vocoder=_needed(files.vocoder, "vocoder", "MMAudio's best_netG.pt", "--vocoder"),
        loras=files.loras,
        notes=notes,
    )


def complete_ovi(files: OviFiles) -> OviFiles:
    """Fill in what lies in the folder of the official download; parts that were named stay as they are.

    Raises: InputError: a folder with no transformer, or with several.
    """
    folder = files.model
    if not folder.is_dir():
        return files
    models = [path for name in _MODEL_FOLDERS for path in sorted((folder / name).glob("*.safetensors"))]
    if len(models) != 1:
        names = ", ".join(str(path.relative_to(folder)) for path in models) or "none"
        raise InputError(
            f"model: expected a folder with one transformer in {' or '.join(_MODEL_FOLDERS)}, got {names} in {folder}. "
            "Name the file with --model and the other parts one by one."
        )
    parts = {
        name: folder / place
        for name, place in _PARTS.items()
        if getattr(files, name) is None and (folder / place).exists()
    }
    return replace(files, model=models[0], **parts)


def _needed(path: Path | None, part: str, what: str, option: str) -> Path:
    if path is None:
        raise InputError(f"{part}: expected {what}, got none. Name its file with {option}.")
    return path
