"""Sound to WAV files."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.container import OutputContainer

from ..errors import InputError
from ..types import AudioClip


def encode_wav(clip: AudioClip, *, metadata: Mapping[str, str] | None = None) -> bytes:
    """Encode a sound as the bytes of a WAV file, 16 bits a sample.

    Args:
        clip: (1 or 2, samples) in [-1, 1]; what is beyond is clipped.   metadata: tags; WAV keeps `comment`.
    Raises:
        InputError: another shape, no sample, or samples that are not finite.
    """
    waveform = clip.waveform.detach().float().cpu()
    if waveform.ndim != 2 or waveform.shape[0] not in (1, 2) or not waveform.shape[1]:
        raise InputError(
            f"sound: expected (1 or 2, samples), got {tuple(waveform.shape)}. Convert it with wan_core.media.resample."
        )
    bad = int((~waveform.isfinite()).sum())
    if bad:
        raise InputError(
            f"sound: expected finite samples, got {bad} that are not. Make it again with another seed."
        )
    layout = "mono" if waveform.shape[0] == 1 else "stereo"
    samples = (waveform.clamp(-1, 1) * 32767).round().numpy().astype(np.int16)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="wav") as opened:
        container = cast(OutputContainer, opened)
        container.metadata.update(metadata or {})
        stream = container.add_stream("pcm_s16le", rate=clip.sample_rate, layout=layout)
        frame = AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T).reshape(1, -1), format="s16", layout=layout
        )
        frame.sample_rate = clip.sample_rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()
