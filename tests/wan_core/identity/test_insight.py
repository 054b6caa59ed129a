"""insightface is asked only where it is installed, and what it finds becomes a crop of the usual framing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scrfd_graph import write_landmark_detector

from wan_core.errors import InputError, MissingDependencyError
from wan_core.identity import insight, read_face
from wan_core.identity.insight import find_model, installed_detector, open_scrfd


def test_nothing_is_used_where_nothing_is_installed(tmp_path: Path) -> None:
    assert installed_detector(tmp_path) is None


def test_model_without_the_package_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".insightface" / "models" / "buffalo_l").mkdir(parents=True)
    model = tmp_path / ".insightface" / "models" / "buffalo_l" / "det_10g.onnx"
    model.write_bytes(b"")
    monkeypatch.setattr(insight, "find_spec", lambda name: None if name == "insightface" else object())
    assert installed_detector(tmp_path) is None
    monkeypatch.setattr(insight, "find_spec", lambda _: object())
    assert installed_detector(tmp_path) == model


def test_installed_insightface_finds_the_face_that_the_cascade_misses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("insightface")
    write_landmark_detector(tmp_path / ".insightface" / "models" / "buffalo_x" / "det_1g.onnx")
    image = np.full((320, 320, 3), 90, np.uint8)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    crop = read_face(image)
    # The picture is scaled by 2 to 640: a box of 40 x 60 around (80, 80), so a square of 0.8 x 60, a little lower.
    found = (crop.box.left, crop.box.top, crop.box.width, crop.box.height)
    assert found == pytest.approx((56, 59, 48, 48), abs=1)
    assert crop.box.score == pytest.approx(0.9, abs=1e-3)
    assert crop.notes == ("the face was found by insightface (buffalo_x), not by the cascade.",)
    assert crop.seen.shape == image.shape and (crop.seen != image).any()


def test_model_is_a_file_or_somewhere_in_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("insightface")
    assert find_model(tmp_path) is None
    with pytest.raises(InputError, match="expected an SCRFD model such as det_10g.onnx, got none at"):
        open_scrfd(tmp_path)
    file = write_landmark_detector(tmp_path / "models" / "buffalo_l" / "det_10g.onnx")
    assert find_model(tmp_path) == find_model(file) == file
    (face,) = open_scrfd(tmp_path)(np.zeros((320, 320, 3), np.uint8))
    assert face.width == pytest.approx(40, abs=0.5)


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insight, "find_spec", lambda name: None if name == "onnxruntime" else object())
    with pytest.raises(
        MissingDependencyError, match="got no onnxruntime. Run: pip install insightface onnxruntime"
    ):
        open_scrfd(tmp_path)
