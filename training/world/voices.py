"""The voices of the procedural world: what varies, between which bounds, and how espeak-ng is told.

Every factor is drawn independently. The pitch, its range, the speed, the formants and the breath are espeak-ng's own
voice parameters; the spectral slope and two resonances are a fixed filter applied to its waveform, because its own
timbre controls leave the long-term spectra of two voices alike. Both together are the speech synthesiser of the
world.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """One number of a voice: its name, bounds, unit, and whether it is drawn on a log scale."""

    name: str
    low: float
    high: float
    unit: str
    is_log: bool = False


FACTORS: tuple[Factor, ...] = (
    Factor(name="pitch", low=76.0, high=300.0, unit="Hz, median F0", is_log=True),
    Factor(name="pitch_range", low=0.1, high=0.7, unit="top of F0 over its bottom, minus 1"),
    Factor(name="speed", low=145.0, high=230.0, unit="words a minute"),
    Factor(name="tract", low=0.83, high=1.20, unit="formant frequencies over espeak-ng's own", is_log=True),
    Factor(name="formant_1", low=0.92, high=1.09, unit="first formant, on top of tract", is_log=True),
    Factor(name="formant_2", low=0.93, high=1.08, unit="second formant, on top of tract", is_log=True),
    Factor(name="presence", low=45.0, high=150.0, unit="height of formant 3, percent", is_log=True),
    Factor(name="brilliance", low=30.0, high=160.0, unit="height of formants 4-5, percent", is_log=True),
    Factor(name="breath", low=0.0, high=5.0, unit="espeak-ng breath"),
    Factor(name="flutter", low=0.0, high=12.0, unit="espeak-ng flutter"),
    Factor(name="slope", low=-3.5, high=3.5, unit="dB an octave, around 700 Hz"),
    Factor(name="resonance_1", low=350.0, high=1800.0, unit="Hz", is_log=True),
    Factor(name="gain_1", low=-9.0, high=9.0, unit="dB"),
    Factor(name="resonance_2", low=1800.0, high=6000.0, unit="Hz", is_log=True),
    Factor(name="gain_2", low=-10.0, high=10.0, unit="dB"),
)
"""All factors of a voice, in the order of the columns of `draw_voices`."""

NAMES: tuple[str, ...] = tuple(factor.name for factor in FACTORS)
TIMBRE: tuple[str, ...] = NAMES[3:9] + NAMES[10:]
"""The factors that are timbre rather than intonation or rhythm."""


def draw_voices(count: int, seed: int) -> NDArray[np.float32]:
    """Draw voices, (count, 15), in the units of `FACTORS`; the first n of a longer draw are the n of a shorter one."""
    unit = np.random.default_rng(seed).random((count, len(FACTORS)))
    return from_unit(unit)


def from_unit(unit: NDArray[np.floating]) -> NDArray[np.float32]:
    """Numbers in [0, 1], (..., 15) -> units of `FACTORS`."""
    out = np.empty(unit.shape, np.float32)
    for column, factor in enumerate(FACTORS):
        share = unit[..., column]
        if factor.is_log:
            out[..., column] = factor.low * (factor.high / factor.low) ** share
        else:
            out[..., column] = factor.low + (factor.high - factor.low) * share
    return out


def to_unit(voices: NDArray[np.floating]) -> NDArray[np.float32]:
    """Undo `from_unit`: what a regression of the voice predicts."""
    out = np.empty(voices.shape, np.float32)
    for column, factor in enumerate(FACTORS):
        value = voices[..., column]
        if factor.is_log:
            out[..., column] = np.log(value / factor.low) / math.log(factor.high / factor.low)
        else:
            out[..., column] = (value - factor.low) / (factor.high - factor.low)
    return out


def variant_file(voice: NDArray[np.floating], name: str) -> str:
    """Text of the espeak-ng variant file of one voice, (15,)."""
    value = dict(zip(NAMES, (float(number) for number in voice), strict=True))
    base = value["pitch"] / (1.0 + 0.5 * value["pitch_range"])
    lines = [
        "language variant",
        f"name {name}",
        f"pitch {round(base)} {round(base * (1.0 + value['pitch_range']))}",
        f"flutter {round(value['flutter'])}",
        "roughness 0",
    ]
    own = {1: value["formant_1"], 2: value["formant_2"]}
    height = {3: value["presence"], 4: value["brilliance"], 5: value["brilliance"]}
    for number in range(9):
        scale = 1.0 if number == 0 else value["tract"] * own.get(number, 1.0)
        lines.append(f"formant {number} {round(100 * scale)} {round(height.get(number, 100.0))} 100")
    lines.append("breath 0 " + " ".join([str(round(value["breath"]))] * 7))
    return "\n".join(lines) + "\n"


def colour(
    waveform: NDArray[np.float32], voice: NDArray[np.floating], rate: int, new_rate: int
) -> NDArray[np.float32]:
    """Apply a voice's slope and resonances to a waveform and bring it to another sample rate.

    Args:
        waveform: (T,). voice: (15,). rate: Hz of the waveform. new_rate: Hz wanted, not above `rate`.
    Returns: (T * new_rate / rate,), zero-phase filtered, nothing above new_rate / 2.
    """
    value = dict(zip(NAMES, (float(number) for number in voice), strict=True))
    shared = math.gcd(rate, new_rate)
    blocks = 1 << (-(-(len(waveform) + 1024) * shared // rate) - 1).bit_length()
    length, new_length = rate // shared * blocks, new_rate // shared * blocks
    bins = new_length // 2 + 1
    octave = np.log2(np.maximum(np.arange(bins, dtype=np.float32) * (rate / length), 60.0))
    gain = value["slope"] * np.clip(octave - math.log2(700.0), -2.5, 3.2)
    for index, width in ((1, 0.35), (2, 0.3)):
        away = (octave - math.log2(value[f"resonance_{index}"])) / width
        gain += value[f"gain_{index}"] * np.exp(-0.5 * away**2)
    edge = np.clip((bins - np.arange(bins, dtype=np.float32)) / (0.03 * bins), 0.0, 1.0)
    spectrum = np.fft.rfft(waveform, length)[:bins] * (edge * 10.0 ** (gain / 20.0))
    out = np.fft.irfft(spectrum, new_length) * (new_length / length)
    return out[: len(waveform) * new_rate // rate].astype(np.float32)
