"""Make `face_input.safetensors`: a picture, its crops by OpenCV, and an embedding by facexlib's ArcFace.

Run once with checkouts of bytedance/lynx@3a6a91a and xinntao/facexlib@260620a, opencv-python-headless 4.10.0.84 and
scikit-image: `python tests/golden/make_face_input.py PATH_OF_LYNX PATH_OF_FACEXLIB`. The official modules are run, not
copied. The weights come from `tests/support/arcface_weights.py`, so they are not in the file.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file


def load(path: Path) -> ModuleType:
    """Import one file of a checkout."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"cannot read {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def picture() -> np.ndarray:
    """A picture with smooth and sharp parts, 70 x 80 pixels."""
    rows, columns = np.mgrid[0:70, 0:80].astype(np.float64)
    layers = [
        127 + 120 * np.sin(rows / 7 + columns / 13),
        255 * ((rows // 6 + columns // 5) % 2),
        rows * 2 + columns,
    ]
    noise = np.random.default_rng(5).integers(-20, 21, (70, 80, 3))
    return np.clip(np.stack(layers, axis=-1) + noise, 0, 255).astype(np.uint8)


def main() -> None:
    """Run the official functions and save their numbers."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
    from arcface_weights import arcface_weights

    face = load(Path(sys.argv[1]) / "modules" / "common" / "face_utils.py")
    network = load(Path(sys.argv[2]) / "facexlib" / "recognition" / "arcface_arch.py")
    image = picture()
    landmarks = np.array(
        [[27.3, 22.1], [51.8, 25.4], [38.9, 37.0], [27.2, 50.6], [46.1, 53.2]], dtype=np.float32
    )
    tensors = {"image": torch.from_numpy(image), "landmarks": torch.from_numpy(landmarks)}
    # the recogniser's crop is insightface's norm_crop: this matrix and the same warp
    small = face.estimate_norm(landmarks, 112, face.get_arcface_dst())
    crop = cv2.warpAffine(image, small, (112, 112), borderValue=0.0)
    large = face.estimate_norm(landmarks, 256, face.get_arcface_dst(True, 0.8))
    reference = np.array(
        face.align_face(Image.fromarray(image), landmarks, extend_face_crop=True, face_size=256)
    )
    tensors |= {"matrix_112": torch.from_numpy(small), "matrix_256": torch.from_numpy(large)}
    tensors |= {"crop_112": torch.from_numpy(crop), "crop_256": torch.from_numpy(reference)}

    pixels = (torch.from_numpy(crop).permute(2, 0, 1).float().div(255) - 0.5) / 0.5
    given = pixels[None][:, [2, 1, 0]].contiguous()
    model = network.Backbone(num_layers=50, drop_ratio=0.6, mode="ir_se").train(False)
    weights = arcface_weights({key: tuple(value.shape) for key, value in model.state_dict().items()})
    left = model.load_state_dict(weights, strict=False)
    assert not left.unexpected_keys and all(key.endswith("num_batches_tracked") for key in left.missing_keys)
    with torch.no_grad():
        tensors |= {"input_rows_50_to_54": given[0, :, 50:54], "embedding": model(given)}
    path = Path(__file__).with_name("face_input.safetensors")
    tensors = {key: value.contiguous().clone() for key, value in tensors.items()}
    sources = "bytedance/lynx@3a6a91a, xinntao/facexlib@260620a, opencv 4.10.0, scikit-image"
    save_file(tensors, path, metadata={"source": sources})


if __name__ == "__main__":
    main()
