"""Make `lynx_resampler.safetensors`: tiny random weights, an input and the official module's output.

Run once with a checkout of bytedance/lynx at commit 3a6a91add0eb82f23410c830f4b125594c1ef858:
`python tests/golden/make_lynx_resampler.py PATH_OF_LYNX`. The official module is run, not copied; the file holds
numbers only. Sizes: dim 64, depth 2, 4 heads of 16, 5 queries, in 24, out 48.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file


def main() -> None:
    """Run the official resampler on seeded random weights and save everything."""
    source = Path(sys.argv[1]) / "modules" / "common" / "resampler.py"
    spec = importlib.util.spec_from_file_location("lynx_resampler", source)
    if spec is None or spec.loader is None:
        raise SystemExit(f"cannot read {source}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(20260)
    model = module.Resampler(
        dim=64, depth=2, dim_head=16, heads=4, num_queries=5, embedding_dim=24, output_dim=48, ff_mult=4
    ).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    for name, parameter in model.named_parameters():
        if "norm" in name and name.endswith("weight"):
            torch.nn.init.normal_(parameter, mean=1.0, std=0.2)
    embeds = torch.randn(3, 2, 24, dtype=torch.float64)
    tensors = {f"weights.{key}": value.float() for key, value in model.state_dict().items()}
    # The stored weights are float32; the outputs come from exactly these, in float64.
    model.load_state_dict({key: value.float().double() for key, value in model.state_dict().items()})
    with torch.no_grad():
        output, absent = model(embeds.float().double()), model(0 * embeds[:, :1])
    tensors |= {"embeds": embeds.float(), "output": output.float(), "absent": absent.float()}
    path = Path(__file__).with_name("lynx_resampler.safetensors")
    save_file(tensors, path, metadata={"source": "bytedance/lynx@3a6a91a modules/common/resampler.py"})


if __name__ == "__main__":
    main()
