"""Every step from a photograph to Lynx's embedding equals OpenCV's, scikit-image's and facexlib's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from arcface_weights import arcface_weights
from safetensors.torch import load_file, save_file

from wan_core.checkpoints.lynx_face import load_arcface
from wan_core.errors import CheckpointMismatchError, InputError, ShapeError, UnknownCheckpointError
from wan_core.identity.alignment import align_face, alignment_matrix, face_template, warp_affine
from wan_core.identity.arcface import ArcFace, face_input
from wan_core.identity.lynx_prepare import reference_pixels

GOLDEN = Path(__file__).parents[2] / "golden" / "face_input.safetensors"


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    return load_file(GOLDEN)


@pytest.mark.parametrize(("size", "is_extended"), [(112, False), (256, True)])
def test_matrix_and_crop(golden: dict[str, torch.Tensor], size: int, is_extended: bool) -> None:
    image, landmarks = golden["image"].numpy(), golden["landmarks"].numpy()
    found = alignment_matrix(landmarks, face_template(size, is_extended=is_extended))
    expected = golden[f"matrix_{size}"].numpy()
    # scikit-image worked in float32 here, as the landmarks are
    assert np.abs(found - expected).max() / np.abs(expected).max() < 1e-6
    golden_crop = golden[f"crop_{size}"].numpy()
    assert np.array_equal(warp_affine(image, expected, size), golden_crop)
    crop = align_face(image, landmarks, size, is_extended=is_extended)
    assert (crop != golden_crop).mean() < 0.001
    assert (crop == 0).all(axis=2).any(), "the picture is small: some of the crop must be beyond it"


def test_channels_and_range(golden: dict[str, torch.Tensor]) -> None:
    given = face_input(golden["crop_112"].numpy())
    assert torch.equal(given[0, :, 50:54], golden["input_rows_50_to_54"])
    assert float(given.min()) == -1.0 and float(given.max()) <= 1.0


def test_picture_of_the_reference_pass(golden: dict[str, torch.Tensor]) -> None:
    face, nobody = reference_pixels(golden["image"].numpy(), golden["landmarks"].numpy())
    expected = golden["crop_256"].permute(2, 0, 1).float() / 255.0 * 2 - 1
    assert face.shape == nobody.shape == (1, 3, 1, 256, 256)
    assert float((face[0, :, 0] != expected).float().mean()) < 0.001
    assert not nobody.any()


def test_embedding_equals_facexlib(golden: dict[str, torch.Tensor], tmp_path: Path) -> None:
    shapes = {key: tuple(value.shape) for key, value in ArcFace().state_dict().items()}
    file = tmp_path / "recognition_arcface_ir_se50.pth"
    weights = arcface_weights(shapes)
    counters = {"body.0.res_layer.0.num_batches_tracked": torch.tensor(3)}
    torch.save(weights | counters, file)
    model = load_arcface(file)
    with torch.no_grad():
        found = model(face_input(golden["crop_112"].numpy()))
    assert float((found - golden["embedding"]).norm() / golden["embedding"].norm()) < 1e-5
    assert abs(float(found.norm()) - 1.0) < 1e-6
    assert sum(parameter.numel() for parameter in model.parameters()) == 43_797_696


def test_keys_are_those_of_the_published_file() -> None:
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in ArcFace().state_dict().items()}
    assert shapes["input_layer.0.weight"] == (64, 3, 3, 3)
    assert shapes["body.3.shortcut_layer.0.weight"] == (128, 64, 1, 1)
    assert shapes["body.23.res_layer.5.fc1.weight"] == (32, 512, 1, 1)
    assert shapes["body.21.res_layer.2.weight"] == (512,)
    assert shapes["output_layer.3.weight"] == (512, 512 * 7 * 7)
    assert shapes["output_layer.4.running_var"] == (512,)
    assert {key.split(".")[1] for key in shapes if key.startswith("body.")} == {str(i) for i in range(24)}


def test_another_recogniser_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    save_file({"conv1.weight": torch.zeros(2)}, file)
    with pytest.raises(UnknownCheckpointError, match="expected facexlib's ArcFace"):
        load_arcface(file)
    keys = ("input_layer.0.weight", "body.23.res_layer.5.fc2.weight", "output_layer.3.weight")
    save_file({key: torch.zeros(1) for key in keys}, file)
    with pytest.raises(CheckpointMismatchError, match="missing"):
        load_arcface(file)


def test_misfits_are_named() -> None:
    image = np.zeros((20, 20, 3), dtype=np.uint8)
    points = np.ones((5, 2), dtype=np.float32)
    with pytest.raises(InputError, match="expected 5 different points"):
        align_face(image, points)
    with pytest.raises(InputError, match="expected 5 finite points"):
        align_face(image, points * np.float32("nan"))
    with pytest.raises(InputError, match="multiple of 112 or 128, got 100"):
        face_template(100)
    with pytest.raises(InputError, match=r"photo: expected \(H, W, 3\) uint8"):
        align_face(image.astype(np.float32), points)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"face: expected \(112, 112, 3\)"):
        face_input(image)
    with torch.device("meta"):
        model = ArcFace()
    with pytest.raises(ShapeError, match="Use align_face"):
        model(torch.zeros(1, 3, 64, 64, device="meta"))
