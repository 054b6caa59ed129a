"""Write nano's shipped weights from a training run.

    python -m training.export --run DIR --codec FILE --face-encoder FILE --voice-encoder FILE [--out DIR]

The averaged weights of the run's last checkpoint are stored in half precision, one file a part.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn

from wan_core.checkpoints.nano import load_part, save_part
from wan_core.identity.config import IdentityConfig
from wan_core.identity.model import IdentityEncoder
from wan_core.pipelines.bundle import default_folder

from .runs import load_state
from .trainee import Trainee


def load_averaged(run: Path, latent_channels: int) -> tuple[Trainee, int]:
    """Read the averaged weights of a run.

    Returns: the trained parts and the number of steps they have seen.
    Raises: FileNotFoundError: the run has no checkpoint.
    """
    state = load_state(run / "state.safetensors")
    if state is None:
        raise FileNotFoundError(
            f"training run: expected state.safetensors in {run}, got none. Run training.train."
        )
    trainee = Trainee(latent_channels)
    averaged = {
        name.removeprefix("ema/"): value for name, value in state[0].items() if name.startswith("ema/")
    }
    trainee.load_state_dict(averaged)
    return trainee, int(state[1]["step"])


def export(run: Path, codec: Path, face_encoder: Path, voice_encoder: Path, out: Path) -> int:
    """Write every part but the audio codec (training.fit_audio writes that) and return the step."""
    vae = load_part(codec, "patch_vae")
    trainee, step = load_averaged(run, vae.config.latent_channels)
    face = load_part(face_encoder, "face_encoder")
    identity = IdentityEncoder(IdentityConfig(face=face.config, resampler=trainee.resampler.config))
    identity.face_encoder.load_state_dict(face.state_dict())
    identity.resampler.load_state_dict(trainee.resampler.state_dict())
    voice = load_part(voice_encoder, "voice")
    parts: dict[str, tuple[str, nn.Module]] = {
        "dit": ("dit", trainee.dit),
        "text": ("text", trainee.text),
        "vae": ("patch_vae", vae),
        "identity": ("identity", identity),
        "identity_adapter": ("identity_adapter", trainee.identity),
        "voice": ("voice", voice),
        "voice_adapter": ("voice_adapter", trainee.voice),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, (kind, module) in parts.items():
        save_part(out / f"{name}.safetensors", kind, module.config, module, dtype=torch.float16)
    return step


def main() -> None:
    """Export and print the sizes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--codec", type=Path, required=True)
    parser.add_argument("--face-encoder", type=Path, required=True)
    parser.add_argument("--voice-encoder", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=default_folder())
    arguments = parser.parse_args()
    step = export(
        arguments.run, arguments.codec, arguments.face_encoder, arguments.voice_encoder, arguments.out
    )
    sizes = {path.name: path.stat().st_size / 1e6 for path in sorted(arguments.out.glob("*.safetensors"))}
    for name, size in sizes.items():
        print(f"{name:32s} {size:6.2f} MB")
    print(f"step {step}, {sum(sizes.values()):.1f} MB in all")


if __name__ == "__main__":
    main()
