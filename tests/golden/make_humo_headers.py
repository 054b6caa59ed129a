"""Makes `humo_headers.json`: names and shapes of the tensors of both HuMo checkpoints, from the official code.

    python tests/golden/make_humo_headers.py HUMO_FOLDER

HUMO_FOLDER is a checkout of Phantom-video/HuMo at commit 17094e9 (Apache-2.0). The transformers of humo/configs are
built at full size on the meta device, which takes no memory; nothing of the code is kept.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import torch
from make_humo import prepare
from make_wan_headers import LARGE, shapes

HERE = Path(__file__).resolve().parent
#: Wan_1.3B.yaml and Wan_14B_I2V.yaml.
SIZES = {
    "HuMo-1.7B": {"model_type": "t2v", "dim": 1536, "ffn_dim": 8960, "num_heads": 12, "num_layers": 30},
    "HuMo-17B": {"model_type": "i2v", "in_dim": 36, **LARGE},
}


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(sys.argv[1]), Path(folder), is_small=False)
        sys.path.insert(0, folder)
        from humo_small.model import WanModel

        with torch.device("meta"):
            content = {name: shapes(WanModel(**sizes)) for name, sizes in SIZES.items()}
    rows = [f"{json.dumps(name)}: {json.dumps(header)}" for name, header in content.items()]
    (HERE / "humo_headers.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
