"""An encoded face as a file: written, read back, and refused where it does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from wan_core.errors import InputError
from wan_core.pipelines import Character, GenerateRequest, NanoBundle, NanoDefaults, generate
from wan_core.pipelines.identity_file import (
    EncodedIdentity,
    check_identity,
    encoder_fingerprint,
    identity_to_bytes,
    read_identity,
)
from wan_core.pipelines.references import encode_identity


def encoded(bundle: NanoBundle, photo: torch.Tensor) -> EncodedIdentity:
    tokens, _ = encode_identity(bundle.identity, [photo], "whole")
    return EncodedIdentity(
        kind="nano", encoder=encoder_fingerprint(bundle.identity), source="me.jpg", photos=1, features=tokens
    )


def test_file_gives_the_same_clip_as_the_photo(
    bundle: NanoBundle, photo: torch.Tensor, quick: NanoDefaults, tmp_path: Path
) -> None:
    path = tmp_path / "me.identity.safetensors"
    path.write_bytes(identity_to_bytes(encoded(bundle, photo)))
    found = read_identity(path)
    assert (found.kind, found.source, found.photos, found.picture) == ("nano", "me.jpg", 1, None)
    people = (
        Character(name="character1", photos=(photo,), face="whole"),
        Character(name="character1", identity=found),
    )
    clips = [
        generate(
            GenerateRequest(prompt="character1 waves", characters=(own,), seed=3), bundle, defaults=quick
        ).video
        for own in people
    ]
    assert torch.equal(clips[0], clips[1])


def test_lynx_keeps_the_picture(tmp_path: Path) -> None:
    picture = torch.arange(256 * 256 * 3).remainder(251).to(torch.uint8).view(256, 256, 3)
    own = EncodedIdentity(
        kind="lynx", encoder="0" * 16, source="a", photos=2, features=torch.ones(1, 1, 512), picture=picture
    )
    path = tmp_path / "me.identity.safetensors"
    path.write_bytes(identity_to_bytes(own))
    found = read_identity(path)
    assert found.picture is not None and torch.equal(found.picture, picture)
    assert torch.equal(found.features, own.features)


def test_another_model_other_weights_and_other_files_are_refused(
    bundle: NanoBundle, photo: torch.Tensor, tmp_path: Path
) -> None:
    own = encoded(bundle, photo)
    check_identity(own, "nano", bundle.identity, "character1")
    with pytest.raises(InputError, match="character1: expected a face encoded for lynx, got one for nano"):
        check_identity(own, "lynx", bundle.identity, "character1")
    with pytest.raises(InputError, match="expected a face encoded by the weights"):
        check_identity(own, "nano", bundle.voice, "character1")
    save_file({"tokens": torch.zeros(1, 2, 3)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="expected a file that `wan-r2v encode-identity` wrote"):
        read_identity(tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="expected photos or an encoded face, got both"):
        Character(name="character1", photos=(photo,), identity=own)
