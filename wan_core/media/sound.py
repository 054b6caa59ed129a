"""Sound from files: any audio, or the sound track of any video, that PyAV reads; and the check of a voice clip."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.error import FFmpegError
from numpy.typing import NDArray

from ..errors import InputError
from ..ops.speech import HOP, SAMPLE_RATE, track_pitch
from ..types import AudioClip

LONGEST_SECONDS = 60.0
"""Only this much of a recording is read."""

LEAST_VOICED_SECONDS = 0.5
"""A voice clip with less voiced speech than this says too little about the voice."""

_SILENCE_PEAK = 10.0 ** (-60.0 / 20.0)
_CLIP_LEVEL = 0.999
_LONGEST_FRAME = 2048
_CLIP_NOTE_SHARE = 0.001
_CLIP_LIMIT_SHARE = 0.25


class Sound(NamedTuple):
    """A recording in memory: `clip`, mono 16 kHz, and `notes` for the user."""

    clip: AudioClip
    notes: tuple[str, ...]


def read_voice(path: str | Path) -> Sound:
    """Read and check the recording of a voice: `read_sound`, then `check_voice`.

    Args:
        path: the file.
    Returns:
        The recording and notes for the user.
    Raises:
        InputError: unreadable, or no usable voice in it.
    """
    sound = read_sound(path)
    return Sound(sound.clip, sound.notes + check_voice(sound.clip, f" in {path}"))


def read_sound(path: str | Path, max_seconds: float = LONGEST_SECONDS) -> Sound:
    """Read a recording as mono 16 kHz; the channels of stereo are averaged.

    Args:
        path: an audio file, or a video whose sound track is taken.
        max_seconds: what is read at most; a longer recording is cut there, with a note.
    Returns:
        The recording, (1, samples) float32, and notes for the user.
    Raises:
        InputError: missing, no sound in it, damaged, empty.
    """
    path = Path(path)
    limit = round(max_seconds * SAMPLE_RATE)
    try:
        if path.is_dir():
            raise InputError(f"sound: expected a file, got a folder at {path}. Name one audio or video file.")
        pieces, is_cut = _decode(path, limit)
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
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    if samples.size == 0:
        raise InputError(f"sound: expected samples, got an empty recording in {path}. Record it again.")
    notes: tuple[str, ...] = ()
    if is_cut:
        samples = samples[:limit]
        notes = (f"only the first {max_seconds:g} s of {path.name} are used.",)
    return Sound(AudioClip(torch.from_numpy(samples)[None], SAMPLE_RATE), notes)


def check_voice(clip: AudioClip, where: str = "") -> tuple[str, ...]:
    """Check that a recording holds enough of a voice.

    Args:
        clip: mono 16 kHz.
        where: ends the description of what was found, such as " in me.wav".
    Returns:
        Notes for the user (distortion), empty where there is nothing to say.
    Raises:
        InputError: empty, not finite, silent, more than a quarter clipped, or less than 0.5 s of voiced speech.
    """
    waveform = clip.waveform
    if waveform.ndim != 2 or waveform.shape[0] != 1 or clip.sample_rate != SAMPLE_RATE:
        raise InputError(
            f"voice: expected (1, samples) at {SAMPLE_RATE} Hz, got {tuple(waveform.shape)} at {clip.sample_rate} Hz"
            f"{where}. Convert it with wan_core.media.sound.resample."
        )
    if waveform.shape[1] == 0:
        raise InputError(f"voice: expected samples, got an empty recording{where}. Record it again.")
    bad = int((~torch.isfinite(waveform)).sum())
    if bad:
        raise InputError(
            f"voice: expected finite samples, got {bad} that are NaN or infinite{where}. Export the recording again."
        )
    peak = float(waveform.abs().max())
    if peak < _SILENCE_PEAK:
        level = f"a peak of {20 * np.log10(peak):.0f} dB" if peak > 0 else "silence"
        raise InputError(
            f"voice: expected speech, got {level}{where}. Check the microphone and record again."
        )
    # A recording is clipped where many samples sit at its own ceiling; above full scale counts too.
    clipped = float((waveform.abs() >= _CLIP_LEVEL).float().mean())
    if clipped > _CLIP_LIMIT_SHARE:
        raise InputError(
            f"voice: expected at most {_CLIP_LIMIT_SHARE:.0%} of the samples at full scale, got {clipped:.0%}{where}. "
            "Record again with less gain."
        )
    voiced = int(track_pitch(waveform.clamp(-1, 1))[2].sum()) * HOP / SAMPLE_RATE
    if voiced < LEAST_VOICED_SECONDS:
        seconds = waveform.shape[1] / SAMPLE_RATE
        raise InputError(
            f"voice: expected at least {LEAST_VOICED_SECONDS:g} s of voiced speech, got {voiced:.2f} s in "
            f"{seconds:.2f} s{where}. Record two or three sentences."
        )
    if clipped > _CLIP_NOTE_SHARE:
        return (f"{clipped:.1%} of the voice clip is at full scale: it may sound distorted.",)
    return ()


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
    mono = waveform.float().mean(dim=0, keepdim=True)
    if clip.sample_rate == sample_rate:
        return clip if waveform.shape[0] == 1 else AudioClip(mono, sample_rate)
    frame = AudioFrame.from_ndarray(mono.cpu().contiguous().numpy(), format="fltp", layout="mono")
    frame.sample_rate = clip.sample_rate
    resampler = AudioResampler(format="fltp", layout="mono", rate=sample_rate)
    pieces = [_samples(part) for part in (*resampler.resample(frame), *resampler.resample(None))]
    return AudioClip(torch.from_numpy(np.concatenate(pieces))[None], sample_rate)


def _decode(path: Path, limit: int) -> tuple[list[NDArray[np.float32]], bool]:
    """Decode up to `limit` samples at 16 kHz; returns the pieces and whether more was there."""
    pieces: list[NDArray[np.float32]] = []
    length = 0
    with av.open(str(path), metadata_errors="ignore") as container:
        if not container.streams.audio:
            raise InputError(
                f"sound: expected a sound track, got a file without one in {path}. Use another recording."
            )
        stream = container.streams.audio[0]
        resampler = AudioResampler(format="fltp", rate=SAMPLE_RATE)
        for frame in container.decode(stream):
            frame.pts = None
            for part in resampler.resample(frame):
                pieces.append(_samples(part))
                length += pieces[-1].size
            if length > limit:
                return pieces, True
        for part in resampler.resample(None):
            pieces.append(_samples(part))
            length += pieces[-1].size
        if stream.duration is not None and stream.time_base is not None:
            # A codec's last frame is filled up; what goes beyond the stated length by less than that is no sound.
            excess = length - round(stream.duration * stream.time_base * SAMPLE_RATE)
            if 0 < excess <= _LONGEST_FRAME * SAMPLE_RATE // stream.sample_rate:
                pieces = [np.concatenate(pieces)[:-excess]]
    return pieces, length > limit


def _samples(frame: AudioFrame) -> NDArray[np.float32]:
    """Return the mean of a planar frame's channels (swresample's own stereo-to-mono adds 3 dB and may clip)."""
    return np.asarray(frame.to_ndarray(), dtype=np.float32).mean(axis=0)
