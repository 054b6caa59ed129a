"""Faces of real photographs are found, chosen and cut out."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data

from wan_core.errors import FaceError, InputError, ShapeError
from wan_core.identity import FaceBox, choose_face, crop_face, find_faces, read_face, whole_face
from wan_core.identity.detectors import Detector
from wan_core.media import read_photo

LEFT, TOP, WIDTH = 179, 67, 96  # the astronaut's face, from brows to chin


@pytest.fixture(scope="module")
def astronaut() -> NDArray[np.uint8]:
    return data.astronaut()[:320]


def _enlarge(face: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    pixels = torch.from_numpy(face)[None, None]
    scaled = torch.nn.functional.interpolate(pixels, size=(side, side), mode="bicubic").clamp(0, 1)
    return (scaled[0, 0] * 255).byte().numpy()[:, :, None].repeat(3, axis=2)


def test_astronaut_is_found_once(astronaut: NDArray[np.uint8]) -> None:
    faces = find_faces(astronaut)
    assert len(faces) == 1
    assert math.dist((faces[0].left, faces[0].top), (LEFT, TOP)) < 15
    assert abs(faces[0].width - WIDTH) < 20


def test_small_and_large_copies_give_the_same_place(astronaut: NDArray[np.uint8]) -> None:
    large = find_faces(torch.from_numpy(astronaut).repeat_interleave(4, 0).repeat_interleave(4, 1))
    small = find_faces(astronaut[::2, ::2])
    assert abs(large[0].left / 4 - LEFT) < 15
    assert abs(small[0].left * 2 - LEFT) < 15


def test_faces_in_the_wild() -> None:
    """At least three of four press photographs (25 px faces, enlarged onto a grey ground)."""
    subset = np.load(f"{data.__path__[0]}/lfw_subset.npy")[:96:24]
    found = 0
    for face in subset:
        canvas = np.full((160, 160, 3), 128, np.uint8)
        canvas[30:130, 30:130] = _enlarge(face, 100)
        found += bool(find_faces(canvas))
    assert found >= 3


@pytest.mark.parametrize("name", ["gravel", "rocket"])
def test_no_face_where_there_is_none(name: str) -> None:
    image = getattr(data, name)()
    assert find_faces(image if image.ndim == 3 else np.stack([image] * 3, axis=2)) == []


def test_a_sliver_has_no_face() -> None:
    assert find_faces(np.zeros((2, 3000, 3), np.uint8)) == []


def test_two_faces_largest_first_and_a_note(astronaut: NDArray[np.uint8]) -> None:
    both = np.concatenate(
        (np.pad(astronaut[::2, ::2], ((0, 160), (0, 0), (0, 0)), mode="edge"), astronaut), axis=1
    )
    faces = find_faces(both)
    assert len(faces) == 2
    assert faces[0].area > 2 * faces[1].area
    assert faces[0].left > 256 > faces[1].left
    first, note = choose_face(faces)
    assert first == faces[0]
    assert "2 faces found; the largest is used" in note
    assert read_face(both, 2).box == faces[1]
    with pytest.raises(InputError, match=r"expected a number from 1 to 2 .*, got 3"):
        choose_face(faces, 3)
    with pytest.raises(InputError, match="got 0"):
        choose_face(faces, 0)


def test_no_face_says_what_to_do() -> None:
    image = np.full((64, 64, 3), 200, np.uint8)
    with pytest.raises(FaceError, match=r"expected a frontal face, got none found.*--face whole") as caught:
        read_face(image, detector=Detector(name="cascade"))
    assert np.array_equal(caught.value.picture, image)


def test_whole_is_an_explicit_choice_with_a_note() -> None:
    image = np.zeros((60, 100, 3), np.uint8)
    image[:, 20:80] = 255
    crop = read_face(image, "whole", size=30)
    assert crop.box == whole_face(image) == FaceBox(20, 0, 60, 60, is_whole=True)
    assert torch.equal(crop.pixels, torch.ones(3, 30, 30))
    assert crop.notes == ("the whole picture is used as the face.",)
    assert crop.seen[:, 20].tolist()[5] == [0, 220, 90]


def test_crop_is_the_square_around_the_face() -> None:
    ramp = np.zeros((200, 200, 3), np.uint8)
    ramp[:, :, 0] = np.arange(200)
    ramp[:, :, 1] = np.arange(200)[:, None]
    crop = crop_face(ramp, FaceBox(80, 60, 40, 40), size=50, factor=2.0)
    assert crop.shape == (3, 50, 50)
    pixels = (crop + 1) * 127.5
    # The square runs over columns 60..139 and rows 40..119: 1.6 pixels of the picture each.
    assert pixels[0, 25, 10].item() == pytest.approx(60 + 10.5 * 1.6 - 0.5, abs=0.3)
    assert pixels[1, 10, 25].item() == pytest.approx(40 + 10.5 * 1.6 - 0.5, abs=0.3)


def test_beyond_the_edge_the_edge_repeats() -> None:
    image = np.full((40, 40, 3), 10, np.uint8)
    image[:, :1] = 250
    crop = crop_face(image, FaceBox(0, 10, 20, 20), size=40, factor=2.0)
    assert crop[:, :, 0].min() > 0.9
    assert crop[:, :, -1].max() < -0.9


def test_huge_factor_needs_no_huge_memory() -> None:
    crop = crop_face(
        np.full((300, 300, 3), 255, np.uint8), FaceBox(100, 100, 100, 100), size=16, factor=500.0
    )
    assert torch.allclose(crop, torch.ones(3, 16, 16))


def test_box_of_another_picture_is_refused() -> None:
    with pytest.raises(InputError, match="expected inside the picture of 50x50"):
        crop_face(np.zeros((50, 50, 3), np.uint8), FaceBox(500, 10, 20, 20))


def test_float_image_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected \(H, W, 3\) uint8 RGB"):
        find_faces(torch.zeros(10, 10, 3))


def test_a_lamp_is_no_face() -> None:
    """insightface's sample: the cascade alone takes a lamp for its largest face; the second looks do not."""
    insightface = pytest.importorskip(
        "insightface", reason="the sample photograph is in the package insightface"
    )
    file = Path(insightface.__file__).parent / "data" / "images" / "t1.jpg"
    if not file.is_file():
        pytest.skip(f"this insightface has no sample photograph {file.name}")
    photo = read_photo(file).pixels
    crop = read_face(photo, detector=Detector(name="cascade"))
    # six people sit there; three of them look at the camera, the largest of those faces is the second from the left
    assert (crop.box.left, crop.box.top, crop.box.width) == pytest.approx((448, 274, 135), abs=20)
    assert crop.notes[0].startswith("3 faces found; the largest is used")
    assert (crop.seen[274, 460:560] == (0, 220, 90)).all(axis=-1).any()
    second = read_face(photo, 2, detector=Detector(name="cascade"))
    assert second.box.left == pytest.approx(1113, abs=20)
    with pytest.raises(FaceError, match="expected a number from 1 to 3") as caught:
        read_face(photo, 4, detector=Detector(name="cascade"))
    assert caught.value.picture.shape == tuple(photo.shape)
    assert (caught.value.picture != photo.numpy()).any()


def test_too_small_a_face_is_refused(astronaut: NDArray[np.uint8]) -> None:
    with pytest.raises(FaceError, match="at least 20 pixels from brows to chin, got 1"):
        read_face(astronaut[20:220:6, 130:330:6], detector=Detector(name="cascade"))
