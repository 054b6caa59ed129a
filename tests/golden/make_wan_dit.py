"""Makes `wan_dit.safetensors`: the Wan transformer with random weights, run by the official code in float32.

    python tests/golden/make_wan_dit.py WAN_FOLDER

WAN_FOLDER is a checkout of Wan-Video/Wan2.1 at commit 9737cba (Apache-2.0). Only its model.py is used, from a temporary
copy in which the width and number of CLIP embeddings are small and the CUDA-only attention is PyTorch's; nothing of it
is kept. The weights are numbers that float16 holds exactly, so that the file can store them in half the room.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
COMMIT = "Wan-Video/Wan2.1@9737cba"
SIZES = {
    "dim": 24,
    "ffn_dim": 40,
    "num_heads": 2,
    "num_layers": 2,
    "text_dim": 10,
    "freq_dim": 16,
    "out_dim": 4,
}
ATTENTION = (
    "from torch.nn.functional import scaled_dot_product_attention\n\n\n"
    "def flash_attention(q, k, v, k_lens=None, window_size=None):\n"
    "    q, k, v = (x.transpose(1, 2) for x in (q, k, v))\n"
    "    return scaled_dot_product_attention(q, k, v).transpose(1, 2)\n"
)


def prepare(wan: Path, folder: Path) -> None:
    """Write the small copy of the official file, and a stand-in for the attention that it imports."""
    package = folder / "wan_small"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "attention.py").write_text(ATTENTION)
    text = (wan / "wan" / "modules" / "model.py").read_text()
    text = text.replace("1280", "20").replace("257 * 2", "3 * 2")
    (package / "model.py").write_text(text)


def main() -> None:
    """Run upstream and write the file."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(sys.argv[1]), Path(folder))
        sys.path.insert(0, folder)
        from wan_small.model import WanModel

        torch.manual_seed(0)
        latents, condition, timestep = torch.randn(4, 3, 4, 6), torch.randn(3, 3, 4, 6), torch.tensor([617.0])
        context, image = torch.randn(5, SIZES["text_dim"]), torch.randn(2, 3, 20)
        tensors = {"latents": latents, "condition": condition, "timestep": timestep}
        tensors |= {"context": context, "image": image}
        for kind, channels in (("t2v", 4), ("i2v", 7), ("flf2v", 7)):
            model = WanModel(model_type=kind, in_dim=channels, **SIZES).train(False)
            for name, parameter in model.named_parameters():
                is_norm_weight = "norm" in name and name.endswith("weight")
                values = torch.randn(parameter.shape) * 0.25 + float(is_norm_weight)
                parameter.data.copy_(values.half().float())
            embeds = {"t2v": None, "i2v": image[:1], "flf2v": image}[kind]
            with torch.no_grad():
                (output,) = model(
                    [latents],
                    t=timestep,
                    context=[context],
                    seq_len=18,
                    clip_fea=embeds,
                    y=None if kind == "t2v" else [condition],
                )
            tensors |= {f"{kind}.weight.{name}": value.half() for name, value in model.state_dict().items()}
            tensors[f"{kind}.output"] = output.contiguous()
    save_file(tensors, HERE / "wan_dit.safetensors", metadata={"source": COMMIT, "arithmetic": "float32"})


if __name__ == "__main__":
    main()
