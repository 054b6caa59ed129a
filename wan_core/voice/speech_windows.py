"""Speech features to what each latent frame of a clip hears, as HuMo was trained."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ShapeError

#: Frames a second of HuMo's pictures, and of the features.
FPS = 25
#: Frames of features that a latent frame hears: its own four and two on each side.
WINDOW = 8
_MARGIN = 2
#: Frames of pictures of a latent frame; the first one of a clip has a single frame.
_STRIDE = 4


def speech_windows(features: Tensor, frames: int, start: int = 0) -> Tensor:
    """Cut the window of features that each latent frame hears; beyond the recording there are zeros.

    The first latent frame stands for one picture: it hears two frames before and after it, behind three zeros.

    Args:
        features: (T, groups, width), 25 a second.   frames: of the clip, 4k + 1.
        start: frame of the recording that the clip begins with.
    Returns: (latent frames, 8, groups, width).
    Raises: ShapeError: features of another form, or another number of frames.
    Source: Phantom-video/HuMo@17094e9 humo/utils/audio_processor_whisper.py get_audio_emb_window.
    """
    if features.ndim != 3 or frames < 1 or frames % _STRIDE != 1 or start < 0:
        raise ShapeError(
            f"speech: expected features (T, groups, width) for 4k + 1 frames from 0 or later, got "
            f"{tuple(features.shape)} for {frames} from {start}. Use a whole number of latent frames."
        )
    latent_frames = 1 + (frames - 1) // _STRIDE
    first = start + 1 - _STRIDE - _MARGIN
    places = first + torch.arange(latent_frames)[:, None] * _STRIDE + torch.arange(WINDOW)
    places[0] = start + 1 - WINDOW + _MARGIN + torch.arange(WINDOW)
    places[0, : WINDOW - 2 * _MARGIN - 1] = -1
    inside = (places >= 0) & (places < features.shape[0])
    windows = features[places.clamp(0, max(0, features.shape[0] - 1)).to(features.device)]
    return windows * inside.to(features)[..., None, None]
