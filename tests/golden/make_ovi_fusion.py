"""Makes `ovi_fusion.safetensors`: Ovi's two towers with random weights, run by Ovi's own code in float32.

    python tests/golden/make_ovi_fusion.py OVI_FOLDER

OVI_FOLDER is a checkout of character-ai/Ovi at commit 5b69b25 (Apache-2.0). Only two of its files are used, from a
temporary copy in which bfloat16 is replaced by float32 and the CUDA-only attention by PyTorch's; nothing of them is
kept. The weights are numbers that float16 holds exactly, so that the file can store them in half the room.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
COMMIT = "character-ai/Ovi@5b69b25"
SIZES = {
    "dim": 24,
    "ffn_dim": 40,
    "num_heads": 2,
    "num_layers": 2,
    "text_dim": 10,
    "text_len": 6,
    "freq_dim": 16,
}
VIDEO = {"model_type": "ti2v", "patch_size": (1, 2, 2), "in_dim": 5, "out_dim": 5}
AUDIO = {
    "model_type": "t2a",
    "patch_size": [1],
    "in_dim": 3,
    "out_dim": 3,
    "temporal_rope_scaling_factor": 0.19676,
}
STUBS = {
    "ovi/__init__.py": "",
    "ovi/modules/__init__.py": "",
    "ovi/distributed_comms/__init__.py": "",
    "ovi/distributed_comms/communications.py": "all_gather = all_to_all_4D = None\n",
    "ovi/distributed_comms/parallel_states.py": (
        "nccl_info = None\n\n\ndef get_sequence_parallel_state():\n    return False\n"
    ),
    "ovi/modules/attention.py": (
        "from torch.nn.functional import scaled_dot_product_attention\n\n\n"
        "def flash_attention(q, k, v, k_lens=None, window_size=None):\n"
        "    q, k, v = (x.transpose(1, 2) for x in (q, k, v))\n"
        "    return scaled_dot_product_attention(q, k, v).transpose(1, 2)\n"
    ),
}


def prepare(ovi: Path, folder: Path) -> None:
    """Write the float32 copy of Ovi's two files, and stand-ins for what they import."""
    for name, text in STUBS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for name in ("ovi/modules/model.py", "ovi/modules/fusion.py"):
        text = (ovi / name).read_text()
        (folder / name).write_text(
            text.replace(".bfloat16()", ".float()").replace("torch.bfloat16", "torch.float32")
        )


def main() -> None:
    """Run upstream and write the file."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(sys.argv[1]), Path(folder))
        sys.path.insert(0, folder)
        from ovi.modules.fusion import FusionModel

        torch.manual_seed(0)
        model = FusionModel(video_config={**SIZES, **VIDEO}, audio_config={**SIZES, **AUDIO}).train(False)
        for name, parameter in model.named_parameters():
            is_norm_weight = "norm" in name and name.endswith("weight")
            values = torch.randn(parameter.shape) * 0.25 + float(is_norm_weight)
            parameter.data.copy_(values.half().float())
        video, audio = torch.randn(5, 3, 4, 6), torch.randn(9, 3)
        context = torch.randn(4, SIZES["text_dim"])
        timestep = torch.tensor([617.0])
        tensors = {f"weight.{name}": value.half() for name, value in model.state_dict().items()}
        tensors |= {"video": video, "audio": audio.T.contiguous(), "context": context, "timestep": timestep}
        for case, is_clean in (("noisy", False), ("clean_first_frame", True)):
            with torch.no_grad():
                out_video, out_audio = model(
                    vid=[video],
                    audio=[audio],
                    t=timestep,
                    vid_context=[context],
                    audio_context=[context],
                    vid_seq_len=18,
                    audio_seq_len=9,
                    first_frame_is_clean=is_clean,
                )
            tensors[f"{case}.video"] = out_video[0].contiguous()
            tensors[f"{case}.audio"] = out_audio[0].T.contiguous()
    save_file(tensors, HERE / "ovi_fusion.safetensors", metadata={"source": COMMIT, "arithmetic": "float32"})


if __name__ == "__main__":
    main()
