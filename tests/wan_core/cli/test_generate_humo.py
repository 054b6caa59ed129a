"""`wan-r2v generate` with HuMo: tiny random weights, everything else as a user has it."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from humo_release import write_humo
from lynx_release import write_lynx
from PIL import Image
from reference_files import write_voice
from skimage import data
from tiny_speech import write_speech_model

from wan_core.cli import main


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights, a recording of half a second in stereo, and a photograph."""
    folder = tmp_path_factory.mktemp("humo")
    paths = write_humo(folder)
    paths["speech"] = folder / "talk.wav"
    time = np.arange(22050) / 44100
    sound = (12000 * np.sin(2 * np.pi * 200 * time)).astype(np.int16)
    with wave.open(str(paths["speech"]), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(np.stack([sound, sound], axis=1).tobytes())
    paths["photo"] = folder / "photo.png"
    Image.fromarray(np.full((80, 60, 3), 90, np.uint8)).save(paths["photo"])
    return paths


def arguments(paths: dict[str, Path], out: Path, *more: str, size: str = "1.7B") -> list[str]:
    """A whole command."""
    parts = {"--model": size, "--vae": "vae", "--text-encoder": "text", "--tokenizer": "tokenizer"}
    named = [text for option, name in parts.items() for text in (option, str(paths[name]))]
    asked = ["--prompt", "a man speaks", "--size", "32*48", "--steps", "1", "--device", "cpu"]
    return ["generate", *named, *asked, "-o", str(out), *more]


def spoken(paths: dict[str, Path]) -> list[str]:
    """The options of a driven clip."""
    return ["--speech", str(paths["speech"]), "--whisper", str(paths["whisper"]), "--consent", "own"]


def test_picture_and_sound_are_equally_long(
    paths: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "clip.mp4"
    reference = ["--reference", f"character1={paths['photo']}"]
    assert main([*arguments(paths, out, *spoken(paths), *reference, size="17B"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["frames"], told["fps"], told["model"], told["windows"]) == (13, 25, "HuMo-17B", 1)
    assert told["has_audio"] and told["references"] == 1 and told["consent"] == "own"
    with av.open(str(out)) as clip:
        picture, sound = clip.streams.video[0], clip.streams.audio[0]
        assert float(picture.average_rate or 0) == 25 and (picture.width, picture.height) == (32, 48)
        seconds = float((sound.duration or 0) * (sound.time_base or 0))
        assert seconds == pytest.approx(0.52, abs=0.03)
    assert main(["verify", str(out)]) == 0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (["--speech", "SPEECH", "--consent", "own"], "Whisper: expected whisper-large-v3 for HuMo, got none"),
        (["--whisper", "WHISPER", "--consent", "own"], "(--speech) or words (--say) for HuMo, got none"),
        (["--speech", "SPEECH", "--say", "Hi.", "--whisper", "WHISPER", "--consent", "own"], "got both"),
        (
            ["--say", "Hi.", "--whisper", "WHISPER", "--consent", "own"],
            "--speech-model: expected it with --say",
        ),
        (
            ["--speech", "SPEECH", "--voice", "character1=a.wav", "--whisper", "WHISPER", "--consent", "own"],
            "--voice: expected it with --say alone",
        ),
        (["--speech", "SPEECH", "--whisper", "WHISPER"], "consent: expected --consent"),
        (["--guidance", "3"], "--guidance: expected none with HuMo"),
        (["--first-frame", "x.png"], "--first-frame: expected none with HuMo"),
    ],
)
def test_what_is_missing_or_too_much(
    paths: dict[str, Path],
    tmp_path: Path,
    change: list[str],
    text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [str(paths[word.lower()]) if word in ("SPEECH", "WHISPER") else word for word in change]
    assert main(arguments(paths, tmp_path / "clip.mp4", *given)) == 2
    assert text in capsys.readouterr().err
    assert not (tmp_path / "clip.mp4").exists()


def test_speech_belongs_to_humo(
    paths: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "generate",
        "--prompt",
        "a beach",
        "--speech",
        str(paths["speech"]),
        "-o",
        str(tmp_path / "c.mp4"),
    ]
    assert main(command) == 2
    assert "--speech: expected it with a HuMo model alone" in capsys.readouterr().err


def test_words_are_spoken_first(
    paths: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A photo, a voice and words: Speak, then HuMo; the clip is as long as what was spoken."""
    write_speech_model(tmp_path / "pocket-tts")
    write_voice(tmp_path / "me.wav")
    out = tmp_path / "clip.mp4"
    words = ["--say", 'character1 says: "Hi."', "--voice", f"character1={tmp_path / 'me.wav'}"]
    models = ["--speech-model", str(tmp_path / "pocket-tts"), "--whisper", str(paths["whisper"])]
    reference = ["--reference", f"character1={paths['photo']}", "--consent", "fictional"]
    assert main([*arguments(paths, out, *words, *models, *reference), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["has_audio"] and told["frames"] % 4 == 1 and told["frames"] > 1
    with av.open(str(out)) as clip:
        sound = clip.streams.audio[0]
        assert float((sound.duration or 0) * (sound.time_base or 0)) == pytest.approx(
            told["frames"] / 25, abs=0.03
        )


def test_best_seed_and_report(
    paths: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lynx = write_lynx(tmp_path / "lynx")
    photo = tmp_path / "me.png"
    Image.fromarray(data.astronaut()[:320]).save(photo)
    out = tmp_path / "clip.mp4"
    more = [
        "--reference",
        f"character1={photo}",
        "--best-of",
        "2",
        "--draft-steps",
        "1",
        "--seed",
        "5",
        "--report",
    ]
    judge = [
        "--recogniser",
        str(lynx.recogniser),
        "--detector",
        "scrfd",
        "--detector-model",
        str(lynx.detector),
    ]
    assert (
        main(
            [*arguments(paths, out, *spoken(paths), *more, *judge, "--steps", "2", "--frames", "5"), "--json"]
        )
        == 0
    )
    told = json.loads(capsys.readouterr().out)
    report = json.loads((tmp_path / "clip.report.json").read_text())
    table = json.loads((tmp_path / "clip.best_of.json").read_text())
    assert told["best_of"] == report["best_of"] == table
    assert {draft["seed"] for draft in table["drafts"]} == {5, 6} and told["seed"] == table["seed"]
    assert set(report["characters"]) >= {"character1"} and report["sound_seconds"] is not None
    assert main(arguments(paths, tmp_path / "b.mp4", *spoken(paths), *more[:-1])) == 2
    assert "--best-of: expected a recogniser for HuMo-1.7B, which brings none" in capsys.readouterr().err
