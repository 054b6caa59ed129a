"""A script and voices to one track."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_speech import write_speech_model

from wan_core.errors import InputError
from wan_core.pipelines.speak import SENTENCE_PAUSE, USUAL_PAUSE, place_turns, speak
from wan_core.text.script import Turn
from wan_core.types import AudioClip
from wan_core.voice.speak import SpeechModel, load_speech_model


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> SpeechModel:
    return load_speech_model(write_speech_model(tmp_path_factory.mktemp("speech") / "tiny"))


def voice(pitch: float) -> AudioClip:
    time = torch.arange(16000) / 16000
    return AudioClip(0.1 * sum(torch.sin(2 * math.pi * pitch * k * time) for k in range(1, 6))[None], 16000)


def test_turns_follow_the_script(speech: SpeechModel) -> None:
    voices = {"character1": voice(110), "character2": voice(230)}
    script = 'character1 says: "Hello." character2 says: "Hi." [pause 1 s] character1 says: "Bye."'
    seen: list[tuple[int, int]] = []
    result = speak(script, voices, speech, seed=1, progress=lambda done, total: seen.append((done, total)))
    first, second, third = result.turns
    assert [turn.name for turn in result.turns] == ["character1", "character2", "character1"]
    assert second.start - first.end == pytest.approx(USUAL_PAUSE, abs=1e-4)
    assert third.start - second.end == pytest.approx(1.0, abs=1e-4)
    wave, rate = result.audio.waveform[0], result.audio.sample_rate
    assert rate == 24000 and len(wave) == round(third.end * rate)
    assert not wave[round(second.end * rate) : round(third.start * rate)].any()
    assert all(
        wave[round(turn.start * rate) : round(turn.end * rate)].abs().max() > 0 for turn in result.turns
    )
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    swapped = speak(script, {"character1": voice(230), "character2": voice(110)}, speech, seed=1)
    assert not torch.equal(swapped.audio.waveform, result.audio.waveform)


def test_long_lines_are_spoken_in_parts(speech: SpeechModel) -> None:
    text = "This is one sentence of words. Here comes another one, longer. And a third."
    result = speak(text, {"character1": voice(110)}, speech)
    rate = result.audio.sample_rate
    quiet = (result.audio.waveform[0] == 0).unfold(0, round(SENTENCE_PAUSE * rate), 1).all(-1)
    assert quiet.any() and len(result.turns) == 1
    assert any("came to no end of 'This is one" in note for note in result.notes)


def test_voices_that_say_nothing_are_said(speech: SpeechModel) -> None:
    result = speak('character1 says: "Hi."', {"character1": voice(110), "character2": voice(200)}, speech)
    assert result.notes[-1] == "character2 has a voice and says nothing."


def test_times() -> None:
    turns = [
        Turn(name=None, words="a"),
        Turn(name=None, words="b", start=3.0),
        Turn(name=None, words="c", pause=0.0),
    ]
    assert place_turns(turns, [1.0, 2.0, 1.0]) == [0.0, 3.0, 5.0]
    with pytest.raises(
        InputError, match=r"'b' to begin at 3\.50 s or later, when the line before ends, got 3\.00 s"
    ):
        place_turns(turns, [3.5, 2.0, 1.0])


def test_speaker_without_a_voice(speech: SpeechModel) -> None:
    with pytest.raises(InputError, match="got none for character2"):
        speak('character2 says: "Hi."', {"character1": voice(110)}, speech)
