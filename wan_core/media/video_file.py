"""Clips as MP4 files: H.264 picture, AAC sound of the same length, and a tag that says the clip is synthetic."""

from __future__ import annotations

import io
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, cast

import av
import numpy as np
import torch
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..errors import InputError, MissingDependencyError
from ..types import AudioClip
from .files import write_bytes
from .sound import resample

AAC_RATE = 48_000
"""Hz of the written sound; one AAC frame is 1,024 samples, 21 ms."""

_AAC_FRAME = 1024
_BT709 = 1
_TV_RANGE = 1
_QUALITY = "14"
# Equal frames give equal files, whatever the processor. Without this x264 (seen in 165) weighs blocks by a form of its
# own for each processor; the one for AVX-512 takes eight blocks at a time and, where a row is not a multiple of that
# (128 pixels), goes on into memory that nobody has written. It costs no measurable time.
# Source: mirror/x264@c24e06c common/x86/mc-a2.asm (mbtree_propagate_list), common/mc.c (cpu_independent).
_SAME_EVERYWHERE = "cpu-independent=1"


class DecodedClip(NamedTuple):
    """A clip read back: `frames` (F, H, W, 3) uint8 RGB, `fps`, and the container's `metadata`."""

    frames: Tensor
    fps: float
    metadata: dict[str, str]


def write_video(
    path: str | Path,
    video: Tensor,
    fps: float,
    audio: AudioClip | None = None,
    *,
    metadata: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a clip as MP4, at once or not at all.

    The sound is cut, or filled with silence, to the length of the picture. An odd width or height gets one repeated
    row or column, since H.264's usual pixel format wants even sizes.

    Args:
        path: the file; see `wan_core.media.files.write_bytes` for what happens to an existing one.
        video: (1, 3, F, H, W) or (3, F, H, W), RGB in [-1, 1].
        fps: frames a second, > 0.
        audio: (channels, samples); None writes a silent file without a sound track.
        metadata: tags of the container, such as `comment`.
        overwrite: replace an existing file.
    Returns:
        The path written.
    Raises:
        InputError: wrong shape, no frame, values or samples that are not finite, or fps not positive.
        OutputError: the file can't be written; nothing is left behind.
        MissingDependencyError: PyAV lacks the encoders.
    """
    return write_bytes(path, encode_video(video, fps, audio, metadata=metadata), overwrite=overwrite)


def encode_video(
    video: Tensor, fps: float, audio: AudioClip | None = None, *, metadata: Mapping[str, str] | None = None
) -> bytes:
    """Encode a clip as the bytes of an MP4 file, equal ones for equal clips; arguments and errors as `write_video`."""
    frames = to_frames(video)
    rate = frame_rate(fps)
    sound = None if audio is None else sound_track(audio)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"movflags": "+use_metadata_tags"}) as opened:
        container = cast(OutputContainer, opened)
        container.metadata.update(metadata or {})
        picture_stream, sound_stream = add_streams(container, frames.shape[1:3], rate, sound is not None)
        # Picture and sound alternate by time, as players like to read them.
        written = 0
        for number, frame in enumerate(frames):
            encode_frame(container, picture_stream, frame, number)
            if sound is not None and sound_stream is not None:
                due = round((number + 1) / rate * AAC_RATE)
                encode_sound(container, sound_stream, sound, written, due)
                written = due
        for stream in (picture_stream, sound_stream):
            if stream is not None:
                container.mux(stream.encode(None))
    return buffer.getvalue()


def read_video(path: str | Path, max_frames: int = 2000) -> DecodedClip:
    """Read the frames of a clip.

    Args:
        path: any video that PyAV reads.
        max_frames: what is read at most.
    Returns:
        The frames, their rate and the container's tags.
    Raises:
        InputError: missing, damaged, or no picture in it.
    """
    with open_picture(path) as (container, stream):
        fps = float(stream.average_rate or stream.base_rate or 0)
        frames: list[NDArray[np.uint8]] = []
        for frame in container.decode(stream):
            frames.append(frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False))
            if len(frames) == max_frames:
                break
        tags = {str(key).lower(): str(value) for key, value in container.metadata.items()}
    if not frames:
        raise no_frame(path)
    return DecodedClip(torch.from_numpy(np.stack(frames)), fps, tags)


@contextmanager
def open_picture(path: str | Path) -> Generator[tuple[InputContainer, VideoStream], None, None]:
    """Open a video for reading; what PyAV raises inside the block is explained as well.

    Args:
        path: any video that PyAV reads.
    Yields:
        The container and its first picture stream.
    Raises:
        InputError: missing, damaged, or no picture in it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"video: expected a file, got none at {path}. Check the path.")
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            if not container.streams.video:
                raise InputError(
                    f"video: expected a picture, got a file without one in {path}. Use a video file."
                )
            yield container, container.streams.video[0]
    except (FFmpegError, OSError) as error:
        raise InputError(
            f"video: expected a readable video, got {error} in {path}. Convert it to MP4 and use that file."
        ) from error


def no_frame(path: str | Path) -> InputError:
    """The error about a video that opens and holds no frame."""
    return InputError(f"video: expected at least one frame, got none in {path}. Use another file.")


def frame_rate(fps: float) -> Fraction:
    """Frames a second as a fraction that the container can hold.

    Raises:
        InputError: not positive, or above 1000.
    """
    if not 0 < fps <= 1000:
        raise InputError(f"fps: expected more than 0 and at most 1000, got {fps}. Give the frames a second.")
    return Fraction(fps).limit_denominator(1001)


def to_frames(video: Tensor) -> NDArray[np.uint8]:
    """(1, 3, F, H, W) or (3, F, H, W) in [-1, 1] -> (F, H, W, 3) uint8 of even sizes.

    Raises:
        InputError: another shape, or values that are not finite.
    """
    clip = video[0] if video.ndim == 5 and video.shape[0] == 1 else video
    if clip.ndim != 4 or clip.shape[0] != 3 or 0 in clip.shape:
        raise InputError(
            f"video: expected (1, 3, F, H, W) or (3, F, H, W), got {tuple(video.shape)}. Write one clip at a time."
        )
    clip = clip.detach().float().cpu()
    bad = int((~torch.isfinite(clip)).sum())
    if bad:
        raise InputError(
            f"video: expected finite pixels, got {bad} that are not. Sample again with another seed."
        )
    odd_height, odd_width = clip.shape[2] % 2, clip.shape[3] % 2
    if odd_height or odd_width:
        clip = functional.pad(clip, (0, odd_width, 0, odd_height), mode="replicate")
    return ((clip.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0).contiguous().numpy()


def sound_track(audio: AudioClip) -> NDArray[np.float32]:
    """Sound as mono at the AAC rate, in [-1, 1].

    Raises:
        InputError: samples that are not finite, or none.
    """
    bad = int((~torch.isfinite(audio.waveform)).sum())
    if bad:
        raise InputError(
            f"audio: expected finite samples, got {bad} that are not. Sample again with another seed."
        )
    mono = resample(AudioClip(audio.waveform.detach().float().cpu(), audio.sample_rate), AAC_RATE).waveform[0]
    return mono.clamp(-1, 1).numpy()


def add_streams(
    container: OutputContainer, size: tuple[int, ...], rate: Fraction, has_sound: bool
) -> tuple[VideoStream, AudioStream | None]:
    """Add the streams of a clip: H.264 of a size (height, width) and a rate, and AAC where there is sound.

    Raises:
        MissingDependencyError: PyAV lacks the encoders.
    """
    try:
        picture = container.add_stream("libx264", rate=rate)
        sound = container.add_stream("aac", rate=AAC_RATE) if has_sound else None
    except (FFmpegError, ValueError) as error:
        raise MissingDependencyError(
            f"PyAV: expected the encoders libx264 and aac, got {error}. Run: pip install --upgrade av"
        ) from error
    picture.height, picture.width = size[0], size[1]
    picture.pix_fmt = "yuv420p"
    picture.options = {"crf": _QUALITY, "preset": "medium", "x264-params": _SAME_EVERYWHERE}
    context = picture.codec_context
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _TV_RANGE
    if sound is not None:
        sound.codec_context.layout = "mono"
        sound.codec_context.bit_rate = 96_000
    return picture, sound


def encode_frame(
    container: OutputContainer, stream: VideoStream, pixels: NDArray[np.uint8], number: int
) -> None:
    """Encode one frame, (H, W, 3) uint8, of a number in the clip."""
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    frame = frame.reformat(format="yuv420p", dst_colorspace=_BT709, dst_color_range=_TV_RANGE)
    frame.pts = number
    frame.time_base = 1 / Fraction(stream.codec_context.framerate)
    container.mux(stream.encode(frame))


def encode_sound(
    container: OutputContainer, stream: AudioStream, sound: NDArray[np.float32], start: int, end: int
) -> None:
    """Encode samples from `start` to `end` of a sound track; silence beyond its end."""
    piece = sound[start:end]
    piece = np.pad(piece, (0, end - start - len(piece)))
    for begin in range(0, len(piece), _AAC_FRAME):
        _encode_samples(container, stream, piece[begin : begin + _AAC_FRAME], start + begin)


def _encode_samples(
    container: OutputContainer, stream: AudioStream, samples: NDArray[np.float32], start: int
) -> None:
    frame = AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    frame.sample_rate = AAC_RATE
    frame.pts = start
    frame.time_base = Fraction(1, AAC_RATE)
    container.mux(stream.encode(frame))
