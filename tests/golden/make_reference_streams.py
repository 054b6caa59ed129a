"""Make `reference_streams.safetensors`: steps of Phantom and of Bernini-R on a tiny transformer.

Run once with a checkout of neuregex/ComfyUI-BerniniR@1bd2745 and diffusers 0.33.1:
`python tests/golden/make_reference_streams.py PATH_OF_BERNINI`. Bernini-R's modules are run, not copied. Phantom has no
modules of its own: its step is three forwards of the plain transformer with the references at the end of the time axis
and the sum of phantom_wan/subject2video.py (as stored in svjack/Phantom@7aa4d87), both written out here.

2 blocks of width 32 (2 heads), 4 channels. Weights are rounded to float16; calculations are float32.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import save_file
from torch import nn

SIZE = (1, 4, 2, 4, 6)


def make_transformer() -> WanTransformer3DModel:
    """A transformer with seeded weights."""
    model = WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=4,
        text_dim=12,
        freq_dim=16,
        ffn_dim=48,
        num_layers=2,
    )
    for name, parameter in model.named_parameters():
        nn.init.normal_(parameter, std=0.15)
        if "norm" in name and name.endswith("weight"):
            parameter.data += 1.0
        parameter.data = parameter.data.half().float()
    return model.train(False)


def run_phantom(model: WanTransformer3DModel, t: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """One step with two subjects."""
    subjects = torch.randn(1, 4, 2, 4, 6)
    noisy = torch.cat((t["latents"], torch.randn(1, 4, 2, 4, 6)), dim=2)
    time = torch.tensor([437])

    def forward(references: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        count = references.shape[2]
        given = torch.cat((noisy[:, :, :-count], references), dim=2)
        return model(given, time, text, return_dict=False)[0]

    both, image = forward(subjects, t["context"]), forward(subjects, t["negative"])
    none = forward(torch.zeros_like(subjects), t["negative"])
    guided = none + 5.0 * (image - none) + 7.5 * (both - image)
    return {
        "phantom.subjects": subjects,
        "phantom.guided": guided[:, :, :-2],
        "phantom.none": none[:, :, :-2],
    }


def run_bernini(model: WanTransformer3DModel, t: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same step in all modes of guidance, above and below the boundary of the experts."""
    from bernini import constants
    from bernini.guidance import MomentumBuffer, normalized_guidance, normalized_guidance_chain
    from bernini.latents import to_spatial
    from bernini.model import BerniniExpert, Stream

    expert = BerniniExpert(model)
    videos = [torch.randn(1, 4, 2, 4, 4), torch.randn(1, 4, 1, 6, 4)]
    images = [torch.randn(1, 4, 1, 4, 4), torch.randn(1, 4, 1, 2, 6)]
    tensors = {f"bernini.video.{i}": v for i, v in enumerate(videos)}
    tensors |= {f"bernini.image.{i}": v for i, v in enumerate(images)}
    target = Stream(t["latents"], 0, is_target=True)
    alone = [Stream(image, 1 + i) for i, image in enumerate(images)]
    every = [Stream(own, 1 + i) for i, own in enumerate((*videos, *images))]
    combos = {"none": [], "video": every[:1], "images": alone, "all": every}

    for name, sigma in (("high", 0.9), ("low", 0.5)):
        time = torch.tensor([int(1000 * sigma)])

        def forward(combo: str, text: str, time: torch.Tensor = time) -> torch.Tensor:
            packed = expert.forward_streams([*combos[combo], target], t[text], time).float()
            return to_spatial(packed, SIZE)

        d = constants.DEFAULTS
        factor = d["omega_scale"] if name == "low" else 1.0
        v, i, ti = (factor * d[key] for key in ("omega_V", "omega_I", "omega_TI"))
        e = {(combo, text): forward(combo, text) for combo in combos for text in ("negative", "context")}
        u, pos = "negative", "context"
        tensors[f"bernini.{name}.velocity.images"] = e["images", u]
        tensors[f"bernini.{name}.velocity.all"] = e["all", pos]
        tensors[f"bernini.{name}.rv2v"] = (
            e["none", u]
            + v * (e["video", u] - e["none", u])
            + i * (e["all", u] - e["video", u])
            + ti * (e["all", pos] - e["all", u])
        )
        tensors[f"bernini.{name}.v2v"] = e["all", u] + ti * (e["all", pos] - e["all", u])
        tensors[f"bernini.{name}.v2v_chain"] = (
            e["none", u] + v * (e["video", u] - e["none", u]) + ti * (e["all", pos] - e["video", u])
        )
        tensors[f"bernini.{name}.t2v"] = e["none", u] + ti * (e["none", pos] - e["none", u])
        noisy, level = t["latents"].double(), torch.tensor(sigma, dtype=torch.float64)

        def clean(
            velocity: torch.Tensor, noisy: torch.Tensor = noisy, level: torch.Tensor = level
        ) -> torch.Tensor:
            return noisy - level * velocity.double()

        eta, limit = d["eta"], d["norm_threshold"]
        one, two = MomentumBuffer(d["momentum"]), MomentumBuffer(d["momentum"])
        x = normalized_guidance_chain(
            clean(e["none", u]),
            [clean(e["images", u]), clean(e["images", pos])],
            [i, ti],
            [one, two],
            eta,
            limit[:2],
        )
        tensors[f"bernini.{name}.r2v_apg"] = ((noisy - x) / level).float()
        for mode, combo in (("v2v_apg", "all"), ("t2v_apg", "none")):
            x = normalized_guidance(
                clean(e[combo, pos]), clean(e[combo, u]), ti, MomentumBuffer(d["momentum"]), eta, limit[0]
            )
            tensors[f"bernini.{name}.{mode}"] = ((noisy - x) / level).float()
    return tensors


def main() -> None:
    """Run both and save them."""
    sys.path.insert(0, sys.argv[1])
    torch.manual_seed(99)
    model = make_transformer()
    tensors = {f"base.{key}": value.half() for key, value in model.state_dict().items()}
    given = {
        "latents": torch.randn(SIZE),
        "context": torch.randn(1, 7, 12),
        "negative": torch.randn(1, 7, 12),
    }
    with torch.no_grad():
        tensors |= given | run_phantom(model, given) | run_bernini(model, given)
    path = Path(__file__).with_name("reference_streams.safetensors")
    tensors = {key: value.contiguous().clone() for key, value in tensors.items()}
    sources = "neuregex/ComfyUI-BerniniR@1bd2745 bernini, diffusers 0.33.1, Phantom-video/Phantom"
    save_file(tensors, path, metadata={"source": sources})


if __name__ == "__main__":
    main()
