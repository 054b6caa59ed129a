"""Media: photos, sound and clips from and to files."""

from __future__ import annotations

from .files import plan_output, write_bytes
from .photos import Photo, read_photo
from .sound import Sound, read_sound, resample
from .sound_file import encode_wav
from .video_file import DecodedClip, encode_video, read_video, write_video
from .video_writer import VideoWriter, open_video
from .voice_clip import check_voice, prepare_voice, read_voice

__all__ = [
    "DecodedClip",
    "Photo",
    "Sound",
    "VideoWriter",
    "check_voice",
    "encode_video",
    "encode_wav",
    "open_video",
    "plan_output",
    "prepare_voice",
    "read_photo",
    "read_sound",
    "read_video",
    "read_voice",
    "resample",
    "write_bytes",
    "write_video",
]
