"""Makes `wan_solvers.safetensors`: Wan's own samplers on recorded model outputs, its first-frame loop, its timesteps.

    python tests/golden/make_wan_solvers.py WAN22_FOLDER

WAN22_FOLDER is a checkout of Wan-Video/Wan2.2 at commit 42bf4cf (Apache-2.0); its two solver files are those of
Wan-Video/Wan2.1 at commit 9737cba. Only `wan/utils/fm_solvers.py`, `fm_solvers_unipc.py` and `utils.py` are used. The
loop below does what `wan/textimage2video.py` does around them, with `velocity` in place of the transformer.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import torch
from safetensors.torch import save_file
from torch import Tensor

HERE = Path(__file__).resolve().parent
COMMIT = "Wan-Video/Wan2.2@42bf4cf"
CASES = ((4, 5.0), (16, 12.0))
TIMESTEP_CASES = ((4, 5.0), (10, 1.0), (20, 1.0), (40, 5.0), (40, 12.0), (50, 5.0), (50, 16.0))
SHAPE = (2, 3, 4, 4)


def load(path: Path) -> ModuleType:
    """Import one file of upstream."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_masks_like(path: Path) -> ModuleType:
    """The function `masks_like` alone: the rest of that file needs packages for video files."""
    tree = ast.parse(path.read_text())
    wanted = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "masks_like"]
    module = ModuleType("masks")
    module.__dict__["torch"] = torch
    exec(compile(ast.Module(wanted, []), str(path), "exec"), module.__dict__)
    return module


def velocity(latents: Tensor, token_timesteps: Tensor, prompt: float) -> Tensor:
    """Stand-in for the transformer: (C, F, H, W) and one timestep a token of 1x2x2 -> (C, F, H, W)."""
    frames, height, width = latents.shape[1:]
    grid = token_timesteps.view(frames, height // 2, width // 2)
    time = grid.repeat_interleave(2, 1).repeat_interleave(2, 2) / 1000.0
    mixed = latents.mean(dim=(0, 1), keepdim=True)
    return torch.sin(latents * prompt + mixed) + time - 0.3 * latents


def main() -> None:
    """Run upstream and write the file."""
    folder = Path(sys.argv[1]) / "wan/utils"
    dpm, unipc = load(folder / "fm_solvers.py"), load(folder / "fm_solvers_unipc.py")
    masks_like = load_masks_like(folder / "utils.py").masks_like

    def scheduler(name: str, steps: int, shift: float) -> tuple[object, Tensor]:
        """Upstream's scheduler, set up as its pipelines do, and its timesteps."""
        if name == "unipc":
            made = unipc.FlowUniPCMultistepScheduler(
                num_train_timesteps=1000, shift=1, use_dynamic_shifting=False
            )
            made.set_timesteps(steps, device="cpu", shift=shift)
            return made, made.timesteps
        made = dpm.FlowDPMSolverMultistepScheduler(
            num_train_timesteps=1000, shift=1, use_dynamic_shifting=False
        )
        timesteps, _ = dpm.retrieve_timesteps(made, sigmas=dpm.get_sampling_sigmas(steps, shift))
        return made, timesteps

    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(SHAPE, generator=generator)
    outputs = torch.randn(max(steps for steps, _ in CASES), *SHAPE, generator=generator)
    clean = torch.randn(SHAPE[0], 1, *SHAPE[2:], generator=generator)
    tensors = {"noise": noise, "outputs": outputs, "clean": clean}
    for name in ("unipc", "dpm"):
        for steps, shift in CASES:
            made, timesteps = scheduler(name, steps, shift)
            latents, path = noise.unsqueeze(0), []
            for index, timestep in enumerate(timesteps):
                latents = made.step(outputs[index : index + 1], timestep, latents, return_dict=False)[0]
                path.append(latents[0])
            tensors[f"{name}.{steps}.sigmas"] = made.sigmas
            tensors[f"{name}.{steps}.path"] = torch.stack(path)
        for steps, shift in TIMESTEP_CASES:
            tensors[f"{name}.timesteps.{steps}.{shift}"] = scheduler(name, steps, shift)[1].to(torch.int16)

        made, timesteps = scheduler(name, 6, 5.0)
        mask = masks_like([noise], zero=True)[1][0]
        latents = (1.0 - mask) * clean + mask * noise
        for timestep in timesteps:
            tokens = (mask[0][:, ::2, ::2] * timestep).flatten()
            positive, negative = velocity(latents, tokens, 1.5), velocity(latents, tokens, -0.5)
            guided = negative + 5.0 * (positive - negative)
            latents = made.step(guided.unsqueeze(0), timestep, latents.unsqueeze(0), return_dict=False)[0][0]
            latents = (1.0 - mask) * clean + mask * latents
        tensors[f"{name}.first_frame"] = latents
    save_file({key: value.contiguous() for key, value in tensors.items()}, HERE / "wan_solvers.safetensors",
              metadata={"source": COMMIT})  # fmt: skip


if __name__ == "__main__":
    main()
