"""Makes `ovi_engine.safetensors`: whole short runs of the engines of Ovi and DreamID-Omni in float32.

    python tests/golden/make_ovi_engine.py OVI_FOLDER DREAMID_FOLDER

The folders are checkouts of character-ai/Ovi at commit 5b69b25 and Guoxu1233/DreamID-Omni at commit 9a9f456 (both
Apache-2.0). Their engines run as they are: schedulers, guidance, skipped block, references. The towers have the weights
of `ovi_fusion.safetensors`; text encoder and codecs are stand-ins that hand on what they are given, so that the file
holds exactly what the transformer sees and makes. bfloat16 becomes float32, except for the factor of DreamID-Omni's
sound positions, which keeps its rounding.
"""

from __future__ import annotations

import sys
import tempfile
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import torch
import transformers  # noqa: F401  # looks for optional packages before stand-ins take their names
from make_ovi_fusion import AUDIO, SIZES, STUBS, VIDEO
from PIL import Image
from safetensors.torch import load_file, save_file

HERE = Path(__file__).resolve().parent
SOURCE = "character-ai/Ovi@5b69b25, Guoxu1233/DreamID-Omni@9a9f456"
STEPS = 3
FACTOR = "/ self.audio_latent_length, device=self.device, dtype=self.target_dtype)"
ROUNDED = "/ self.audio_latent_length, dtype=torch.bfloat16).float()"
FILES = {
    "ovi": ("modules/model.py", "modules/fusion.py", "ovi_fusion_engine.py"),
    "dreamid_omni": ("modules/model.py", "modules/fusion.py", "dreamid_omni_engine.py"),
}
SHARED = ("fm_solvers.py", "fm_solvers_unipc.py", "processing_utils.py")
ONLY_DREAMID = ("divisible_crop.py", "rearrange.py", "resize.py")


def prepare(checkout: Path, package: str, folder: Path) -> None:
    """Write the float32 copy of an engine, and stand-ins for what it can do without."""
    for name, text in STUBS.items():
        path = folder / name.replace("ovi/", f"{package}/", 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    names = [*FILES[package], *(f"utils/{name}" for name in SHARED)]
    names += [f"utils/{name}" for name in ONLY_DREAMID] if package == "dreamid_omni" else []
    for name in names:
        text = (checkout / package / name).read_text().replace(FACTOR, ROUNDED)
        if not name.startswith("utils/"):
            text = text.replace(".bfloat16()", ".float()")
            if "engine" not in name:
                text = text.replace("torch.bfloat16", "torch.float32")
        (folder / package / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / package / name).write_text(text)
    (folder / package / "utils" / "__init__.py").write_text("")
    loading = "init_fusion_score_model_ovi = init_text_model = init_mmaudio_vae = None\n"
    loading += "init_wan_vae_2_2 = load_fusion_checkpoint = None\n"
    (folder / package / "utils" / "model_loading_utils.py").write_text(loading)


def stand_in(name: str, **members: object) -> None:
    """Register a module that is imported but not needed."""
    module = types.ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    vars(module).update(members)
    sys.modules[name] = module


class Text:
    """Three embedded prompts: the prompt, what the picture and what the sound leads away from."""

    device = "cpu"

    def __init__(self, contexts: list[torch.Tensor]) -> None:
        self.contexts = contexts

    def __call__(self, prompts: list[str], device: str) -> list[torch.Tensor]:
        return self.contexts


class Codec:
    """Hands on what it is given: first frames, references and finished latents."""

    def __init__(self, first: torch.Tensor | None = None) -> None:
        self.first = first
        self.model = self

    def wrapped_encode(self, given: torch.Tensor) -> torch.Tensor:
        if self.first is not None:
            return self.first[None]
        return given if given.ndim > 2 else given[:, None]

    def wrapped_decode(self, latents: torch.Tensor) -> torch.Tensor:
        return latents


def make_engine(cls: type, model: torch.nn.Module, contexts: list[torch.Tensor], first: torch.Tensor | None):
    """An engine around tiny towers, at the true lengths of a clip of five seconds."""
    engine = object.__new__(cls)
    engine.device, engine.target_dtype, engine.cpu_offload = "cpu", torch.float32, False
    engine.model, engine.model_name, engine.image_model = model, "tiny", None
    engine.text_model = Text(contexts)
    engine.vae_model_video, engine.vae_model_audio = Codec(first), Codec()
    engine.video_latent_channel, engine.audio_latent_channel = VIDEO["in_dim"], AUDIO["in_dim"]
    engine.video_latent_length, engine.audio_latent_length = 31, 157
    engine.text_formatter, engine.target_area = (lambda text: text), 64 * 32
    return engine


def make_model(cls: type) -> torch.nn.Module:
    """Towers with the weights of the other golden file."""
    model = cls(video_config={**SIZES, **VIDEO}, audio_config={**SIZES, **AUDIO}).train(False)
    stored = load_file(HERE / "ovi_fusion.safetensors")
    weights = {k.removeprefix("weight."): v.float() for k, v in stored.items() if k.startswith("weight.")}
    model.load_state_dict(weights, strict=True)
    return model


def noise(frames: int, length: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What the engines draw: both modalities from generators of the same seed."""
    video = torch.randn(5, frames, 2, 4, generator=torch.Generator().manual_seed(seed))
    audio = torch.randn(length, 3, generator=torch.Generator().manual_seed(seed))
    return video, audio


def main() -> None:
    """Run both engines and write the file."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(Path(sys.argv[1]), "ovi", folder)
        prepare(Path(sys.argv[2]), "dreamid_omni", folder)
        sys.path.insert(0, temporary)
        stand_in("omegaconf", OmegaConf=types.SimpleNamespace(load=lambda path: {}))
        ramp = np.arange(16000 * 5 // 2, dtype=np.float32) / 40000
        stand_in("librosa", load=lambda path, sr: (ramp, sr))
        stand_in("pydub", AudioSegment=None)
        stand_in("pandas")
        stand_in("optimum")
        stand_in("optimum.quanto", freeze=None, qint8=None, quantize=None)
        from dreamid_omni.dreamid_omni_engine import DreamIDOmniEngine
        from dreamid_omni.modules.fusion import FusionModel as DreamIDFusion
        from ovi.modules.fusion import FusionModel
        from ovi.ovi_fusion_engine import OviFusionEngine
        from ovi.utils.processing_utils import preprocess_image_tensor, snap_hw_to_multiple_of_32

        torch.manual_seed(1)
        contexts = [torch.randn(length, SIZES["text_dim"]) for length in (4, 6, 3)]
        first = torch.randn(5, 1, 2, 4)
        tensors = {f"context.{i}": context for i, context in enumerate(contexts)} | {"first": first}
        common = {"sample_steps": STEPS, "shift": 5.0, "solver_name": "unipc", "seed": 5}
        model = make_model(FusionModel)
        tensors["ovi.video"], tensors["ovi.audio"] = noise(31, 157, 5)
        for case, path in (("t2av", None), ("i2av", Image.new("RGB", (64, 32)))):
            engine = make_engine(OviFusionEngine, model, contexts, first)
            video, audio, _ = engine.generate(
                "", path, (32, 64), video_guidance_scale=4.0, audio_guidance_scale=3.0, slg_layer=1, **common
            )
            tensors[f"ovi.{case}.video"], tensors[f"ovi.{case}.audio"] = map(torch.from_numpy, (video, audio))
        engine = make_engine(DreamIDOmniEngine, make_model(DreamIDFusion), contexts, None)
        image = Image.effect_noise((48, 40), 90).convert("RGB")
        image.save(folder / "face.png")
        tensors["face"] = torch.from_numpy(np.array(image))
        paths = [str(folder / "face.png"), "voice.wav"]
        references, _ = engine.load_image_latent_ref_ip_video(paths, (64, 96), "cpu")
        tensors["face.prepared"] = references["image"][:, 0].contiguous()
        tensors["voice.span"] = references["audio"][[0, -1], 0] * 40000
        lengths = [4, 5]
        faces, voices = torch.randn(5, 2, 2, 4), torch.randn(sum(lengths), 3)
        engine.load_image_latent_ref_ip_video = lambda *_: ({"image": faces, "audio": voices}, lengths)
        tensors |= {"faces": faces, "voices": voices}
        tensors["dreamid.video"], tensors["dreamid.audio"] = noise(33, 166, 5)
        video, audio, _ = engine.generate("", "0", "1", "2", "3", (32, 64), **common)
        tensors["dreamid.r2av.video"], tensors["dreamid.r2av.audio"] = map(torch.from_numpy, (video, audio))
        sizes = [(704, 1280, 720 * 720), (960, 960, 960 * 960), (448, 1120, 720 * 720), (512, 992, 960 * 960)]
        tensors["sizes"] = torch.tensor([(*s, *snap_hw_to_multiple_of_32(*s)) for s in sizes])
        found = []
        for width, height, area in ((640, 480, 720 * 720), (1080, 1920, 960 * 960), (333, 777, 720 * 720)):
            picture = preprocess_image_tensor(
                Image.new("RGB", (width, height)), "cpu", torch.float32, 32, area
            )
            found.append((width, height, area, picture.shape[3], picture.shape[2]))
        tensors["picture_sizes"] = torch.tensor(found)
        tensors["picture"] = preprocess_image_tensor(image, "cpu", torch.float32, 32, 64 * 64)[0]
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(tensors, HERE / "ovi_engine.safetensors", metadata={"source": SOURCE, "arithmetic": "float32"})


if __name__ == "__main__":
    main()
