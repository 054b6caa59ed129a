"""Made-up input files for the ComfyUI tests: a picture, and a sound with the pitch and pauses of speech."""

from __future__ import annotations

import math
import wave
from pathlib import Path

import numpy as np
from PIL import Image

RATE = 16000


def write_picture(path: Path, seed: int = 0) -> Path:
    """Smooth coloured noise, 96 x 96: nothing in it is a face."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(small).resize((96, 96), Image.Resampling.BICUBIC).save(path)
    return path


def write_voice(path: Path, pitch: float = 140.0, seconds: float = 2.0, gain: float = 0.3) -> Path:
    """A buzz with syllables: harmonics of a gliding pitch, four bursts a second."""
    time = np.arange(round(RATE * seconds)) / RATE
    phase = 2 * math.pi * np.cumsum(pitch * (1 + 0.1 * np.sin(2 * math.pi * 1.5 * time))) / RATE
    buzz = sum(np.sin(k * phase) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * math.pi * 4 * time) + 0.6, 0, 1)
    samples = np.clip(gain * buzz * syllables, -1, 1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path
