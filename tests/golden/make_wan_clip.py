"""Makes `wan_clip.safetensors`: tokens of a tiny CLIP picture tower, by Wan's own code in float32.

    python tests/golden/make_wan_clip.py WAN21_FOLDER

WAN21_FOLDER is a checkout of Wan-Video/Wan2.1 at commit 9737cba (Apache-2.0). Only `wan/modules/clip.py` is used, from
a temporary copy beside stand-ins for what it imports (PyTorch's attention instead of the CUDA-only one). Pictures and
weights come from a formula (`tests/support/formula_weights.py`), so that only the tokens are stored.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
COMMIT = "Wan-Video/Wan2.1@9737cba"
SIZES = {"image_size": 28, "patch_size": 7, "dim": 160, "mlp_ratio": 2, "num_heads": 2, "num_layers": 3}
PICTURES = ((3, 20, 36), (3, 50, 31))
STUBS = {
    "stand_in/__init__.py": "",
    "stand_in/tokenizers.py": "HuggingfaceTokenizer = None\n",
    "stand_in/xlm_roberta.py": "from torch import nn\n\n\nclass XLMRoberta(nn.Module):\n    pass\n",
    "stand_in/attention.py": (
        "from torch.nn.functional import scaled_dot_product_attention\n\n\n"
        "def flash_attention(q, k, v, dropout_p=0.0, causal=False, version=2):\n"
        "    q, k, v = (x.transpose(1, 2) for x in (q, k, v))\n"
        "    return scaled_dot_product_attention(q, k, v).transpose(1, 2)\n"
    ),
}


def main() -> None:
    """Run Wan's preprocessing and tower; torch.cuda.amp is left out, since all is float32."""
    from formula_weights import formula_state, formula_tensor

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in STUBS.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(text)
        source = (Path(sys.argv[1]) / "wan" / "modules" / "clip.py").read_text()
        (folder / "stand_in" / "clip.py").write_text(source)
        sys.path.insert(0, name)
        clip = importlib.import_module("stand_in.clip")
    tower = clip.VisionTransformer(**SIZES, out_dim=8, pre_norm=True, activation="gelu").train(False)
    shapes = {f"visual.{key}": tuple(value.shape) for key, value in tower.state_dict().items()}
    state = formula_state(shapes)
    tower.load_state_dict({key.removeprefix("visual."): value for key, value in state.items()})

    model = clip.CLIPModel.__new__(clip.CLIPModel)
    model.dtype = torch.float32
    model.model = type("Tower", (), {"image_size": SIZES["image_size"], "visual": tower})
    normalise = clip.T.Normalize(
        mean=[0.48145466, 0.4578275, 0.40821073], std=[0.26862954, 0.26130258, 0.27577711]
    )
    model.transforms = clip.T.Compose([normalise])
    pictures = [formula_tensor(shape, 100 + n, 1.0) for n, shape in enumerate(PICTURES)]
    with torch.no_grad():
        tokens = model.visual([picture[:, None] for picture in pictures])
    metadata = {"source": COMMIT, "torch": torch.__version__}
    save_file({"tokens": tokens.flatten(0, 1)[None]}, HERE / "wan_clip.safetensors", metadata=metadata)


if __name__ == "__main__":
    main()
