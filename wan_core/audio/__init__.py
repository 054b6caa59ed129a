"""Nano's audio codec and its vocoder."""

from .codec import AudioCodec
from .config import AudioCodecConfig
from .vocoder import synthesise

__all__ = ["AudioCodec", "AudioCodecConfig", "synthesise"]
