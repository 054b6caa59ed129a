import numpy as np
import pytest
import torch

pytest.importorskip("espeakng_loader", reason="the world's speech needs `pip install espeakng-loader`")

from training.world.speech import CLIP_SAMPLES, Speaker, phrase_text, speak, trim
from training.world.voices import NAMES, draw_voices
from wan_core.ops.speech import track_pitch


def median_pitch(waveform: torch.Tensor) -> float:
    log_f0, _, is_voiced = track_pitch(waveform[None])
    return float(log_f0[is_voiced].exp().median())


def test_speech_follows_its_voice_and_repeats() -> None:
    voices = draw_voices(2, 8)
    voices[:, NAMES.index("pitch")] = (100.0, 240.0)
    with Speaker() as speaker:
        waves = [speaker.say(voice, 9, 1)[0] for voice in voices]
        later, other_lead = speaker.say(voices[0], 9, 2)
    with Speaker() as speaker:
        again, lead = speaker.say(voices[0], 9, 1)
    assert all(wave.shape == (CLIP_SAMPLES,) for wave in waves)
    assert torch.equal(waves[0], again)
    assert lead != other_lead
    assert not torch.equal(again, later)
    assert abs(np.log(median_pitch(waves[0]) / 100.0)) < 0.25
    assert abs(np.log(median_pitch(waves[1]) / 240.0)) < 0.25
    start = int(lead * 16000)
    assert again[: start - 1].abs().max() == 0
    assert again[start : start + 3200].std() > 0.01


def test_speak_moves_the_mouth_with_the_sound() -> None:
    clip = speak(draw_voices(1, 8)[0], 1, 2, 5)
    assert clip.mouth.shape == (17,)
    assert clip.mouth[0] < 0.4 < clip.mouth[2:10].max()
    assert clip.mouth[-2:].max() < 0.05


def test_words_and_trim() -> None:
    assert phrase_text(0) == "hello"
    assert phrase_text(63) == "see you for now"
    wave = np.zeros(4000, np.float32)
    wave[1000:2000] = 0.5
    assert len(trim(wave)) == 80 + 1000 + 399
