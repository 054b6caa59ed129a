"""All parts are there, of the right kind, and fit each other."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from wan_core.checkpoints.nano import save_part
from wan_core.errors import CheckpointError, CheckpointMismatchError
from wan_core.ops.key_value import KeyValueAdapter
from wan_core.pipelines import NanoBundle, load_bundle
from wan_core.pipelines.bundle import PART_KINDS, default_folder
from wan_core.text.encoder import NanoTextConfig, NanoTextEncoder


def save(bundle: NanoBundle, folder: Path) -> None:
    for name, kind in PART_KINDS.items():
        module = getattr(bundle, name)
        save_part(folder / f"{name}.safetensors", kind, module.config, module)


def test_every_field_has_a_file() -> None:
    assert [item.name for item in fields(NanoBundle)] == list(PART_KINDS)


def test_round_trip(bundle: NanoBundle, tmp_path: Path) -> None:
    save(bundle, tmp_path)
    loaded = load_bundle(tmp_path)
    assert loaded.device == torch.device("cpu")
    for name in PART_KINDS:
        before, after = getattr(bundle, name).state_dict(), getattr(loaded, name).state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before), name
        assert not getattr(loaded, name).training


def test_missing_files_are_named(bundle: NanoBundle, tmp_path: Path) -> None:
    save(bundle, tmp_path)
    (tmp_path / "voice.safetensors").unlink()
    (tmp_path / "dit.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match=r"expected 8 files, got no dit\.safetensors, voice\.safetensors in .*Install"
    ):
        load_bundle(tmp_path)


def test_damaged_file(bundle: NanoBundle, tmp_path: Path) -> None:
    save(bundle, tmp_path)
    path = tmp_path / "dit.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=r"dit\.safetensors"):
        load_bundle(tmp_path)


def test_parts_of_another_training_are_refused(bundle: NanoBundle) -> None:
    with pytest.raises(CheckpointMismatchError, match=r"text width: expected 8 .* got 16"):
        replace(bundle, text=NanoTextEncoder(NanoTextConfig(dim=16)))
    with pytest.raises(
        CheckpointMismatchError,
        match=r"identity adapter \(width, blocks\): expected \(16, 2\) .* got \(16, 3\)",
    ):
        replace(bundle, identity_adapter=KeyValueAdapter(8, 16, 3))
    with pytest.raises(CheckpointMismatchError, match=r"voice tokens: expected 9 .* got 8"):
        replace(bundle, voice_adapter=KeyValueAdapter(9, 16, 2))


def test_shipped_weights_lie_in_the_package() -> None:
    assert default_folder().parts[-3:] == ("wan_core", "assets", "nano")
