"""All parts of nano, loaded together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch

from ..audio.codec import AudioCodec
from ..checkpoints.nano import load_part
from ..dit.joint import JointModel
from ..errors import CheckpointError, CheckpointMismatchError
from ..identity.model import IdentityEncoder
from ..ops.key_value import KeyValueAdapter
from ..text.encoder import NanoTextEncoder
from ..vae.patch_vae import PatchVAE
from ..voice.encoder import VoiceEncoder

PART_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "dit": "dit",
        "text": "text",
        "vae": "patch_vae",
        "audio": "audio",
        "identity": "identity",
        "identity_adapter": "identity_adapter",
        "voice": "voice",
        "voice_adapter": "voice_adapter",
    }
)
"""Field of the bundle, which is also the name of its file, to the kind of part that the file holds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NanoBundle:
    """The parts of nano, all on one device.

    Raises:
        CheckpointMismatchError: parts of different trainings whose sizes do not fit.
    """

    dit: JointModel
    text: NanoTextEncoder
    vae: PatchVAE
    audio: AudioCodec
    identity: IdentityEncoder
    identity_adapter: KeyValueAdapter
    voice: VoiceEncoder
    voice_adapter: KeyValueAdapter

    def __post_init__(self) -> None:
        video, audio = self.dit.config.video, self.dit.config.audio
        face, voice = self.identity_adapter.config, self.voice_adapter.config
        pairs = {
            "text width": (video.text_dim, self.text.config.dim),
            "video latent channels": (video.in_channels, self.vae.config.latent_channels),
            "audio latent channels": (audio.in_channels, self.audio.config.latent_dim),
            "identity adapter (width, blocks)": ((video.dim, video.num_layers), (face.dim, face.num_layers)),
            "voice adapter (width, blocks)": ((audio.dim, audio.num_layers), (voice.dim, voice.num_layers)),
            "identity tokens": (face.token_dim, self.identity.config.resampler.out_dim),
            "voice tokens": (voice.token_dim, self.voice.config.token_dim),
        }
        for what, (wanted, got) in pairs.items():
            if wanted != got:
                raise CheckpointMismatchError(
                    f"{what}: expected {wanted} (as the transformer), got {got}. "
                    "The parts belong to different trainings: install them all again."
                )

    @property
    def device(self) -> torch.device:
        """Where the parts are."""
        return next(self.dit.parameters()).device


def default_folder() -> Path:
    """Folder of the weights that are shipped inside the package."""
    return Path(__file__).parent.parent / "assets" / "nano"


def load_bundle(folder: Path | str | None = None, *, device: torch.device | str = "cpu") -> NanoBundle:
    """Load all parts of nano.

    Args:
        folder: holds one `<part>.safetensors` for each key of `PART_KINDS`; None for the shipped weights.
        device: where the parts go, in float32.
    Returns:
        The bundle, in inference mode.
    Raises:
        CheckpointError: files missing, damaged, of another kind, or not fitting each other.
    """
    folder = default_folder() if folder is None else Path(folder)
    missing = [f"{name}.safetensors" for name in PART_KINDS if not (folder / f"{name}.safetensors").is_file()]
    if missing:
        raise CheckpointError(
            f"nano's weights: expected {len(PART_KINDS)} files, got no {', '.join(missing)} in {folder}. "
            "Install the package again, or make them with the commands of training/README.md."
        )
    parts = {
        name: load_part(folder / f"{name}.safetensors", kind, device=device)
        for name, kind in PART_KINDS.items()
    }
    return NanoBundle(**parts)
