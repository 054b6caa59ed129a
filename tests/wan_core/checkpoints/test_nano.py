from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_dit import randomise, tiny_joint_config
from torch import nn

from wan_core.checkpoints.header import read_header
from wan_core.checkpoints.nano import load_part, save_part
from wan_core.dit.joint import JointModel
from wan_core.errors import CheckpointError, CheckpointMismatchError, ConfigError, OutputError
from wan_core.ops.key_value import KeyValueAdapter


@pytest.fixture
def adapter() -> KeyValueAdapter:
    made = KeyValueAdapter(6, 16, 2, num_registers=1)
    randomise(made)
    return made


@pytest.fixture
def path(tmp_path: Path, adapter: KeyValueAdapter) -> Path:
    save_part(tmp_path / "a.safetensors", "identity_adapter", adapter.config, adapter)
    return tmp_path / "a.safetensors"


def test_a_part_comes_back_equal(path: Path, adapter: KeyValueAdapter) -> None:
    found = load_part(path, "identity_adapter")
    assert isinstance(found, KeyValueAdapter) and found.config == adapter.config and not found.training
    state = found.state_dict()
    assert all(torch.equal(state[k], v) for k, v in adapter.state_dict().items())
    assert load_part(path, ("dit", "identity_adapter")).config == adapter.config
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_half_precision_on_disk_is_full_precision_in_memory(path: Path, adapter: KeyValueAdapter) -> None:
    save_part(path, "identity_adapter", adapter.config, adapter, dtype=torch.float16)
    assert {info.dtype for info in read_header(path).tensors.values()} == {"F16"}
    weight = load_part(path, "identity_adapter").layers[0].to_k_ip.weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight, adapter.layers[0].to_k_ip.weight.half().float())
    assert load_part(path, "identity_adapter", dtype=None).layers[0].to_k_ip.weight.dtype == torch.float16


def test_both_towers_come_back_equal(tmp_path: Path) -> None:
    model = JointModel(tiny_joint_config())
    randomise(model)
    save_part(tmp_path / "dit.safetensors", "dit", model.config, model)
    found = load_part(tmp_path / "dit.safetensors", "dit")
    assert found.config == model.config
    assert all(torch.equal(found.state_dict()[k], v) for k, v in model.state_dict().items())


def test_wrong_kinds_are_named(path: Path, adapter: KeyValueAdapter) -> None:
    with pytest.raises(
        CheckpointError, match="expected dit or text, got 'identity_adapter' in .*a.safetensors"
    ):
        load_part(path, ("dit", "text"))
    with pytest.raises(
        CheckpointError, match="configuration of 'dit': expected JointConfig, got KeyValueConfig"
    ):
        save_part(path, "dit", adapter.config, adapter)
    with pytest.raises(CheckpointError, match="kind of part: expected one of dit, .*, got 'nose' in"):
        save_part(path, "nose", adapter.config, adapter)


def rewrite(path: Path, **metadata: str) -> None:
    save_file(load_file(path), path, metadata=metadata)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (None, CheckpointError, "expected the metadata 'wan_r2v' of this project's own files, got none in"),
        ("{", CheckpointError, "expected JSON with kind and config"),
        ("[]", CheckpointError, "expected JSON with kind and config"),
        ('{"kind": "nose", "config": {}}', CheckpointError, "expected one of .*, got 'nose'"),
        (
            '{"kind": "identity_adapter", "config": {"dim": 3}}',
            ConfigError,
            r"missing \['num_layers', 'token_dim'\]",
        ),
    ],
)
def test_bad_metadata(path: Path, text: str | None, error: type[Exception], message: str) -> None:
    rewrite(path, **({"other": "x"} if text is None else {"wan_r2v": text}))
    with pytest.raises(error, match=message):
        load_part(path, "identity_adapter")


def test_missing_and_damaged_files(path: Path) -> None:
    with pytest.raises(CheckpointError, match="got nothing at .* reinstall it if they are missing"):
        load_part(path.with_name("b.safetensors"), "identity_adapter")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="The file is damaged or incomplete"):
        load_part(path, "identity_adapter")


def test_tensors_of_another_model(path: Path, adapter: KeyValueAdapter) -> None:
    tensors = load_file(path)
    tensors["layers.0.to_k_ip.bias"] = torch.zeros(3)
    tensors["extra"] = tensors.pop("layers.1.registers")
    metadata = dict(read_header(path).metadata)
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(CheckpointMismatchError) as caught:
        load_part(path, "identity_adapter")
    text = str(caught.value)
    assert "1 missing (layers.1.registers), 1 unexpected (extra), 1 of another shape" in text
    assert "layers.0.to_k_ip.bias (3,) instead of (16,)" in text and str(path) in text


def test_a_failed_write_keeps_what_was_there(path: Path, adapter: KeyValueAdapter) -> None:
    before = path.read_bytes()
    blocker = path.with_name(f"{path.name}.partial")
    blocker.mkdir()
    with pytest.raises(OutputError, match="expected to write .*a.safetensors, got"):
        save_part(path, "identity_adapter", adapter.config, adapter)
    assert path.read_bytes() == before
    taken = path.parent / "taken"
    taken.mkdir()
    with pytest.raises(OutputError, match="expected to write .*taken, got"):
        save_part(taken, "identity_adapter", adapter.config, adapter)
    assert taken.is_dir() and not (path.parent / "taken.partial").exists()
    with pytest.raises(OutputError, match="Check that the folder exists and has room"):
        save_part(path.parent / "none" / "a.safetensors", "identity_adapter", adapter.config, adapter)


def test_training_goes_on_with_a_loaded_part(path: Path) -> None:
    found = load_part(path, "identity_adapter")
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in found.parameters())
