"""Clips written while they are made: frames go to the encoder as they come, and only those at hand are in memory.

The sound, which is small, is there from the start.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream
from torch import Tensor

from ..errors import InputError, OutputError
from ..types import AudioClip
from .files import PartialFile, partial_file
from .video_file import (
    AAC_RATE,
    add_streams,
    encode_frame,
    encode_sound,
    frame_rate,
    sound_track,
    to_frames,
)


class VideoWriter:
    """A clip that is being written; made by `open_video`.

    Attributes:
        frames: written so far.   size: height and width of the written picture, None before the first frame.
    """

    def __init__(
        self, container: OutputContainer, rate: Fraction, partial: PartialFile, audio: AudioClip | None
    ) -> None:
        self._container, self._rate, self._partial = container, rate, partial
        self._stream: VideoStream | None = None
        self._sound = None if audio is None else sound_track(audio)
        self._sound_stream: AudioStream | None = None
        self._heard = 0
        self.frames = 0
        self.size: tuple[int, int] | None = None

    @property
    def path(self) -> Path:
        """The file: its final name once the block of `open_video` has ended."""
        return self._partial.written

    def add(self, video: Tensor) -> None:
        """Write the next frames.

        Args: video: (1, 3, f, H, W) or (3, f, H, W), RGB in [-1, 1], of the size of the frames before.
        Raises: InputError: another shape or size, or values that are not finite.
        """
        pixels = to_frames(video)
        size = (int(pixels.shape[1]), int(pixels.shape[2]))
        if self._stream is None:
            has_sound = self._sound is not None
            self._stream, self._sound_stream = add_streams(self._container, size, self._rate, has_sound)
            self.size = size
        if size != self.size:
            raise InputError(
                f"video: expected frames of {self.size} as before, got {size}. Write one clip at a time."
            )
        for frame in pixels:
            encode_frame(self._container, self._stream, frame, self.frames)
            self.frames += 1
            if self._sound is not None and self._sound_stream is not None:
                due = round(self.frames / self._rate * AAC_RATE)
                encode_sound(self._container, self._sound_stream, self._sound, self._heard, due)
                self._heard = due

    def finish(self) -> None:
        """Let the encoder give out what it still holds.

        Raises: InputError: there was no frame.
        """
        if self._stream is None:
            raise InputError("video: expected at least one frame, got none. Ask for more frames.")
        self._container.mux(self._stream.encode(None))
        if self._sound_stream is not None:
            self._container.mux(self._sound_stream.encode(None))


@contextmanager
def open_video(
    path: str | Path,
    fps: float,
    *,
    audio: AudioClip | None = None,
    metadata: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Generator[VideoWriter, None, None]:
    """Write a clip as MP4 frame by frame; the name appears only when the block has ended well.

    Args:
        path: the file.   fps: frames a second, > 0.   metadata: tags of the container.   overwrite: replace a file.
        audio: sound of the clip, cut or filled with silence to the length of the picture; None for a silent file.
    Raises:
        InputError: fps not positive, samples that are not finite, or no frame was added.
        OutputError: the file can not be written.
        MissingDependencyError: PyAV lacks the encoders.
    """
    rate = frame_rate(fps)
    with partial_file(path, overwrite=overwrite) as partial:
        try:
            options = {"movflags": "+use_metadata_tags"}
            with av.open(str(partial.path), "w", format="mp4", options=options) as opened:
                container = cast(OutputContainer, opened)
                container.metadata.update(metadata or {})
                writer = VideoWriter(container, rate, partial, audio)
                yield writer
                writer.finish()
        except FFmpegError as error:
            if isinstance(error, OSError):
                raise  # a full disk or the like, which `partial_file` explains
            raise OutputError(
                f"output: expected to encode {path}, got {error}. Use another size or update PyAV."
            ) from error
