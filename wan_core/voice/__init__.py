"""The voice encoder: a clip of speech becomes voice tokens."""

from .config import VoiceEncoderConfig
from .encoder import VoiceCode, VoiceEncoder, encode_clip

__all__ = ["VoiceCode", "VoiceEncoder", "VoiceEncoderConfig", "encode_clip"]
