"""Frozen configuration classes to JSON and back."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from ..errors import ConfigError

T = TypeVar("T")


def config_to_json(config: Any) -> dict[str, Any]:
    """Turn a dataclass (with dataclasses inside) into plain dictionaries, lists, numbers and text."""
    return dataclasses.asdict(config)


def config_from_json(cls: type[T], data: Any, where: str) -> T:
    """Build a configuration from what `config_to_json` gave.

    Args: where: file, named in errors.
    Raises: ConfigError: a field is missing or unknown, or the class refuses a value.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(
            f"{cls.__name__}: expected a JSON object, got {type(data).__name__} in {where}. Install the file again."
        )
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(data) - set(fields))
    missing = sorted(
        name
        for name, field in fields.items()
        if name not in data
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    )
    if unknown or missing:
        raise ConfigError(
            f"{cls.__name__}: expected fields {sorted(fields)}, got unknown {unknown}, missing {missing} in {where}. "
            "The file belongs to another version of this project: update one of them."
        )
    try:
        return cls(**{name: _value(hints[name], value, where) for name, value in data.items()})
    except (TypeError, AttributeError) as error:
        raise ConfigError(
            f"{cls.__name__}: expected valid values, got '{error}' in {where}. Rewrite the file."
        ) from error


def _value(hint: Any, value: Any, where: str) -> Any:
    """Turn lists into tuples and objects into dataclasses as the field's type asks."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        choices = [choice for choice in typing.get_args(hint) if choice is not type(None)]
        return value if value is None or len(choices) != 1 else _value(choices[0], value, where)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return config_from_json(hint, value, where)
    if origin is tuple and isinstance(value, list):
        inner = typing.get_args(hint)
        hints = [inner[0]] * len(value) if len(inner) == 2 and inner[1] is Ellipsis else list(inner)
        return tuple(_value(h, v, where) for h, v in zip(hints, value, strict=False))
    return value
