"""Sound from files: any audio, or the sound track of any video, that PyAV reads, as mono at one rate."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.error import FFmpegError
from numpy.typing import NDArray

from ..errors import InputError
from ..ops.resample import resample_waveform
from ..ops.speech import SAMPLE_RATE
from ..types import AudioClip

LONGEST_SECONDS = 60.0
"""Only this much of a recording is read, unless more is asked for."""

_LONGEST_FRAME = 2048
_HIGHEST_USUAL_RATE = 48_000
_EIGHT_BITS = ("u8", "u8p")


class Sound(NamedTuple):
    """A recording in memory: `clip`, mono, and `notes` for the user."""

    clip: AudioClip
    notes: tuple[str, ...]


class _Decoded(NamedTuple):
    """Mono samples at the file's own rate, and what is worth saying about the file."""

    samples: NDArray[np.float32]
    rate: int
    is_cut: bool
    notes: tuple[str, ...]


def read_sound(
    path: str | Path, max_seconds: float = LONGEST_SECONDS, sample_rate: int = SAMPLE_RATE
) -> Sound:
    """Read a recording as mono; all channels count alike.

    The file is decoded as a stream and no further than `max_seconds`, so that a recording of hours costs no more memory
    than one of a minute.

    Args:
        path: an audio file, or a video whose sound track is taken.
        max_seconds: what is read at most; a longer recording is cut there, with a note.
        sample_rate: Hz of the result.
    Returns:
        The recording, (1, samples) float32, and notes for the user: what was cut, and unusual formats that were
        converted (more than two channels, rates above 48 kHz, 8 bits).
    Raises:
        InputError: missing, no sound in it, damaged, empty, or samples that are not finite.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise InputError(f"sound: expected a file, got a folder at {path}. Name one audio or video file.")
        decoded = _decode(path, max_seconds)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"sound: expected a file, got none at {path}. Check the path.") from error
    except PermissionError as error:
        raise InputError(
            f"sound: expected a readable file, got no right to read {path}. Change its rights."
        ) from error
    except (FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"sound: expected an audio or video file, got one that cannot be read in {path} ({error}). "
            "Convert it to WAV or MP3 and use that file."
        ) from error
    if decoded.samples.size == 0:
        raise InputError(f"sound: expected samples, got an empty recording in {path}. Record it again.")
    bad = int(np.count_nonzero(~np.isfinite(decoded.samples)))
    if bad:
        raise InputError(
            f"sound: expected finite samples, got {bad} that are NaN or infinite in {path}. Export the recording again."
        )
    notes = decoded.notes
    if decoded.is_cut:
        notes += (f"only the first {max_seconds:g} s of {path.name} are used.",)
    waveform = resample_waveform(torch.from_numpy(decoded.samples)[None], decoded.rate, sample_rate)
    return Sound(AudioClip(waveform[:, : round(max_seconds * sample_rate)], sample_rate), notes)


def resample(clip: AudioClip, sample_rate: int = SAMPLE_RATE) -> AudioClip:
    """Convert any recording in memory to mono at another rate.

    Args:
        clip: (channels, samples), any rate.
        sample_rate: Hz.
    Returns:
        (1, samples') at `sample_rate`; the clip itself where nothing changes.
    Raises:
        InputError: no channel or no sample.
    """
    waveform = clip.waveform
    if waveform.ndim != 2 or 0 in waveform.shape:
        raise InputError(
            f"sound: expected (channels, samples), got {tuple(waveform.shape)}. Give at least one channel and sample."
        )
    if clip.sample_rate == sample_rate and waveform.shape[0] == 1:
        return clip
    mono = waveform.float().mean(dim=0, keepdim=True)
    return AudioClip(resample_waveform(mono, clip.sample_rate, sample_rate), sample_rate)


def _decode(path: Path, max_seconds: float) -> _Decoded:
    """Decode at most `max_seconds` at the file's own rate."""
    pieces: list[NDArray[np.float32]] = []
    length = 0
    with av.open(str(path), metadata_errors="ignore") as container:
        if not container.streams.audio:
            raise InputError(
                f"sound: expected a sound track, got a file without one in {path}. Use another recording."
            )
        stream = container.streams.audio[0]
        rate = stream.sample_rate
        limit = round(max_seconds * rate)
        # Interleaved: PyAV crashes on the planes of frames with eight channels.
        resampler = AudioResampler(format="flt", rate=rate)
        for frame in container.decode(stream):
            frame.pts = None
            for part in resampler.resample(frame):
                pieces.append(_samples(part))
                length += pieces[-1].size
            if length > limit:
                break
        else:
            for part in resampler.resample(None):
                pieces.append(_samples(part))
                length += pieces[-1].size
            if stream.duration is not None and stream.time_base is not None:
                # A codec's last frame is filled up; what goes beyond the stated length by less is no sound.
                excess = length - round(stream.duration * stream.time_base * rate)
                if 0 < excess <= _LONGEST_FRAME:
                    pieces = [np.concatenate(pieces)[:-excess]]
        notes = _unusual(stream, path.name)
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    return _Decoded(samples[:limit], rate, length > limit, notes)


def _unusual(stream: AudioStream, name: str) -> tuple[str, ...]:
    """Say what was converted where few would expect the format."""
    notes: list[str] = []
    if stream.channels > 2:
        notes.append(f"{name} has {stream.channels} channels ({stream.layout.name}): averaged to one.")
    if stream.sample_rate > _HIGHEST_USUAL_RATE:
        notes.append(f"{name} has {stream.sample_rate} samples a second: resampled.")
    if stream.format.name in _EIGHT_BITS:
        notes.append(f"{name} has 8 bits a sample: its noise will be heard as part of the voice.")
    return tuple(notes)


def _samples(frame: AudioFrame) -> NDArray[np.float32]:
    """Return the mean of a frame's channels (swresample's own stereo-to-mono adds 3 dB and may clip)."""
    samples = np.asarray(frame.to_ndarray(), dtype=np.float32)
    return samples.reshape(-1, frame.layout.nb_channels).mean(axis=1)
