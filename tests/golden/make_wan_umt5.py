"""Make `wan_umt5.safetensors`: tiny random weights, token ids and what the official text encoder gives for them; and
`wan_umt5_xxl.json`: names and shapes of the official full-size encoder.

Run once with a checkout of Wan-Video/Wan2.1 at commit 9737cba9c1c3c4d04b33fcad41c111989865d315:
`python tests/golden/make_wan_umt5.py PATH_OF_WAN2.1`. The official module is run, not copied; the file holds numbers,
and as metadata prompts and what the official cleaning makes of them. Two prompts of 150 and 17 tokens, padded to 160
with a mask as the official pipeline does. Sizes: dim 32, 2 blocks, 4 heads, feed-forward 48, 64 tokens.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import torch
from safetensors.torch import save_file

LENGTHS = (150, 17)
PROMPTS = (
    "plain words",
    "  spaces \t and\nlines \u00a0 \u3000 end  ",
    "a &amp; b &amp;amp; c &lt;d&gt;",
    "donâ€™t stop, cafÃ©",
    "\u201ccurly\u201d \ufb01sh \uff21\uff22\uff23",
    "\u8272\u8c03\u8273\u4e3d\uff0c\u8fc7\u66dd\u3002",
    "control\x07 \x1c bytes \x85 here",
    "",
)


def official(root: Path, name: str) -> ModuleType:
    """Import one official module without its package, which needs more than it does."""
    package = ModuleType("wan_modules")
    package.__path__ = [str(root / "wan" / "modules")]
    sys.modules.setdefault("wan_modules", package)
    return import_module(f"wan_modules.{name}")


def main() -> None:
    """Run the official encoder on seeded random weights and save everything."""
    root = Path(sys.argv[1])
    torch.cuda.current_device = lambda: 0  # asked for at import, as a default that is not used here
    torch.manual_seed(20263)
    model = official(root, "t5").umt5_xxl(
        encoder_only=True,
        vocab_size=64,
        dim=32,
        dim_attn=32,
        dim_ffn=48,
        num_heads=4,
        encoder_layers=2,
        decoder_layers=0,
    )
    model.train(False)
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, mean=1.0 if "norm" in name else 0.0, std=0.25)
    ids = torch.randint(2, 64, (2, 160))
    mask = torch.zeros(2, 160, dtype=torch.int64)
    for row, length in enumerate(LENGTHS):
        ids[row, length - 1], ids[row, length:], mask[row, :length] = 1, 0, 1
    with torch.no_grad():
        output = model(ids, mask)
    tensors = {f"weight.{key}": value for key, value in model.state_dict().items()}
    for row, length in enumerate(LENGTHS):
        tensors |= {f"ids.{row}": ids[row, :length].clone(), f"context.{row}": output[row, :length].clone()}
    with torch.device("meta"):
        full = official(root, "t5").umt5_xxl(encoder_only=True, device="meta").state_dict()
    shapes = {key: list(value.shape) for key, value in full.items()}
    Path(__file__).with_name("wan_umt5_xxl.json").write_text(json.dumps(shapes, indent=0), encoding="utf-8")
    tokenizer = official(root, "tokenizers").HuggingfaceTokenizer
    cleaner = tokenizer.__new__(tokenizer)
    cleaner.clean = "whitespace"
    cleaned = {prompt: cleaner._clean(prompt) for prompt in PROMPTS}
    save_file(
        tensors,
        Path(__file__).with_name("wan_umt5.safetensors"),
        metadata={
            "source": "Wan-Video/Wan2.1@9737cba wan/modules/t5.py, tokenizers.py",
            "cleaned": json.dumps(cleaned),
        },
    )


if __name__ == "__main__":
    main()
