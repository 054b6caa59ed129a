"""A recording made fit to be the reference of a voice: checked, trimmed to what is spoken, at one loudness."""

from __future__ import annotations

import math
from pathlib import Path

from ..errors import InputError
from ..ops.speech import SAMPLE_RATE
from ..ops.voice_activity import VoiceActivity, find_voice
from ..types import AudioClip
from .sound import Sound, read_sound

LEAST_VOICED_SECONDS = 0.5
"""A voice clip with less voiced speech than this says too little about the voice."""

ENOUGH_VOICED_SECONDS = 1.0
"""With less than this the voice comes through poorly, which a note says."""

TARGET_DB = -23.0
"""Loudness of the voice after normalisation: root mean square over the voiced parts, dB of full scale."""

_USUAL_DB = (-36.0, -12.0)
_PEAK_DB = -1.0
_SILENCE_PEAK = 10.0 ** (-60.0 / 20.0)
_CLIP_LEVEL = 0.999
_CLIP_NOTE_SHARE = 0.001
_CLIP_LIMIT_SHARE = 0.25
_TONAL_NOTE_SHARE, _TONAL_LIMIT, _DOUBTLESS_SECONDS = 0.25, 0.6, 3.0
_KEPT_AROUND = 0.25
_LEAST_CUT = 0.5


def read_voice(path: str | Path) -> Sound:
    """Read, check and prepare the recording of a voice: `read_sound`, then `prepare_voice`.

    Args:
        path: the file.
    Returns:
        The recording, mono 16 kHz, and notes for the user.
    Raises:
        InputError: unreadable, or no usable voice in it.
    """
    sound = read_sound(path)
    prepared = prepare_voice(sound.clip, f" in {path}")
    return Sound(prepared.clip, sound.notes + prepared.notes)


def prepare_voice(clip: AudioClip, where: str = "") -> Sound:
    """Check a recording of a voice, cut silence and music off its ends and bring it to a usual loudness.

    Each step leaves a clip that does not need it exactly as it is. The ends are cut where nobody speaks in more than
    half a second of them; a quarter of a second stays. The loudness is changed where the voiced parts are quieter than
    -36 dB or louder than -12 dB: they come to -23 dB, or as near as a peak of -1 dB allows.

    Args:
        clip: mono 16 kHz.   where: ends the description of what was found, such as " in me.wav".
    Returns:
        The clip and notes for the user: what was noticed, cut and changed.
    Raises:
        InputError: see `check_voice`.
    """
    activity, notes = _inspect(clip, where)
    waveform, length = clip.waveform, clip.waveform.shape[1]
    spans = activity.spans
    # Where little voice is found (creaky or whispered speech), the ends may hold speech that was not found.
    if spans and activity.voiced_seconds >= ENOUGH_VOICED_SECONDS:
        first = max(0, round((spans[0][0] - _KEPT_AROUND) * SAMPLE_RATE))
        last = min(length, round((spans[-1][1] + _KEPT_AROUND) * SAMPLE_RATE))
        cut = (length - (last - first)) / SAMPLE_RATE
        if cut > _LEAST_CUT:
            waveform = waveform[:, first:last]
            notes.append(f"{cut:.1f} s without speech are cut off the ends of the voice clip.")
    loudness = voice_loudness(activity)
    if not _USUAL_DB[0] <= loudness <= _USUAL_DB[1]:
        room = _PEAK_DB - 20 * math.log10(float(waveform.abs().max()))
        gain = min(TARGET_DB - loudness, room) if loudness < TARGET_DB else TARGET_DB - loudness
        waveform = waveform * 10.0 ** (gain / 20.0)
        notes.append(f"the voice is at {loudness:.0f} dB: changed by {gain:+.1f} dB.")
    return Sound(clip if waveform is clip.waveform else AudioClip(waveform, SAMPLE_RATE), tuple(notes))


def check_voice(clip: AudioClip, where: str = "") -> tuple[str, ...]:
    """Check that a recording holds enough of a voice.

    Args:
        clip: mono 16 kHz.
        where: ends the description of what was found, such as " in me.wav".
    Returns:
        Notes for the user (distortion, little voice, music), empty where there is nothing to say.
    Raises:
        InputError: empty, not finite, silent, more than a quarter clipped, or less than 0.5 s of voiced speech (music
            and noise are none), or mostly music.
    """
    return tuple(_inspect(clip, where)[1])


def voice_loudness(activity: VoiceActivity) -> float:
    """Root mean square over the voiced frames in dB of full scale; -inf where there are none."""
    power = (10.0 ** (activity.level[activity.is_voiced] / 10.0)).mean()
    return 10.0 * math.log10(float(power)) if bool(activity.is_voiced.any()) else -math.inf


def _inspect(clip: AudioClip, where: str) -> tuple[VoiceActivity, list[str]]:
    """Check as `check_voice`; returns what was found and the notes."""
    waveform = clip.waveform
    if waveform.ndim != 2 or waveform.shape[0] != 1 or clip.sample_rate != SAMPLE_RATE:
        raise InputError(
            f"voice: expected (1, samples) at {SAMPLE_RATE} Hz, got {tuple(waveform.shape)} at {clip.sample_rate} Hz"
            f"{where}. Convert it with wan_core.media.sound.resample."
        )
    if waveform.shape[1] == 0:
        raise InputError(f"voice: expected samples, got an empty recording{where}. Record it again.")
    bad = int((~waveform.isfinite()).sum())
    if bad:
        raise InputError(
            f"voice: expected finite samples, got {bad} that are NaN or infinite{where}. Export the recording again."
        )
    peak = float(waveform.abs().max())
    if peak < _SILENCE_PEAK:
        level = f"a peak of {20 * math.log10(peak):.0f} dB" if peak > 0 else "silence"
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
    activity = find_voice(AudioClip(waveform.clamp(-1, 1), SAMPLE_RATE))
    voiced, tonal = activity.voiced_seconds, activity.tonal_seconds
    if tonal > _TONAL_LIMIT * (tonal + voiced) and voiced < _DOUBTLESS_SECONDS:
        raise InputError(
            f"voice: expected speech, got {tonal:.2f} s of music or tones and {voiced:.2f} s of voiced speech in "
            f"{activity.seconds:.2f} s{where}. Give a recording of one person speaking without music."
        )
    if voiced < LEAST_VOICED_SECONDS:
        raise InputError(
            f"voice: expected at least {LEAST_VOICED_SECONDS:g} s of voiced speech, got {voiced:.2f} s in "
            f"{activity.seconds:.2f} s{where}. Record two or three sentences."
        )
    notes: list[str] = []
    if clipped > _CLIP_NOTE_SHARE:
        notes.append(f"{clipped:.1%} of the voice clip is at full scale: it may sound distorted.")
    if voiced < ENOUGH_VOICED_SECONDS:
        notes.append(
            f"the voice clip has {voiced:.2f} s of voiced speech; {ENOUGH_VOICED_SECONDS:g} s or more is better."
        )
    if tonal > _TONAL_NOTE_SHARE * (tonal + voiced):
        notes.append(
            f"{tonal:.1f} s of the voice clip sound like music or singing, {voiced:.1f} s like speech."
        )
    return activity, notes
