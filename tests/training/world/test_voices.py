import numpy as np

from training.world.voices import (
    FACTORS,
    NAMES,
    TIMBRE,
    colour,
    draw_voices,
    from_unit,
    to_unit,
    variant_file,
)


def test_draws_are_repeatable_and_within_bounds() -> None:
    voices = draw_voices(200, 3)
    assert voices.shape == (200, len(FACTORS))
    np.testing.assert_array_equal(draw_voices(50, 3), voices[:50])
    assert not np.allclose(draw_voices(50, 4), voices[:50])
    for column, factor in enumerate(FACTORS):
        assert voices[:, column].min() >= factor.low - 1e-4
        assert voices[:, column].max() <= factor.high * 1.0001 + 1e-4


def test_factors_are_independent() -> None:
    unit = to_unit(draw_voices(2000, 5))
    correlation = np.corrcoef(unit.T) - np.eye(len(FACTORS))
    assert np.abs(correlation).max() < 0.1


def test_unit_is_the_inverse() -> None:
    unit = np.random.default_rng(1).random((5, len(FACTORS)))
    np.testing.assert_allclose(to_unit(from_unit(unit)), unit, atol=1e-4)


def test_names_split_into_timbre_and_the_rest() -> None:
    assert set(NAMES) - set(TIMBRE) == {"pitch", "pitch_range", "speed", "flutter"}


def test_variant_file_tells_the_pitch_and_the_formants() -> None:
    voice = draw_voices(1, 1)[0]
    text = variant_file(voice, "x")
    low, high = (int(word) for word in text.split("pitch ")[1].split("\n")[0].split())
    pitch, spread = float(voice[0]), float(voice[1])
    assert low < pitch < high
    assert abs(high / low - 1 - spread) < 0.03
    assert text.count("formant ") == 9


def test_colour_keeps_length_in_seconds_and_follows_the_slope() -> None:
    noise = np.random.default_rng(1).standard_normal(22050).astype(np.float32)
    voice = draw_voices(1, 1)[0]
    voice[[NAMES.index("gain_1"), NAMES.index("gain_2")]] = 0.0
    tilt = []
    for slope in (-3.0, 3.0):
        voice[NAMES.index("slope")] = slope
        out = colour(noise, voice, 22050, 16000)
        assert out.shape == (16000,)
        power = np.abs(np.fft.rfft(out)) ** 2
        tilt.append(10 * np.log10(power[2000:3000].mean() / power[500:750].mean()))
    assert abs(tilt[0] + 6.0) < 1.0
    assert abs(tilt[1] - 6.0) < 1.0
