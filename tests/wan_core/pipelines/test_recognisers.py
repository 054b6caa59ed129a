"""Finding and comparing faces: what each way sees of a real photograph and of drawn frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from arcface_weights import arcface_weights
from numpy.typing import NDArray
from skimage import data

from wan_core.errors import InputError
from wan_core.identity.arcface import ArcFace
from wan_core.identity.boxes import FaceBox
from wan_core.identity.detectors import Detector, box_of
from wan_core.identity.encoder import FaceEncoder
from wan_core.identity.views import SeenFace
from wan_core.pipelines.bundle import NanoBundle
from wan_core.pipelines.recognisers import ArcFaceFaces, DrawnFaces, FoundFaces, box_finder
from wan_core.report import picture_sameness

#: Landmarks of the astronaut by hand, for lack of a detector with weights: eyes, nose, corners of the mouth.
LANDMARKS = [[206.0, 117.0], [249.0, 113.0], [228.0, 143.0], [212.0, 163.0], [247.0, 161.0]]


@pytest.fixture
def encoder(shipped: NanoBundle) -> FaceEncoder:
    return shipped.identity.face_encoder


@pytest.fixture(scope="module")
def arcface() -> ArcFace:
    with torch.device("meta"):
        model = ArcFace()
    weights = arcface_weights({name: tuple(value.shape) for name, value in model.state_dict().items()})
    model.load_state_dict(weights, assign=True)
    return model.train(False).requires_grad_(False)


@pytest.fixture(scope="module")
def astronaut() -> torch.Tensor:
    return torch.from_numpy(data.astronaut()[:320].copy())


def find(image: NDArray[np.uint8]) -> Sequence[SeenFace]:
    """The astronaut's face where the picture is hers, none in a black one."""
    if not image.any():
        return []
    return [SeenFace(np.array(LANDMARKS, np.float32), 180.0, 70.0, 90.0, 120.0)]


def test_drawn_frames_are_one_face_each(encoder: FaceEncoder) -> None:
    frames = torch.randint(
        0, 256, (3, 96, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    found = DrawnFaces(encoder).look(frames)
    assert [len(faces) for faces in found] == [1, 1, 1]
    assert found[0][0].pose is None and found[0][0].width is None
    assert found[0][0].embedding.shape == (encoder.config.embed_dim,)
    assert "detectors made for photographs" in DrawnFaces(encoder).not_measured[0]


def test_cascade_finds_the_astronaut_and_nobody_else(encoder: FaceEncoder, astronaut: torch.Tensor) -> None:
    ways = FoundFaces(encoder, box_finder(Detector(name="cascade")), "cascade")
    reference = ways.reference([astronaut], "auto")
    ((own,),) = ways.look([astronaut])
    assert 0.15 < (own.width or 0) < 0.4
    assert torch.cosine_similarity(own.embedding, reference.embedding, dim=0) > 0.99
    assert picture_sameness(reference.inner, own.picture[None]) > 0.99


def test_nano_encoder_takes_the_landmarks_of_a_detector(
    encoder: FaceEncoder, astronaut: torch.Tensor
) -> None:
    def boxes(image: NDArray[np.uint8]) -> list[FaceBox]:
        return [box_of(face) for face in find(image)]

    ways = FoundFaces(encoder, boxes, "yunet")
    reference = ways.reference([astronaut], "auto")
    ((own,),) = ways.look([astronaut])
    assert own.aligned is not None and own.aligned.shape == (3, 112, 112)
    assert own.pose == reference.pose is not None
    assert ways.not_measured == ()


def test_arcface_aligns_by_landmarks(arcface: ArcFace, astronaut: torch.Tensor) -> None:
    ways = ArcFaceFaces(arcface, find)
    reference = ways.reference([astronaut], "auto")
    (own,), nobody = ways.look([astronaut, torch.zeros_like(astronaut)])
    assert nobody == []
    assert own.aligned is own.picture and own.picture.shape == (3, 112, 112)
    assert own.width == pytest.approx(90 / 320)
    assert torch.cosine_similarity(own.embedding, reference.embedding, dim=0) > 0.9999
    assert picture_sameness(reference.inner, own.picture[None]) > 0.9999
    # she looks into the camera, leaning a little to the picture's left
    assert reference.pose is not None
    assert abs(reference.pose.yaw) < 20 and abs(reference.pose.pitch) < 20 and -12 < reference.pose.roll < 0


def test_arcface_refuses_what_it_can_not_align(arcface: ArcFace, astronaut: torch.Tensor) -> None:
    ways = ArcFaceFaces(arcface, find)
    with pytest.raises(InputError, match="needs landmarks, got whole"):
        ways.reference([astronaut], "whole")
    with pytest.raises(InputError, match="expected face 2, got 1 found"):
        ways.reference([astronaut], 2)
    with pytest.raises(InputError, match="expected at least one, got none"):
        ways.reference([], "auto")
