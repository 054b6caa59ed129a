"""An encoded face as a file, so that photos are looked at once and used for many clips."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save
from torch import Tensor, nn

from ..checkpoints.header import read_header
from ..checkpoints.tensors import read_tensors
from ..errors import InputError

METADATA_KEY = "wan_r2v_identity"
SUFFIX = ".identity.safetensors"
#: Names of the tensors: nano's tokens; the embedding of Lynx's recogniser, and the aligned picture of the face.
TOKENS, EMBEDDING, PICTURE = "tokens", "embedding", "picture"
_NAMES = {"nano": (TOKENS,), "lynx": (EMBEDDING, PICTURE)}

IdentityKind = Literal["nano", "lynx"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedIdentity:
    """A person, encoded.

    Attributes:
        kind: which models understand it.   encoder: fingerprint of the encoder that made it.
        source: names of the photos or the video.   photos: how many pictures are in it.
        features: nano's identity tokens (1, N, D), or the embedding (1, 1, 512) of Lynx's recogniser.
        picture: for Lynx, the aligned face (256, 256, 3) uint8 RGB; None for nano.
    """

    kind: IdentityKind
    encoder: str
    source: str
    photos: int
    features: Tensor
    picture: Tensor | None = None


def encoder_fingerprint(encoder: nn.Module) -> str:
    """Sixteen hexadecimal digits that change with the weights of an encoder."""
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def identity_to_bytes(identity: EncodedIdentity) -> bytes:
    """Content of a .safetensors file."""
    names = _NAMES[identity.kind]
    tensors = {names[0]: identity.features.detach().float().cpu().contiguous()}
    if identity.picture is not None:
        tensors[PICTURE] = identity.picture.contiguous()
    entry = {
        "kind": identity.kind,
        "encoder": identity.encoder,
        "source": identity.source,
        "photos": identity.photos,
    }
    return save(tensors, metadata={METADATA_KEY: json.dumps(entry)})


def read_identity(path: Path) -> EncodedIdentity:
    """Read such a file back.

    Raises: InputError: it holds something else.   CheckpointError: missing or damaged.
    """
    header = read_header(path)
    try:
        entry = json.loads(header.metadata.get(METADATA_KEY) or "null")
        kind: IdentityKind = "lynx" if entry["kind"] == "lynx" else "nano"
        names = _NAMES[str(entry["kind"])]
        tensors = read_tensors(header, list(names))
        identity = EncodedIdentity(
            kind=kind,
            encoder=str(entry["encoder"]),
            source=str(entry["source"]),
            photos=int(entry["photos"]),
            features=tensors[names[0]].float(),
            picture=tensors.get(PICTURE),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"reference: expected a file that `wan-r2v encode-identity` wrote, got something else in {path}. Name the "
            f"{SUFFIX} file, or the photo itself."
        ) from error
    features = identity.features
    if features.ndim != 3 or features.shape[0] != 1 or not bool(features.isfinite().all()):
        raise InputError(
            f"reference: expected finite features (1, N, D), got {tuple(features.shape)} in {path}. Encode the photo "
            "again."
        )
    return identity


def check_identity(identity: EncodedIdentity, kind: IdentityKind, encoder: nn.Module, name: str) -> None:
    """Check that a person was encoded for the model in use.

    Args:
        identity: of `read_identity`.   kind, encoder: what the model reads.   name: of the character, for errors.
    Raises:
        InputError: it was made for another model, or by other weights.
    """
    if identity.kind != kind:
        raise InputError(
            f"{name}: expected a face encoded for {kind}, got one for {identity.kind}. Encode the photo for this "
            "model, or give the photo itself."
        )
    wanted = encoder_fingerprint(encoder)
    if identity.encoder != wanted:
        raise InputError(
            f"{name}: expected a face encoded by the weights {wanted}, got {identity.encoder}. Encode the photo again "
            "with the weights in use."
        )
