"""Every error that wan_core raises on purpose.

The text of an error reads `<what>: expected X, got Y[ in <file or key>]. <what to do>`.
"""

from __future__ import annotations

from typing import Any


class WanCoreError(Exception):
    """Base of all errors of this package; catch it to report one line to the user."""


class ConfigError(WanCoreError, ValueError):
    """A configuration holds a value that no model can be built from."""


class ShapeError(WanCoreError, ValueError):
    """A tensor has another shape, length or channel count than the model expects."""


class InputError(WanCoreError, ValueError):
    """Something that the user gave (photo, sound, prompt, size, duration) can not be used."""


class FaceError(InputError):
    """No face of a picture can be used, or not without a choice.

    Attributes:
        picture: (H, W, 3) uint8 RGB array that shows what was seen.
    """

    def __init__(self, message: str, picture: Any) -> None:
        super().__init__(message)
        self.picture = picture


class OutputError(WanCoreError):
    """A result can not be written where it was asked for."""


class CheckpointError(WanCoreError):
    """A weights file is missing, damaged or can not be read."""


class UnknownCheckpointError(CheckpointError):
    """No known model matches the tensors of a file."""


class AmbiguousCheckpointError(CheckpointError):
    """Several known models match the tensors of a file."""


class CheckpointMismatchError(CheckpointError):
    """A file was recognised, but tensors are missing, left over or of another shape."""


class MissingDependencyError(WanCoreError):
    """An optional package is not installed; the text names the command that installs it."""
