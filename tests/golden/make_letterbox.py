"""Make `letterbox.safetensors`: pictures as HuMo's code hands them to the VAE (Phantom's and DreamID-Omni's fit alike).

Run once with a checkout of Phantom-video/HuMo@17094e9: `python tests/golden/make_letterbox.py HUMO`. The official
method is run, not copied: it is taken out of its file by name, with a VAE that keeps the pixels.
"""

from __future__ import annotations

import ast
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file
from torchvision.transforms import Compose, Normalize, ToTensor

METHOD = "load_image_latent_ref_id"
#: Height and width of the pictures; width and height of the clips.
PICTURES, SIZES = ((37, 61), (61, 23), (32, 48)), ((48, 32), (32, 48))


def main() -> None:
    """Write the file beside this script."""
    source = (Path(sys.argv[1]) / "humo" / "generate.py").read_text()
    (method,) = (
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name == METHOD
    )
    names: dict[str, Any] = {
        "Image": Image,
        "ImageOps": ImageOps,
        "Compose": Compose,
        "Normalize": Normalize,
        "ToTensor": ToTensor,
        "torch": torch,
    }
    exec(compile(ast.Module([method], []), METHOD, "exec"), names)
    owner = SimpleNamespace(vae=SimpleNamespace(encode=lambda clips, _device: clips))
    rng = np.random.default_rng(7)
    tensors: dict[str, torch.Tensor] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (height, width) in enumerate(PICTURES):
            image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
            path = Path(folder) / f"{number}.png"
            Image.fromarray(image).save(path)
            tensors[f"picture{number}"] = torch.from_numpy(image)
            for size in SIZES:
                clip = names[METHOD](owner, str(path), size, "cpu")[0]
                tensors[f"picture{number}.{size[0]}x{size[1]}"] = clip.contiguous()
    save_file(tensors, Path(__file__).with_name("letterbox.safetensors"))


if __name__ == "__main__":
    main()
