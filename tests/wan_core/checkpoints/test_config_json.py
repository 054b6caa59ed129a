from __future__ import annotations

import json

import pytest
from tiny_dit import tiny_config, tiny_joint_config

from wan_core.checkpoints.config_json import config_from_json, config_to_json
from wan_core.dit.config import JointConfig, WanConfig
from wan_core.errors import ConfigError


def test_nested_configurations_come_back_equal() -> None:
    for config in (
        tiny_config(image_dim=20, prediction="sample"),
        tiny_joint_config(None),
        tiny_joint_config(1.5),
    ):
        data = json.loads(json.dumps(config_to_json(config)))
        assert config_from_json(type(config), data, "here") == config


def test_absent_fields_take_their_default() -> None:
    data = config_to_json(tiny_config())
    del data["eps"]
    assert config_from_json(WanConfig, data, "here") == tiny_config()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, r"got unknown \['colour'\], missing \[\] in here"),
        ({"dim": None}, "WanConfig: expected valid values, got .* in here"),
        ({"dim": -2}, "dim: expected a positive number, got -2"),
    ],
)
def test_other_fields_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_from_json(WanConfig, {**config_to_json(tiny_config()), **change}, "here")


def test_missing_fields_and_other_types_are_refused() -> None:
    data = config_to_json(tiny_joint_config())
    del data["video"]
    with pytest.raises(ConfigError, match=r"missing \['video'\]"):
        config_from_json(JointConfig, data, "here")
    with pytest.raises(ConfigError, match="WanConfig: expected a JSON object, got int in here"):
        config_from_json(JointConfig, {**data, "video": 3}, "here")
