"""Make `lynx_full.safetensors` and `lynx_lite.safetensors`: Lynx on tiny transformers, run with the official modules.

Run once with a checkout of bytedance/lynx at commit 3a6a91add0eb82f23410c830f4b125594c1ef858 and diffusers 0.33.1, the
version that Lynx pins: `python tests/golden/make_lynx_model.py PATH_OF_LYNX`. The official modules are run, not copied;
flash attention, which they call, is given by torch's own attention. The file holds numbers only.

Full: 2 blocks of width 32 (2 heads), 3 registers; lite: 4 blocks, two of them with layers, tokens of width 24.
Weights are rounded to float16; calculations are float32.
"""

from __future__ import annotations

import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

DIM, HEADS, TOKENS = 32, 2, 5


def varlen(q, k, v, starts_q, starts_k, *_sizes, causal):
    """Attention of one sequence, (tokens, heads, width)."""
    assert len(starts_q) == 2 and not causal
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
    return nn.functional.scaled_dot_product_attention(q, k, v)[0].transpose(0, 1)


def randomise(model: nn.Module, std: float = 0.15) -> None:
    for name, parameter in model.named_parameters():
        nn.init.normal_(parameter, std=std)
        if "norm" in name and name.endswith("weight"):
            parameter.data += 1.0
        parameter.data = parameter.data.half().float()


def weights(prefix: str, model: nn.Module) -> dict[str, torch.Tensor]:
    return {
        f"{prefix}.{key}": value.half() for key, value in model.state_dict().items() if "processor" not in key
    }


def make_transformer(cls, blocks: int):
    model = cls(
        num_attention_heads=HEADS,
        attention_head_dim=DIM // HEADS,
        in_channels=4,
        out_channels=4,
        text_dim=12,
        freq_dim=16,
        ffn_dim=48,
        num_layers=blocks,
    )
    randomise(model)
    return model.train(False)


def run_full() -> dict[str, torch.Tensor]:
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
    from modules.common.resampler import Resampler
    from modules.full import attention_processor as processors
    from modules.full.transformer_wan import WanTransformer3DModel

    model = make_transformer(WanTransformer3DModel, 2)
    tensors = weights("base", model)
    resampler = Resampler(
        depth=1, dim=64, dim_head=64, embedding_dim=10, ff_mult=2, heads=1, num_queries=TOKENS, output_dim=DIM
    )
    randomise(resampler)
    tensors |= weights("resampler", resampler)
    # The reference pass is made before the adapters' layers matter; it has neither of them as input.
    model, ip_layers = processors.register_ip_adapter(model, cross_attention_dim=DIM, n_registers=3)
    model, ref_layers = processors.register_ref_adapter(model)
    randomise(ip_layers)
    randomise(ref_layers)
    tensors |= {f"ip_layers.{key}": value.half() for key, value in ip_layers.state_dict().items()}
    tensors |= {f"ref_layers.{key}": value.half() for key, value in ref_layers.state_dict().items()}

    embed = nn.functional.normalize(torch.randn(1, 1, 10), dim=-1)
    face, nobody, latents = (torch.randn(1, 4, frames, 4, 6) for frames in (1, 1, 2))
    context, negative, face_context = (torch.randn(1, 7, 12) for _ in range(3))
    tensors |= {"embed": embed, "face": face, "nobody": nobody, "latents": latents}
    tensors |= {"context": context, "negative": negative, "face_context": face_context}

    def features(picture):
        return model(
            hidden_states=[picture],
            encoder_hidden_states=[face_context],
            timestep=torch.LongTensor([0]),
            attention_kwargs={"ref_feature_extractor": True},
            return_dict=False,
        )

    def branch(given, picture):
        return {
            "ip_hidden_states": [resampler(given)],
            "ip_scale": 1.0,
            "ref_buffer": features(picture),
            "ref_scale": 1.0,
        }

    person, none = branch(embed, face), branch(embed * 0, nobody)
    for index, (own, _) in enumerate(person["ref_buffer"].values()):
        tensors[f"features.{index}"] = own
    hidden = torch.randn(1, 9, DIM)
    embedded = torch.randn(1, 7, DIM)
    tensors |= {"hidden": hidden, "embedded": embedded, "identity_tokens": resampler(embed)}
    rotation = model.rope(torch.zeros(1, 4, 1, 6, 6))
    tensors["ip_attention"] = model.blocks[1].attn2(
        hidden,
        encoder_hidden_states=embedded,
        ip_hidden_states=resampler(embed),
        q_lens=[9],
        kv_lens=[7],
        ip_lens=[TOKENS],
        ip_scale=0.8,
    )
    tensors["ref_attention"] = model.blocks[1].attn1(
        hidden,
        rotary_emb=rotation,
        q_lens=[9],
        kv_lens=[9],
        ref_feature=person["ref_buffer"]["blocks.1.attn1.processor"],
        ref_scale=0.7,
    )
    moments = 3.0 * torch.randn(1, 8, 1, 3, 3)
    mean, std = torch.tensor([0.1, -0.2, 0.3, 0.4]), torch.tensor([1.5, 2.0, 0.7, 1.1])
    drawn = DiagonalGaussianDistribution(moments).sample(generator=torch.Generator().manual_seed(43))
    drawn = (drawn - mean.view(1, 4, 1, 1, 1)) * (1.0 / std.view(1, 4, 1, 1, 1))
    tensors |= {"moments": moments, "mean": mean, "std": std, "drawn_with_seed_43": drawn}
    time = torch.tensor([437])
    v = {}
    for name, text, own in (("u", negative, none), ("i", negative, person), ("c", context, person)):
        v[name] = model(latents, time, text, attention_kwargs=own, return_dict=False)[0]
        tensors[f"velocity.{name}"] = v[name]
    tensors["guided"] = v["u"] + 2.0 * (v["i"] - v["u"]) + 5.0 * (v["c"] - v["i"])
    return tensors


def run_lite() -> dict[str, torch.Tensor]:
    from modules.common.resampler import Resampler
    from modules.lite.attention_processor import register_ip_adapter_wan
    from modules.lite.trasnformer_wan import WanTransformer3DModel

    model = make_transformer(WanTransformer3DModel, 4)
    tensors = weights("base", model)
    resampler = Resampler(
        depth=1, dim=64, dim_head=64, embedding_dim=10, ff_mult=2, heads=1, num_queries=TOKENS, output_dim=24
    )
    randomise(resampler)
    tensors |= weights("resampler", resampler)
    model, ip_layers = register_ip_adapter_wan(model, hidden_size=DIM, cross_attention_dim=24, layers=2)
    randomise(ip_layers)
    tensors |= {f"ip_layers.{key}": value.half() for key, value in ip_layers.state_dict().items()}
    embed = nn.functional.normalize(torch.randn(1, 1, 10), dim=-1)
    latents, context, negative = torch.randn(1, 4, 2, 4, 6), torch.randn(1, 7, 12), torch.randn(1, 7, 12)
    tensors |= {"embed": embed, "latents": latents, "context": context, "negative": negative}
    velocity = model(
        hidden_states=torch.cat([latents] * 2),
        timestep=torch.tensor([611, 611]),
        image_embed=resampler(torch.cat((torch.zeros_like(embed), embed))),
        ip_scale=1.0,
        encoder_hidden_states=torch.cat((negative, context)),
        return_dict=False,
    )[0]
    nobody, person = velocity.chunk(2)
    tensors |= {"velocity.u": nobody, "velocity.c": person, "guided": nobody + 5.0 * (person - nobody)}
    return tensors


def main() -> None:
    """Run everything and save it."""
    sys.path.insert(0, sys.argv[1])
    stub = types.ModuleType("flash_attn_interface")
    stub.flash_attn_varlen_func = varlen  # type: ignore[attr-defined]
    stub.__spec__ = ModuleSpec("flash_attn_interface", None)
    sys.modules["flash_attn_interface"] = stub
    torch.manual_seed(4711)
    with torch.no_grad():
        # The full version replaces a method of diffusers' Attention for good, so lite runs first.
        save("lynx_lite", run_lite(), "modules/lite")
        save("lynx_full", run_full(), "modules/full")


def save(name: str, tensors: dict[str, torch.Tensor], folder: str) -> None:
    """Write a file beside this one."""
    path = Path(__file__).with_name(f"{name}.safetensors")
    tensors = {key: value.detach().contiguous().clone() for key, value in tensors.items()}
    save_file(tensors, path, metadata={"source": f"bytedance/lynx@3a6a91a {folder}; diffusers 0.33.1"})


if __name__ == "__main__":
    main()
