from __future__ import annotations

import numpy as np
import pytest
import torch

from wan_core.errors import InputError
from wan_core.identity.alignment import TEMPLATE
from wan_core.identity.views import (
    FrameFace,
    SeenFace,
    choose_frames,
    choose_view,
    combine_embeddings,
    face_sharpness,
    frontality,
)

FRONT = np.array(TEMPLATE, dtype=np.float32)
#: A head's five landmarks in space (x to the right, y down, z towards the camera), about as the template has them.
HEAD = np.array(
    [[-17.5, -20, 0], [17.5, -20, 0], [0, 0, 17], [-14.5, 20, 3], [14.5, 20, 3]], dtype=np.float64
)


def turned(degrees: float, lean: float = 0.0) -> np.ndarray:
    """Landmarks of a head that is turned aside and leans, seen from far away."""
    yaw, roll = np.radians([degrees, lean])
    across = HEAD[:, 0] * np.cos(yaw) + HEAD[:, 2] * np.sin(yaw)
    x, y = (
        across * np.cos(roll) - HEAD[:, 1] * np.sin(roll),
        across * np.sin(roll) + HEAD[:, 1] * np.cos(roll),
    )
    return (np.stack((x, y), axis=-1) * 2 + 80).astype(np.float32)


def seen(landmarks: np.ndarray = FRONT, scale: float = 1.0, left: float = 0.0) -> SeenFace:
    return SeenFace(landmarks.astype(np.float32) * np.float32(scale), left, 5.0, 80.0 * scale, 100.0 * scale)


def test_frontality_falls_as_the_head_turns_and_not_as_it_leans() -> None:
    values = [frontality(turned(degrees)) for degrees in (0, 15, 30, 45, 60, 75, 90)]
    assert values[0] > 0.95
    assert all(a > b or a == b == 0.0 for a, b in zip(values, values[1:], strict=False)), values
    assert values[2] > 0.35 > values[4]
    assert frontality(turned(-30)) == pytest.approx(values[2], abs=1e-5)
    assert frontality(turned(20, lean=35)) == pytest.approx(frontality(turned(20)), abs=1e-5)
    assert frontality(FRONT) > 0.95
    assert frontality(np.zeros((5, 2), dtype=np.float32)) == 0.0


def test_sharpness_falls_with_blur_and_with_enlargement() -> None:
    image = np.random.default_rng(2).integers(0, 256, (112, 112, 3)).astype(np.uint8)
    rows = (image.astype(np.float64) + np.roll(image, 1, 0) + np.roll(image, -1, 0)) / 3
    blurred = ((rows + np.roll(rows, 1, 1) + np.roll(rows, -1, 1)) / 3).astype(np.uint8)
    assert face_sharpness(image, seen()) > 3 * face_sharpness(blurred, seen())
    assert face_sharpness(image, seen()) > 2 * face_sharpness(image, seen(scale=0.5))


def test_view_is_chosen_or_refused_with_the_reason() -> None:
    one, small = seen(), seen(scale=0.4, left=7)
    assert choose_view([one]) is one
    assert choose_view([small, one], 2) is small
    with pytest.raises(InputError, match="photo 3: expected a face, got none found"):
        choose_view([], where="photo 3")
    with pytest.raises(InputError, match=r"got 2 faces \(1 at \(0, 5\), 80x100; 2 at \(7, 5\), 32x40\)"):
        choose_view([small, one])
    with pytest.raises(InputError, match="expected a face from 1 to 2 .* got 3"):
        choose_view([small, one], 3)
    with pytest.raises(InputError, match=r"at least 9 pixels between the eyes, got 7\.0"):
        choose_view([seen(scale=0.2)])
    with pytest.raises(InputError, match="got a profile"):
        choose_view([seen(turned(80))])


def person(seed: int, photos: int, noise: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    centre = torch.randn(1, 512, generator=generator)
    return torch.nn.functional.normalize(
        centre + noise * torch.randn(photos, 512, generator=generator), dim=1
    )


def test_photos_of_one_person_are_averaged() -> None:
    embeddings = person(1, 5, 0.7)
    found = combine_embeddings(embeddings)
    expected = torch.nn.functional.normalize(embeddings.mean(dim=0), dim=0)
    assert torch.allclose(found.embedding.flatten(), expected, atol=1e-6)
    assert found.embedding.shape == (1, 1, 512)
    assert found.used == (1, 2, 3, 4, 5) and not found.outliers and not found.notes()
    # the mean is closer to the person than any one photo
    centre = torch.randn(512, generator=torch.Generator().manual_seed(1))
    near = torch.nn.functional.cosine_similarity(found.embedding[0], centre[None])
    assert near > torch.nn.functional.cosine_similarity(embeddings, centre[None]).max()


def test_somebody_else_is_reported_and_left_out() -> None:
    embeddings = torch.cat((person(1, 2, 0.7), person(2, 1, 0.7), person(1, 3, 0.7)[2:]))
    found = combine_embeddings(embeddings)
    assert found.used == (1, 2, 4)
    assert [number for number, _ in found.outliers] == [3] and abs(found.outliers[0][1]) < 0.2
    assert found.notes()[0].startswith("photo 3 is left out: it resembles the others by")
    assert found.similarities[2] < 0.2 < min(found.similarities[i] for i in (0, 1, 3))
    clean = combine_embeddings(embeddings[[0, 1, 3]])
    assert torch.equal(found.embedding, clean.embedding)


def test_one_photo_is_itself() -> None:
    embedding = person(3, 1, 0.5)
    assert torch.allclose(combine_embeddings(embedding).embedding.flatten(), embedding[0], atol=1e-7)


def test_no_majority_and_wrong_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="expected most of them to show one person, got similarities"):
        combine_embeddings(torch.cat((person(1, 1, 0.5), person(2, 1, 0.5))))
    with pytest.raises(InputError, match="expected 1 to 8 of one person, got 9"):
        combine_embeddings(person(1, 9, 0.5))
    with pytest.raises(InputError, match="embeddings of finite length"):
        combine_embeddings(torch.zeros(2, 512))


def test_best_frames_of_a_video_are_chosen_and_named() -> None:
    frames = [
        FrameFace(0, 0.0, seen(turned(70)), 90.0),
        FrameFace(4, 0.4, seen(), 10.0),
        FrameFace(8, 0.8, seen(), 80.0),
        FrameFace(9, 0.9, seen(), 79.0),
        FrameFace(20, 2.0, seen(turned(20), 0.5), 70.0),
        FrameFace(30, 3.0, seen(scale=0.1), 80.0),
    ]
    found = choose_frames(frames, 3)
    assert [own.index for own in found.frames] == [8, 20, 4]
    assert found.scores[0] > found.scores[1] > found.scores[2] > 0
    assert found.note() == "frames used of the video: 8 (0.80 s), 20 (2.00 s), 4 (0.40 s)."
    assert [own.index for own in choose_frames(frames, 2, least_gap=0.0).frames] == [8, 9]


def test_video_without_a_usable_frame_is_refused() -> None:
    with pytest.raises(InputError, match="video: expected frames with a face, got none"):
        choose_frames([])
    with pytest.raises(InputError, match="got a profile in all of them"):
        choose_frames([FrameFace(0, 0.0, seen(turned(80)), 9.0)])
    with pytest.raises(InputError, match="got too small a face in all of them"):
        choose_frames([FrameFace(0, 0.0, seen(scale=0.1), 9.0)])
    with pytest.raises(InputError, match="expected to choose 1 to 8, got 0"):
        choose_frames([FrameFace(0, 0.0, seen(), 9.0)], 0)
