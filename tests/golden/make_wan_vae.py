"""Make `wan_vae.safetensors`: latents and pixels that the official VAEs give for weights made by a formula.

Run once with checkouts of Wan-Video/Wan2.1 at 9737cba9c1c3c4d04b33fcad41c111989865d315 and Wan-Video/Wan2.2 at
42bf4cfaa384bc21833865abc2f9e6c0e67233dc: `python tests/golden/make_wan_vae.py PATH_OF_WAN21 PATH_OF_WAN22`. The
official modules are run, not copied; the file holds numbers only. Shapes: `tiny_vae.TINY`; 9 frames of 32 x 32 pixels,
float64. `wan_vae_full.json` has the shapes of the published sizes' tensors.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from formula_weights import formula_tensor
from tiny_vae import TINY, formula_vae_state, official_arguments


def load_module(path: Path) -> ModuleType:
    """Import one file of a checkout."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"cannot read {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Run both official VAEs, and list the tensors of the published sizes."""
    sources = {"2.1": "wan/modules/vae.py", "2.2": "wan/modules/vae2_2.py"}
    full = {
        "2.1": {"dim": 96, "z_dim": 16},
        "2.2": {"dim": 160, "dec_dim": 256, "z_dim": 48},
    }
    tensors: dict[str, torch.Tensor] = {}
    shapes: dict[str, dict[str, list[int]]] = {}
    for argument, (kind, config) in zip(sys.argv[1:], TINY.items(), strict=True):
        module = load_module(Path(argument) / sources[kind])
        with torch.device("meta"):
            published = module.WanVAE_(**full[kind], temperal_downsample=[False, True, True])
        shapes[kind] = {key: list(value.shape) for key, value in published.state_dict().items()}
        vae = module.WanVAE_(**official_arguments(config)).double().eval()
        own = {key: tuple(value.shape) for key, value in vae.state_dict().items()}
        vae.load_state_dict({key: value.double() for key, value in formula_vae_state(own).items()})
        video = formula_tensor((1, 3, 9, 32, 32), 7, scale=1.0).double()
        scale = [torch.tensor(config.latents_mean).double(), 1 / torch.tensor(config.latents_std).double()]
        with torch.no_grad():
            latents = vae.encode(video, scale)
            pixels = vae.decode(latents, scale)
        tensors |= {f"{kind}.latents": latents.float(), f"{kind}.pixels": pixels.float()}
    folder = Path(__file__).parent
    metadata = {
        "source": "Wan-Video/Wan2.1@9737cba wan/modules/vae.py, Wan-Video/Wan2.2@42bf4cf wan/modules/vae2_2.py"
    }
    save_file(tensors, folder / "wan_vae.safetensors", metadata=metadata)
    (folder / "wan_vae_full.json").write_text(json.dumps(shapes), encoding="utf-8")


if __name__ == "__main__":
    main()
