"""The report puts together what the recogniser, the lips and the voice give, each with its character."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest
import torch
from report_clips import FPS, FRAMES, LOUDNESS, RATE, buzz, talking_face, to_bytes
from torch import Tensor

from wan_core.errors import InputError, ShapeError
from wan_core.identity.face import FaceChoice
from wan_core.pipelines.bundle import NanoBundle
from wan_core.pipelines.likeness import NanoVoices, PersonReference, frames_of, report_on
from wan_core.pipelines.recognisers import DrawnFaces, FoundFace, ReferenceFace
from wan_core.report import SimilarityScale
from wan_core.types import AudioClip

SCALE = SimilarityScale("a list", same=1.0, strangers=0.0)


@dataclass(frozen=True)
class ListedFaces:
    """Faces that are known beforehand: the red, green and blue of a frame's first pixel say who is there."""

    scale: SimilarityScale = SCALE
    not_measured: tuple[str, ...] = ()
    counts_faces: bool = True

    def reference(self, photos: Sequence[Tensor], choice: FaceChoice) -> ReferenceFace:
        crop = torch.linspace(-1, 1, 3 * 112 * 112).view(3, 112, 112)
        return ReferenceFace(
            photos[0][0, 0].float(), crop, crop[:, 36:104, 28:84], None, (f"{choice} was used.",)
        )

    def look(self, frames: Iterable[Tensor]) -> list[list[FoundFace]]:
        found: list[list[FoundFace]] = []
        for frame in frames:
            picture = torch.nn.functional.interpolate(
                frame.permute(2, 0, 1)[None].float() / 127.5 - 1, size=(112, 112)
            )[0]
            people = [k for k in range(3) if frame[0, 0, k] > 0]
            found.append([FoundFace(torch.eye(3)[k], picture, 0.2, None, picture) for k in people])
        return found


def photo(number: int) -> Tensor:
    return (torch.eye(3)[number] * 255).to(torch.uint8).expand(8, 8, 3)


def test_every_character_gets_its_own_face() -> None:
    frames = torch.zeros(FRAMES, 8, 8, 3, dtype=torch.uint8)
    frames[:, 0, 0, 1] = 9
    frames[::2, 0, 0, 0] = 9
    people = {f"character{k + 1}": PersonReference(photos=(photo(k),)) for k in range(2)}
    report = report_on(frames, FPS, people=people, recogniser=ListedFaces())
    found = report.measurements
    assert found.faces == (2, 1) * 8 + (2,)
    first, second = found.likeness["character1"], found.likeness["character2"]
    assert first is not None and second is not None
    assert (second.seen, second.mean, second.lowest) == (1.0, 1.0, 1.0)
    # the first is taken for every face that the second leaves over, and has none in the other frames
    assert first.seen == 9 / 17 and first.mean == 1.0
    assert first.track.similarity[1] is None
    assert found.notes == ("character1: auto was used.", "character2: auto was used.")
    assert set(report.faces) == {"character1", "character2"}


def test_a_person_that_never_comes_counts_as_nothing() -> None:
    frames = torch.zeros(FRAMES, 8, 8, 3, dtype=torch.uint8)
    found = report_on(
        frames, FPS, people={"character1": PersonReference(photos=(photo(0),))}, recogniser=ListedFaces()
    ).measurements
    assert found.likeness == {"character1": None}
    assert found.score == 0.0 and found.faces == (0,) * FRAMES


def test_lips_are_read_where_nano_draws_them_or_where_the_landmarks_are(loudness: Tensor) -> None:
    frames = to_bytes(talking_face(loudness))
    sound = buzz(loudness, 200.0)
    voice = PersonReference(voice=buzz(torch.ones(FRAMES), 100.0))
    drawn = report_on(frames, FPS, sound, people={"character1": voice}).measurements
    assert drawn.lips["character1"].by_lag[0] > 0.8 and "nano draws" in drawn.mouth
    assert drawn.voices["character1"].difference == pytest.approx(12, abs=0.4)
    assert drawn.voices["character1"].similarity is None
    alone = report_on(frames, FPS, sound).measurements
    assert alone.lips["clip"].by_lag == drawn.lips["character1"].by_lag
    assert alone.voices["clip"].reference is None
    # an aligned crop has the mouth further down than a clip of nano
    aligned = report_on(frames.roll(16, dims=1), FPS, sound, recogniser=ListedFaces()).measurements
    assert "landmarks" in aligned.mouth and "clip" in aligned.lips


def test_nano_judges_its_own_kind(shipped: NanoBundle, loudness: Tensor) -> None:
    frames = to_bytes(talking_face(loudness))
    own = PersonReference(photos=(frames[0],), face="whole", voice=buzz(loudness, 150.0))
    report = report_on(
        frames,
        FPS,
        buzz(loudness, 150.0),
        people={"character1": own},
        recogniser=DrawnFaces(shipped.identity.face_encoder),
        speakers=NanoVoices(shipped.voice),
    ).measurements
    likeness, voice = report.likeness["character1"], report.voices["character1"]
    assert likeness is not None and likeness.mean > 0.9
    assert voice.similarity == pytest.approx(1.0, abs=1e-4)
    assert report.faces is None and "drawn faces" in likeness.not_measured[0]
    assert report.colours is not None and set(report.colours) == {"hair", "skin", "clothes"}


def test_a_reference_that_is_pasted_raises_the_alarm(shipped: NanoBundle) -> None:
    """A photograph's middle, moved about before a plain ground, framed as nano's clips are."""
    from skimage import data

    picture = torch.from_numpy(data.astronaut()[40:220, 130:310].copy())
    scaled = torch.nn.functional.interpolate(
        picture.permute(2, 0, 1)[None].float(),
        scale_factor=1.0 / 180 * 64 * 2.3 / 2.5,
        mode="bilinear",
        antialias=True,
    )[0]
    frames = torch.full((9, 64, 64, 3), 90, dtype=torch.uint8)
    for number in range(9):
        top, left = number % 3, 2 + number % 4
        part = scaled[:, : 64 - top, : 64 - left].round().to(torch.uint8).permute(1, 2, 0)
        frames[number, top : top + part.shape[0], left : left + part.shape[1]] = part
    own = PersonReference(photos=(picture,), face="whole")
    ways = DrawnFaces(shipped.identity.face_encoder)
    likeness = report_on(frames, FPS, people={"character1": own}, recogniser=ways).measurements.likeness[
        "character1"
    ]
    assert likeness is not None
    assert likeness.copy_paste.same_picture == 1.0
    mirrored = report_on(frames.flip(2), FPS, people={"character1": own}, recogniser=ways).measurements
    other = mirrored.likeness["character1"]
    assert other is not None and other.copy_paste.same_picture == 0.0 and not other.copy_paste.alarm


def test_silence_is_noted(shipped: NanoBundle, loudness: Tensor) -> None:
    silent = AudioClip(torch.zeros(1, 34000), RATE)
    people = {"character1": PersonReference(voice=buzz(torch.tensor(LOUDNESS)))}
    found = report_on(
        to_bytes(talking_face(loudness)), FPS, silent, people=people, speakers=NanoVoices(shipped.voice)
    ).measurements
    assert any("lips were not measured" in note for note in found.notes)
    assert any(
        "voices were not compared. voice clip: expected at least 0.1 s" in note for note in found.notes
    )
    assert found.voices["character1"].similarity is None


def test_useless_input_is_named(loudness: Tensor) -> None:
    frames = to_bytes(talking_face(loudness))
    with pytest.raises(ShapeError, match=r"frames: expected \(F, H, W, 3\) uint8, got \(3, 5, 8, 8\)"):
        report_on(torch.zeros(3, 5, 8, 8), FPS)
    with pytest.raises(ShapeError, match="character1: expected .1, samples. at 16000 Hz, got .* at 8000 Hz"):
        report_on(
            frames, FPS, people={"character1": PersonReference(voice=AudioClip(torch.zeros(1, 10), 8000))}
        )
    with pytest.raises(InputError, match="expected a recogniser for the photos"):
        report_on(frames, FPS, people={"character1": PersonReference(photos=(photo(0),))})
    with pytest.raises(InputError, match="fps: expected more than 0"):
        report_on(frames, 0.0)


def test_frames_of_a_clip_in_memory() -> None:
    video = torch.tensor([-1.0, 0.0, 1.0, 2.0]).view(1, 1, 4, 1, 1).expand(1, 3, 4, 2, 2)
    assert frames_of(video)[:, 0, 0, 0].tolist() == [0, 128, 255, 255]
    assert frames_of(video[0]).shape == (4, 2, 2, 3)
    with pytest.raises(ShapeError, match=r"expected \(3, F, H, W\)"):
        frames_of(video[0, 0])
