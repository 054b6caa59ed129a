"""Makes `mmaudio.safetensors` and `mmaudio_headers.json`: the 16 kHz audio codec as Ovi carries it, in float32.

    python tests/golden/make_mmaudio.py OVI_FOLDER

OVI_FOLDER is a checkout of character-ai/Ovi at commit 5b69b25; its folder of MMAudio is MIT-licensed (BigVGAN: MIT).
librosa must be installed for the mel filters. The weights are a formula of tests/support, so that they need no room;
the JSON has names and shapes at the published size.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import types
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from formula_weights import formula_state  # noqa: E402

SOURCE = "character-ai/Ovi@5b69b25 ovi/modules/mmaudio"
FOLDERS = ("autoencoder", "bigvgan", "bigvgan/alias_free_torch")
VOCODER = {
    "resblock": "1",
    "num_mels": 80,
    "upsample_rates": (4, 4, 2, 2, 2, 2),
    "upsample_kernel_sizes": (8, 8, 4, 4, 4, 4),
    "upsample_initial_channel": 1536,
    "resblock_kernel_sizes": (3, 7, 11),
    "resblock_dilation_sizes": ((1, 3, 5), (1, 3, 5), (1, 3, 5)),
    "activation": "snakebeta",
    "snake_logscale": True,
}


def prepare(ovi: Path, folder: Path) -> None:
    """Copy the files that are needed, as a package `ext`, without those that load weights."""
    source = ovi / "ovi" / "modules" / "mmaudio" / "ext"
    for name in FOLDERS:
        (folder / "ext" / name).mkdir(parents=True)
        for path in (source / name).glob("*.py"):
            (folder / "ext" / name / path.name).write_text(path.read_text())
    (folder / "ext" / "mel_converter.py").write_text((source / "mel_converter.py").read_text())
    for name in ("", "autoencoder", "bigvgan"):
        (folder / "ext" / name / "__init__.py").write_text("")


def fill(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Give a module the formula's weights under its own names, filters of the anti-aliasing excepted."""
    own = module.state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in own.items() if not name.endswith("filter")}
    weights = formula_state(shapes)
    if "data_std" in weights:
        weights["data_std"] += 1
    module.load_state_dict(own | weights, strict=True)
    return own


def main() -> None:
    """Run upstream and write both files."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(sys.argv[1]), Path(folder))
        sys.path.insert(0, folder)
        vae_module = importlib.import_module("ext.autoencoder.vae")
        models = importlib.import_module("ext.bigvgan.models")
        mel = importlib.import_module("ext.mel_converter").get_mel_converter("16k")
        with torch.device("meta"):
            parts = {
                "VAE": vae_module.VAE_16k(),
                "vocoder": models.BigVGANVocoder(types.SimpleNamespace(**VOCODER)),
            }
        vae = vae_module.VAE(data_dim=80, embed_dim=20, hidden_dim=8).train(False)
        vocoder = models.BigVGANVocoder(types.SimpleNamespace(**{**VOCODER, "upsample_initial_channel": 64}))
        parts |= {"tiny VAE": vae, "tiny vocoder": vocoder}
        headers = {
            part: {name: list(tensor.shape) for name, tensor in module.state_dict().items()}
            for part, module in parts.items()
        }
        fill(vae)
        vae.remove_weight_norm()
        fill(vocoder)
        vocoder.remove_weight_norm()
        times = torch.arange(16000 * 3 // 4) / 16000
        waveform = 0.5 * torch.sin(2 * torch.pi * 180 * times) + 0.3 * torch.sin(
            2 * torch.pi * 2500 * times**2
        )
        waveform = (waveform + 0.05 * torch.randn(len(times), generator=torch.Generator().manual_seed(0)))[
            None
        ]
        latents = torch.randn(1, 20, 6, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            spectrum = mel(waveform)
            decoded = vae.decode(latents)
            tensors = {
                "waveform": waveform,
                "mel": spectrum,
                "encoded": vae.encode(spectrum).mean,
                "latents": latents,
                "decoded": decoded,
                "sound": vocoder(decoded),
            }
    save_file(
        {k: v.contiguous() for k, v in tensors.items()},
        HERE / "mmaudio.safetensors",
        metadata={"source": SOURCE},
    )
    rows = [f"{json.dumps(name)}: {json.dumps(header)}" for name, header in headers.items()]
    (HERE / "mmaudio_headers.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
