import math
from pathlib import Path

import pytest
import torch

pytest.importorskip("espeakng_loader", reason="the world's speech needs `pip install espeakng-loader`")

from training.judge_sound import SoundJudge, envelope, judge_notes, load_sound_judge, median_f0
from training.world.speech import Speaker
from training.world.voices import draw_voices
from wan_core.text.vocabulary import CLOSERS

TIME = torch.arange(32000) / 16000


@pytest.fixture(scope="module")
def judge() -> SoundJudge:
    """The shipped judge."""
    return load_sound_judge()


@pytest.fixture(scope="module")
def spoken() -> torch.Tensor:
    """Four voices that nobody trained on, two phrases each: (4, 2, 34000)."""
    voices = draw_voices(4, 987)
    voices[:, 0] = (150.0, 152.0, 148.0, 151.0)
    with Speaker() as speaker:
        return torch.stack([torch.stack([speaker.say(v, p, 1)[0] for p in (10, 37)]) for v in voices])


@pytest.mark.parametrize("hertz", [75.0, 140.0, 310.0])
def test_median_f0_of_tones_with_silence_and_noise(hertz: float) -> None:
    tone = 0.1 * sum(torch.sin(2 * math.pi * hertz * k * TIME) / k for k in range(1, 9))[None]
    noise = 0.01 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(1))
    pitch = median_f0(torch.cat((noise, tone, torch.zeros(1, 8000)), -1))
    assert abs(math.log(pitch.item() / hertz)) < 0.02


def test_median_f0_of_silence_is_nan() -> None:
    assert median_f0(torch.zeros(1, 16000)).isnan().all()


def test_envelope_is_in_time() -> None:
    wave = torch.zeros(1, 34000)
    wave[:, 8000:12000] = torch.sin(TIME[:4000] * 2 * math.pi * 200)
    track = envelope(wave, 8.0, 17)[0]
    assert track.argmax() == 5
    assert track[:3].max() == 0
    assert track[8:].max() == 0


def test_words_of_an_unknown_voice(judge: SoundJudge, spoken: torch.Tensor) -> None:
    scores = judge.phrase(spoken.flatten(0, 1))
    said = scores.opener.argmax(-1) * len(CLOSERS) + scores.closer.argmax(-1)
    assert (said.reshape(4, 2) == torch.tensor([10, 37])).float().mean() >= 0.75


def test_timbre_of_unknown_voices_of_one_pitch(judge: SoundJudge, spoken: torch.Tensor) -> None:
    vectors = judge.timbre_embedding(spoken.flatten(0, 1)).reshape(4, 2, -1)
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(4, 2))
    assert ((vectors[:, 0] @ vectors[:, 1].T).argmax(0) == torch.arange(4)).float().mean() >= 0.75


def test_shipped_judge_is_good_enough() -> None:
    notes = judge_notes()
    assert notes["phrase_plain"] >= 0.98
    assert notes["timbre_top1_of_16_plain"] >= 0.9


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"expected its weights at .*none\.safetensors.*train_judge_sound"
    ):
        load_sound_judge(tmp_path / "none.safetensors")
