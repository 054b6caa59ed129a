"""CLIP's picture tower: equal to transformers' and to Wan's own, from every file that it is published in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from formula_weights import formula_tensor
from safetensors.torch import load_file, save_file
from tiny_dit import relative_error
from transformers import CLIPVisionConfig, CLIPVisionModel
from wan_release import clip_state

from wan_core.checkpoints.clip_image import load_clip_image
from wan_core.errors import (
    CheckpointMismatchError,
    MissingDependencyError,
    ShapeError,
    UnknownCheckpointError,
)
from wan_core.identity.clip_image import ClipImageConfig, ClipImageEncoder

GOLDEN = Path(__file__).parents[2] / "golden" / "wan_clip.safetensors"
PICTURES = [formula_tensor(shape, 100 + n, 1.0) for n, shape in enumerate(((3, 20, 36), (3, 50, 31)))]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "models_clip.pth"
    torch.save(clip_state(), path)
    return path


def hugging_face(folder: Path) -> tuple[CLIPVisionModel, Path]:
    """A tower of transformers with three heads of 16, saved as a folder."""
    config = CLIPVisionConfig(
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=3,
        image_size=28,
        patch_size=14,
        hidden_act="gelu",
    )
    torch.manual_seed(0)
    model = CLIPVisionModel(config).train(False)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    model.save_pretrained(folder)
    return model, folder


def test_equal_to_wans_own(original: Path) -> None:
    expected = load_file(GOLDEN)["tokens"]
    found = load_clip_image(original).encode(PICTURES)
    assert found.shape == (1, 34, 160)
    assert relative_error(found, expected) < 1e-5


def test_equal_to_the_state_before_the_last_block_of_transformers(tmp_path: Path) -> None:
    model, folder = hugging_face(tmp_path / "image_encoder")
    encoder = load_clip_image(folder)
    assert encoder.config.num_heads == 3
    picture = formula_tensor((3, 28, 28), 1, 1.0)
    mean = torch.tensor((0.48145466, 0.4578275, 0.40821073))[:, None, None]
    std = torch.tensor((0.26862954, 0.26130258, 0.27577711))[:, None, None]
    with torch.no_grad():
        pixels = ((picture / 2 + 0.5 - mean) / std)[None]
        states = model(pixel_values=pixels, output_hidden_states=True).hidden_states
    assert relative_error(encoder.encode([picture]), states[-2]) < 1e-6


def test_comfyui_file_and_pipeline_folder(tmp_path: Path) -> None:
    """ComfyUI's file has the whole name of each tensor and the projection; the number of heads is not in it."""
    _, folder = hugging_face(tmp_path / "pipeline" / "image_encoder")
    (tmp_path / "pipeline" / "model_index.json").write_text("{}")
    stored = load_file(folder / "model.safetensors")
    whole = {f"vision_model.{key.removeprefix('vision_model.')}": value for key, value in stored.items()}
    whole |= {
        "visual_projection.weight": torch.ones(4, 48),
        "vision_model.embeddings.position_ids": torch.arange(5),
    }
    save_file(whole, tmp_path / "clip_vision_h.safetensors")
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "clip_vision_model", "num_attention_heads": 3})
    )
    same = load_clip_image(tmp_path / "clip_vision_h.safetensors").encode(PICTURES)
    assert torch.equal(same, load_clip_image(tmp_path / "pipeline").encode(PICTURES))


def test_a_config_of_another_model_beside_the_file_counts_for_nothing(original: Path) -> None:
    (original.parent / "config.json").write_text(json.dumps({"_class_name": "WanModel", "num_heads": 40}))
    assert load_clip_image(original).config.num_heads == 2


def test_published_size() -> None:
    """ViT-H without its last block: 612 million numbers, 257 tokens a picture."""
    with torch.device("meta"):
        encoder = ClipImageEncoder(ClipImageConfig())
    assert encoder.config.tokens == 257
    assert (
        sum(p.numel() for p in encoder.parameters()) == 632_076_800 - 1280 * 1024 - 12 * 1280**2 - 13 * 1280
    )


def test_bad_files(original: Path, tmp_path: Path) -> None:
    state = clip_state()
    torch.save({k: v for k, v in state.items() if "mlp.0.bias" not in k}, tmp_path / "less.pth")
    with pytest.raises(CheckpointMismatchError, match=r"expected \d+ tensors .* got 2 missing"):
        load_clip_image(tmp_path / "less.pth")
    torch.save(state | {"visual.extra": torch.ones(1)}, tmp_path / "more.pth")
    with pytest.raises(CheckpointMismatchError, match=r"got 1 unknown ones \(visual.extra\)"):
        load_clip_image(tmp_path / "more.pth")
    save_file({"a": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(UnknownCheckpointError, match="expected a patch embedding, got none"):
        load_clip_image(tmp_path / "other.safetensors")
    encoder = load_clip_image(original)
    for pictures in ([], [torch.ones(1, 3, 8, 8)]):
        with pytest.raises(ShapeError, match=r"expected \(3, H, W\) each"):
            encoder.encode(pictures)


def test_transformers_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match="pip install transformers"):
        ClipImageEncoder(ClipImageConfig(dim=16, ffn_dim=16, num_heads=1, num_layers=1))
