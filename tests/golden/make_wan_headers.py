"""Makes `wan_headers.json`: names and shapes of the tensors of every published checkpoint, from the official code.

    python tests/golden/make_wan_headers.py WAN21_FOLDER WAN22_FOLDER OVI_FOLDER

The folders are checkouts of Wan-Video/Wan2.1@9737cba, Wan-Video/Wan2.2@42bf4cf and character-ai/Ovi@5b69b25 (all
Apache-2.0). Their transformers are built at full size on the meta device, which takes no memory; nothing of the code is
kept. Blocks of a tower are alike, so that only one is written; the script checks that.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from make_ovi_fusion import prepare

HERE = Path(__file__).resolve().parent
LARGE = {"dim": 5120, "ffn_dim": 13824, "num_heads": 40, "num_layers": 40}
FIVE = {"dim": 3072, "ffn_dim": 14336, "num_heads": 24, "num_layers": 30, "in_dim": 48, "out_dim": 48}
#: Sizes as in wan/configs of both repositories; channels as in the config.json of the released folders.
WAN21 = {
    "Wan2.1-T2V-1.3B": {"model_type": "t2v", "dim": 1536, "ffn_dim": 8960, "num_heads": 12, "num_layers": 30},
    "Wan2.1-T2V-14B": {"model_type": "t2v", **LARGE},
    "Wan2.1-I2V-14B": {"model_type": "i2v", "in_dim": 36, **LARGE},
    "Wan2.1-FLF2V-14B": {"model_type": "flf2v", "in_dim": 36, **LARGE},
}
WAN22 = {
    "Wan2.2-T2V-A14B": {"model_type": "t2v", **LARGE},
    "Wan2.2-I2V-A14B": {"model_type": "i2v", "in_dim": 36, **LARGE},
    "Wan2.2-TI2V-5B": {"model_type": "ti2v", **FIVE},
}
OVI_AUDIO = {
    **FIVE,
    "model_type": "t2a",
    "patch_size": [1],
    "in_dim": 20,
    "out_dim": 20,
    "temporal_rope_scaling_factor": 0.19676,
}


def shapes(model: torch.nn.Module) -> dict[str, Any]:
    """Names and shapes, with `{}` for the number of a block, and how many blocks there are."""
    rows: dict[str, tuple[set[int], list[int]]] = {}
    for name, tensor in model.state_dict().items():
        number = re.search(r"(?<=blocks\.)\d+", name)
        pattern = name if number is None else f"{name[: number.start()]}{{}}{name[number.end() :]}"
        numbers, shape = rows.setdefault(pattern, (set(), list(tensor.shape)))
        if shape != list(tensor.shape):
            raise ValueError(f"{name} differs from the other blocks")
        numbers.add(-1 if number is None else int(number[0]))
    counts = {len(numbers) for pattern, (numbers, _) in rows.items() if "{}" in pattern}
    if len(counts) != 1:
        raise ValueError(f"blocks differ: {counts}")
    return {"blocks": counts.pop(), "tensors": {pattern: shape for pattern, (_, shape) in rows.items()}}


def forget(package: str) -> None:
    """Unload a package, so that another version of it can be imported."""
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        del sys.modules[name]


def wan(checkout: Path, families: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Headers of one repository's families."""
    with tempfile.TemporaryDirectory() as folder:
        modules = Path(folder) / "wan" / "modules"
        modules.mkdir(parents=True)
        for name in ("model.py", "attention.py"):
            (modules / name).write_text((checkout / "wan" / "modules" / name).read_text())
        sys.path.insert(0, folder)
        model_class = importlib.import_module("wan.modules.model").WanModel
        with torch.device("meta"):
            found = {name: shapes(model_class(**sizes)) for name, sizes in families.items()}
        sys.path.remove(folder)
        forget("wan")
    return found


def ovi(checkout: Path) -> dict[str, Any]:
    """Header of Ovi."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(checkout, Path(folder))
        sys.path.insert(0, folder)
        fusion = importlib.import_module("ovi.modules.fusion").FusionModel
        with torch.device("meta"):
            found = shapes(fusion({**FIVE, "model_type": "ti2v"}, OVI_AUDIO))
        sys.path.remove(folder)
    return {"Ovi": found}


def main() -> None:
    """Write the file."""
    wan21, wan22, ovi_folder = (Path(argument) for argument in sys.argv[1:4])
    content = {**wan(wan21, WAN21), **wan(wan22, WAN22), **ovi(ovi_folder)}
    rows = [f"{json.dumps(name)}: {json.dumps(header)}" for name, header in content.items()]
    (HERE / "wan_headers.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
