"""Run by ComfyUI's Python, without a server: our VAE and ComfyUI's of the same kind around the same random weights.

    python comfy_vae.py COMFYUI ROOT 2.1|2.2

Full size, since core builds 2.2 at no other. Prints one line of JSON: relative distances of latents and pixels.
"""

from __future__ import annotations

import importlib
import json
import sys

COMFYUI, ROOT, KIND = sys.argv[1:4]


def main() -> None:
    sys.path[:0] = [COMFYUI, ROOT]
    sys.argv = ["main.py", "--cpu"]
    import comfy.options

    comfy.options.enable_args_parsing()
    import torch
    from torch import Tensor

    from benchmarks.vae_decode import CONFIGS, denormalise, ours, random_weights

    torch.set_num_threads(1)
    config = CONFIGS[KIND]
    weights, place = random_weights(config), {"device": "cpu", "dtype": torch.float32}
    module = importlib.import_module("comfy.ldm.wan.vae2_2" if config.is_residual else "comfy.ldm.wan.vae")
    widths = {"dim": config.encoder_width} | ({"dec_dim": config.decoder_width} if config.is_residual else {})
    with torch.device("meta"):
        core = module.WanVAE(
            **widths, z_dim=config.latent_channels, temperal_downsample=list(config.temporal_downsample)
        )
    core.load_state_dict(weights, assign=True)
    vae = ours(config, weights, place)

    def distance(found: Tensor, expected: Tensor) -> float:
        assert found.shape == expected.shape and float(expected.std()) > 0.1
        return float((found - expected).norm() / expected.norm())

    generator, side = torch.Generator().manual_seed(1), 4 * config.spatial_stride
    video = torch.rand((1, 3, 5, side, side), generator=generator) * 2 - 1
    with torch.no_grad():
        latents = vae.encode(video)
        found = {
            "latents": distance(denormalise(config, latents), core.encode(video)),
            "pixels": distance(vae.decode(latents), core.decode(denormalise(config, latents)).clamp(-1, 1)),
        }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
