"""The card of a voice: a picture of what was heard in a recording."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from ..ops.speech import HOP, SAMPLE_RATE, frame, mel_axis
from ..ops.voice_activity import FRAME_SECONDS, VoiceActivity, find_voice
from ..types import AudioClip
from .plot import BLUE, GREEN, GROUND, INK, ORANGE, PALE, load_font
from .voice_facts import VoiceFacts, describe_voice

CARD_SIZE = (960, 720)
"""Width and height in pixels."""

_LEFT, _RIGHT, _TOP = 58, 20, 46
_HEIGHTS = (130, 190, 130)
_GAP = 34
_BANDS = 80
_RANGE_DB = 60.0
_VOICED = (220, 238, 226)
_TONAL = (250, 232, 214)
# Dark to bright, even in lightness, so that it reads in grey as well.
_COLOURS = ((12, 10, 40), (60, 30, 110), (140, 45, 110), (215, 85, 80), (250, 160, 70), (255, 245, 190))
_PITCH_MARKS = (50, 70, 100, 140, 200, 280, 400)


def draw_voice_card(
    clip: AudioClip, title: str, notes: Sequence[str] = ()
) -> tuple[NDArray[np.uint8], VoiceFacts]:
    """Draw the card of a voice.

    From top to bottom: the waveform, shaded where somebody speaks with voice (green) and where the pitch holds like
    music (orange); the mel spectrogram of the highest 60 dB; the pitch contour on a logarithmic axis; a line each for
    timbre, intonation and rhythm; notes.

    Args:
        clip: mono 16 kHz with at least a quarter of a second of voiced speech.
        title: stands above, such as the name of the file.   notes: sentences for the user, two lines at most are shown.
    Returns:
        The picture, (720, 960, 3) uint8 RGB, and the figures on it.
    Raises:
        InputError: no voice in it, or not mono 16 kHz; see `describe_voice`.
    """
    found = find_voice(clip)
    facts = describe_voice(clip, found)
    picture = Image.new("RGB", CARD_SIZE, GROUND)
    draw = ImageDraw.Draw(picture)
    draw.text((_LEFT, 10), title, fill=INK, font=load_font(18))
    width = CARD_SIZE[0] - _LEFT - _RIGHT
    waveform = clip.waveform.detach().float().cpu()
    tops = [_TOP + 18]
    for height in _HEIGHTS[:-1]:
        tops.append(tops[-1] + height + _GAP)
    _draw_wave(draw, (_LEFT, tops[0], width, _HEIGHTS[0]), waveform[0], found)
    heat = mel_picture(waveform, width, _HEIGHTS[1])
    picture.paste(Image.fromarray(heat), (_LEFT, tops[1]))
    _draw_mel_axis(draw, (_LEFT, tops[1], width, _HEIGHTS[1]))
    _draw_pitch(draw, (_LEFT, tops[2], width, _HEIGHTS[2]), found, facts.median_pitch)
    _draw_time(draw, tops[2] + _HEIGHTS[2], width, found.seconds)
    font = load_font()
    for top, text in zip(
        tops,
        (
            "waveform; green: voice, orange: held pitch (music, hum)",
            "mel spectrogram, 60 dB",
            "pitch, Hz; line: median",
        ),
        strict=True,
    ):
        draw.text((_LEFT, top - 18), text, fill=INK, font=font)
    y = tops[2] + _HEIGHTS[2] + 34
    for line in facts.lines():
        draw.text((_LEFT, y), line, fill=INK, font=font)
        y += 21
    for note in notes[:2]:
        draw.text((_LEFT, y), f"note: {note}", fill=ORANGE, font=font)
        y += 19
    return np.asarray(picture), facts


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode a picture, (H, W, 3) uint8 RGB, as the content of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def mel_picture(waveform: Tensor, width: int, height: int) -> NDArray[np.uint8]:
    """Mel spectrogram as colours, (height, width, 3) uint8, low tones at the bottom, the loudest 60 dB.

    Args:
        waveform: (1, samples), 16 kHz, at least one sample.   width, height: pixels.
    """
    size = 512
    power = torch.fft.rfft(frame(waveform, size, HOP // 2) * torch.hann_window(size)).abs().square()[0]
    level = 10 * torch.log10(power @ _mel_filters(size) + 1e-10)
    share = ((level - level.max() + _RANGE_DB) / _RANGE_DB).clamp(0, 1)
    rows = torch.nn.functional.interpolate(
        share.T.flip(0)[None, None], size=(height, width), mode="bilinear", antialias=True
    )[0, 0].numpy()
    stops = np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(rows, stops, [colour[k] for colour in _COLOURS]) for k in range(3)]
    return np.stack(channels, -1).round().astype(np.uint8)


def _mel_filters(size: int) -> Tensor:
    """Triangles on the mel axis, (bins, bands); a band narrower than a bin takes the nearest bins' share."""
    edges = mel_axis(_BANDS + 2)
    hertz = torch.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    step = float(hertz[1])
    low = torch.minimum(edges[:-2], edges[1:-1] - step)
    high = torch.maximum(edges[2:], edges[1:-1] + step)
    rising = (hertz[:, None] - low) / (edges[1:-1] - low)
    falling = (high - hertz[:, None]) / (high - edges[1:-1])
    filters = torch.minimum(rising, falling).clamp_min(0)
    return filters / filters.sum(0, keepdim=True)


Box = tuple[int, int, int, int]


def _draw_wave(draw: ImageDraw.ImageDraw, box: Box, samples: Tensor, found: VoiceActivity) -> None:
    """Highest and lowest sample of every column, over the shaded frames."""
    left, top, width, height = box
    middle = top + height // 2
    peak = max(float(samples.abs().max()), 1e-6)
    count, frames = len(samples), len(found.level)
    for column in range(width):
        index = min(frames - 1, int(column / width * found.seconds / FRAME_SECONDS))
        shade = _VOICED if found.is_voiced[index] else _TONAL if found.is_tonal[index] else None
        x = left + column
        if shade is not None:
            draw.line((x, top, x, top + height), fill=shade)
        first = count * column // width
        part = samples[first : max(first + 1, count * (column + 1) // width)]
        up, down = float(part.max()) / peak, float(part.min()) / peak
        draw.line((x, middle - up * height * 0.48, x, middle - down * height * 0.48), fill=BLUE)
    draw.rectangle((left, top, left + width, top + height), outline=PALE)
    draw.text((6, top), f"{20 * np.log10(peak):.0f} dB", fill=INK, font=load_font(11))


def _draw_mel_axis(draw: ImageDraw.ImageDraw, box: Box) -> None:
    left, top, width, height = box
    centres = mel_axis(_BANDS + 2)[1:-1]
    for hertz in (200, 500, 1000, 2000, 4000):
        row = float((centres - hertz).abs().argmin()) / (_BANDS - 1)
        draw.text((6, top + height * (1 - row) - 7), f"{hertz} Hz", fill=INK, font=load_font(11))
    draw.rectangle((left, top, left + width, top + height), outline=PALE)


def _draw_pitch(draw: ImageDraw.ImageDraw, box: Box, found: VoiceActivity, median: float) -> None:
    left, top, width, height = box
    low, high = np.log(_PITCH_MARKS[0]), np.log(_PITCH_MARKS[-1])

    def row(hertz: float) -> float:
        return top + height * (1 - (np.log(hertz) - low) / (high - low))

    for mark in _PITCH_MARKS:
        draw.line((left, row(mark), left + width, row(mark)), fill=PALE)
        draw.text((26, row(mark) - 7), f"{mark}", fill=INK, font=load_font(11))
    draw.line((left, row(median), left + width, row(median)), fill=GREEN)
    hertz = found.log_f0.exp().tolist()
    scale = width * FRAME_SECONDS / found.seconds
    voiced = found.is_voiced.tolist()
    for index in range(len(hertz) - 1):
        if voiced[index]:
            x, y = left + (index + 0.5) * scale, row(hertz[index])
            if voiced[index + 1]:
                draw.line((x, y, x + scale, row(hertz[index + 1])), fill=ORANGE, width=3)
            else:
                draw.line((x, y, x + max(1.0, scale / 2), y), fill=ORANGE, width=3)


def _draw_time(draw: ImageDraw.ImageDraw, top: int, width: int, seconds: float) -> None:
    for part in range(6):
        text = f"{seconds * part / 5:.1f} s"
        draw.text(
            (_LEFT + width * part / 5 - (26 if part == 5 else 0), top + 4), text, fill=INK, font=load_font(11)
        )
