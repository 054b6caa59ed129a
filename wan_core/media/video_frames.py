"""Some frames of a video, spread evenly over it; one at a time in memory until they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from ..identity.video_faces import TimedFrame
from .video_file import no_frame, open_picture

#: Suffixes by which a reference is taken for a video.
VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi")
MOST_FRAMES = 40
LONGEST_SIDE = 1280


def sample_frames(path: str | Path, count: int = MOST_FRAMES) -> Iterator[TimedFrame]:
    """Decode a video and give evenly spread frames of it, in order.

    Args:
        path: any video that PyAV reads.
        count: how many at most; of a short video every frame. Without a known length, two a second.
    Returns:
        Frames, their longer side at most 1280 pixels.
    Raises:
        InputError: missing, damaged, or no picture in it.
    """
    with open_picture(path) as (container, stream):
        stream.thread_type = "AUTO"
        fps = float(stream.average_rate or stream.base_rate or 25)
        seconds = float(container.duration or 0) / av.time_base
        total = stream.frames or round(seconds * fps)
        step = max(1.0, total / count) if total else max(1.0, fps / 2)
        given = 0
        for index, frame in enumerate(container.decode(stream)):
            if index < given * step or given == count:
                continue
            given += 1
            shrink = min(1.0, LONGEST_SIDE / max(frame.width, frame.height))
            size = (max(2, round(frame.width * shrink)), max(2, round(frame.height * shrink)))
            picture = frame.reformat(*size, format="rgb24", interpolation="AREA")
            time = index / fps if frame.pts is None else float(frame.time)
            pixels = picture.to_ndarray().astype(np.uint8, copy=False)
            yield TimedFrame(index, time, np.ascontiguousarray(pixels))
        if not given:
            raise no_frame(path)
