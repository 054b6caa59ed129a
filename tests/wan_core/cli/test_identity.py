"""`wan-r2v encode-identity` and the options of faces, with the shipped weights and real photographs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scrfd_graph import write_landmark_detector
from skimage import data

from wan_core.cli import main
from wan_core.cli.faces import check_regions, read_regions
from wan_core.errors import InputError
from wan_core.identity.regions import Region
from wan_core.media import write_video
from wan_core.pipelines.identity_file import read_identity

CONSENT = ("--consent", "own")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "me.png"
    Image.fromarray(data.astronaut()[20:220, 130:330]).save(path)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(own) for own in arguments])
    streams = capsys.readouterr()
    return code, streams.out, streams.err


def test_photos_and_a_video_become_one_file(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = torch.from_numpy(np.array(Image.open(photo))).permute(2, 0, 1).float() / 127.5 - 1
    video = write_video(tmp_path / "me.mp4", pixels[None, :, None].expand(1, 3, 1, 200, 200), 2.0)
    out = tmp_path / "a.identity.safetensors"
    code, text, error = run(
        capsys, "encode-identity", photo, video, "--frames", 1, *CONSENT, "--detector", "cascade", "-o", out, "--json"
    )  # fmt: skip
    assert code == 0, error
    content = json.loads(text)
    assert content["kind"] == "nano" and content["photos"] == 2
    assert "frames used of the video: " in content["notes"][0]
    assert any(note.startswith("similarity of the photos") for note in content["notes"])
    with Image.open(content["picture"]) as picture:
        assert Path(content["picture"]).name == "a.faces.png" and picture.width > 600
    identity = read_identity(out)
    assert identity.features.ndim == 3 and identity.source == "me.png, me.mp4"


def test_no_face_writes_what_was_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blank = tmp_path / "blank.png"
    Image.fromarray(np.full((64, 80, 3), 200, np.uint8)).save(blank)
    out = tmp_path / "b.identity.safetensors"
    code, _, error = run(capsys, "encode-identity", blank, *CONSENT, "--detector", "cascade", "-o", out)
    seen = tmp_path / "b.faces.png"
    assert code == 2 and f"What was seen: {seen}" in error and "expected a frontal face" in error
    with Image.open(seen) as picture:
        assert picture.size == (80, 64)
    assert not out.exists()
    code, _, error = run(capsys, "encode-identity", blank)
    assert code == 2 and "consent" in error


def test_lynx_has_a_file_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("insightface")
    from arcface_weights import arcface_weights
    from safetensors.torch import save_file

    from wan_core.identity.arcface import ArcFace

    shapes = {name: tuple(own.shape) for name, own in ArcFace().state_dict().items()}
    save_file(arcface_weights(shapes), tmp_path / "arcface.safetensors")
    detector = write_landmark_detector(tmp_path / "det_10g.onnx")
    rng = np.random.default_rng(1)
    picture = tmp_path / "you.png"
    Image.fromarray(rng.integers(0, 255, (320, 320, 3)).astype(np.uint8)).save(picture)
    out = tmp_path / "you.identity.safetensors"
    code, text, error = run(
        capsys, "encode-identity", picture, *CONSENT, "--recogniser", tmp_path / "arcface.safetensors",
        "--detector", "scrfd", "--detector-model", detector, "-o", out,
    )  # fmt: skip
    assert code == 0, error
    assert "for lynx" in text
    identity = read_identity(out)
    assert identity.features.shape == (1, 1, 512)
    assert float(identity.features.norm()) == pytest.approx(1.0, abs=1e-4)
    assert identity.picture is not None and identity.picture.shape == (256, 256, 3)
    code, _, error = run(
        capsys, "encode-identity", picture, *CONSENT, "--recogniser", tmp_path / "arcface.safetensors",
        "--detector", "cascade", "-o", tmp_path / "c.safetensors",
    )  # fmt: skip
    assert code == 2 and "expected one that gives landmarks" in error


def test_regions_are_read() -> None:
    found = read_regions(["character1=0,0,0.5,1@0.5-1", "character1=0.5,0,1,1", "character2=0,0,1,0.5"])
    assert found["character1"][0] == Region(left=0, top=0, right=0.5, bottom=1, start=0.5, end=1)
    assert found["character1"][1].end == math.inf and list(found) == ["character1", "character2"]
    for text in ("character1", "character1=0,0,1", "character1=a,b,c,d", "character1=0,0,1,1@1"):
        with pytest.raises(InputError, match="--region: expected NAME=x0,y0,x1,y1"):
            read_regions([text])
    with pytest.raises(InputError, match="expected names of --reference .character1., got character2"):
        check_regions(found, ["character1"])
