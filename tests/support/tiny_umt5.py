"""A umT5 of a few thousand numbers and a tokenizer for it, in every layout that is published."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from packed_files import pack
from torch import Tensor

from wan_core.text.sentencepiece_model import write_sentencepiece
from wan_core.text.tokenizer import SentencePieceTokenizer
from wan_core.text.umt5 import UMT5Config, UMT5Encoder
from wan_core.text.umt5_encoder import UMT5TextEncoder

WORDS = ("a", "cat", "dog", "sits", "on", "the", "beach", "and", "waves", "snow", ",", ".")
SPACE = "\u2581"
PIECES: tuple[tuple[str, float, int], ...] = (
    ("<pad>", 0.0, 3),
    ("</s>", 0.0, 3),
    ("<unk>", 0.0, 2),
    (SPACE, -9.0, 1),
    *((SPACE + word, -1.0 - i / 10, 1) for i, word in enumerate(WORDS)),
    *((letter, -12.0 - i / 100, 1) for i, letter in enumerate("abcdefghijklmnopqrstuvwxyz")),
)
VOCABULARY = 64
OFFICIAL_TO_HF = (
    (r"token_embedding\.(.+)", r"shared.\1"),
    (r"norm\.(.+)", r"encoder.final_layer_norm.\1"),
    (r"blocks\.(\d+)\.norm1\.(.+)", r"encoder.block.\1.layer.0.layer_norm.\2"),
    (r"blocks\.(\d+)\.attn\.(.+)", r"encoder.block.\1.layer.0.SelfAttention.\2"),
    (
        r"blocks\.(\d+)\.pos_embedding\.embedding\.(.+)",
        r"encoder.block.\1.layer.0.SelfAttention.relative_attention_bias.\2",
    ),
    (r"blocks\.(\d+)\.norm2\.(.+)", r"encoder.block.\1.layer.1.layer_norm.\2"),
    (r"blocks\.(\d+)\.ffn\.gate\.0\.(.+)", r"encoder.block.\1.layer.1.DenseReluDense.wi_0.\2"),
    (r"blocks\.(\d+)\.ffn\.fc1\.(.+)", r"encoder.block.\1.layer.1.DenseReluDense.wi_1.\2"),
    (r"blocks\.(\d+)\.ffn\.fc2\.(.+)", r"encoder.block.\1.layer.1.DenseReluDense.wo.\2"),
)
OFFICIAL_TO_GGUF = (
    (r"token_embedding\.(.+)", r"token_embd.\1"),
    (r"norm\.(.+)", r"enc.output_norm.\1"),
    (r"blocks\.(\d+)\.norm1\.(.+)", r"enc.blk.\1.attn_norm.\2"),
    (r"blocks\.(\d+)\.attn\.(.)\.(.+)", r"enc.blk.\1.attn_\2.\3"),
    (r"blocks\.(\d+)\.pos_embedding\.embedding\.(.+)", r"enc.blk.\1.attn_rel_b.\2"),
    (r"blocks\.(\d+)\.norm2\.(.+)", r"enc.blk.\1.ffn_norm.\2"),
    (r"blocks\.(\d+)\.ffn\.gate\.0\.(.+)", r"enc.blk.\1.ffn_gate.\2"),
    (r"blocks\.(\d+)\.ffn\.fc1\.(.+)", r"enc.blk.\1.ffn_up.\2"),
    (r"blocks\.(\d+)\.ffn\.fc2\.(.+)", r"enc.blk.\1.ffn_down.\2"),
)


def tiny_umt5_config(dim: int = 32, num_layers: int = 2) -> UMT5Config:
    return UMT5Config(
        vocab_size=VOCABULARY,
        dim=dim,
        attention_dim=dim,
        ffn_dim=2 * dim,
        num_heads=4,
        num_layers=num_layers,
    )


def tiny_umt5(config: UMT5Config | None = None, seed: int = 0) -> UMT5Encoder:
    """Random weights of the sizes that umT5 is initialised with, the same for the same seed."""
    model = UMT5Encoder(config or tiny_umt5_config()).requires_grad_(False).train(False)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter.normal_(mean=1.0, std=0.25, generator=generator)
        elif "embedding" in name:
            parameter.normal_(generator=generator)
        else:
            parameter.normal_(std=parameter.shape[1] ** -0.5, generator=generator)
        if name.endswith("attn.q.weight"):
            parameter *= (model.config.attention_dim // model.config.num_heads) ** -0.5
    return model


def renamed(state: dict[str, Tensor], rules: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    """Official names to those of another layout; every key must be known."""
    result: dict[str, Tensor] = {}
    for key, value in state.items():
        match, replacement = next((m, new) for old, new in rules if (m := re.fullmatch(old, key)))
        result[match.expand(replacement)] = value
    return result


def spiece() -> bytes:
    """A sentencepiece model of the tiny vocabulary."""
    pieces, scores, kinds = zip(*PIECES, strict=True)
    return write_sentencepiece(
        pieces,
        scores,
        kinds,
        end_id=1,
        pad_id=0,
        unknown_id=2,
        charsmap=b"",
        dummy_prefix=True,
        remove_extra_spaces=True,
        where="the test",
    )


def tokenizer_json() -> str:
    """The same vocabulary as `spiece`, for the tokenizers library, as the folder of umT5 has it."""
    import tokenizers
    from tokenizers import models, pre_tokenizers, processors

    made = tokenizers.Tokenizer(models.Unigram([(text, score) for text, score, _ in PIECES], 2, False))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement=SPACE)]
    )
    made.post_processor = processors.TemplateProcessing(single=["$A", "</s>"], special_tokens=[("</s>", 1)])
    made.add_special_tokens(["<pad>", "</s>", "<unk>"])
    made.enable_truncation(5)
    return made.to_str()


def tiny_text_encoder() -> UMT5TextEncoder:
    return UMT5TextEncoder(tiny_umt5(), SentencePieceTokenizer(spiece(), "the test"))


def write_umt5_gguf(
    path: Path, state: dict[str, Tensor], kind: str, *, tokenizer: str | None = "t5"
) -> dict[str, Tensor]:
    """A GGUF file with matrices of one type and the tokenizer in its metadata; returns the values it stands for.

    The relative positions stay F32, as llama.cpp's quantiser leaves them.
    """
    import gguf

    writer = gguf.GGUFWriter(path, "t5encoder")
    if tokenizer is not None:
        pieces, scores, kinds = zip(*PIECES, strict=True)
        padding = [f"[PAD{number}]" for number in range(VOCABULARY - len(pieces))]
        writer.add_tokenizer_model(tokenizer)
        writer.add_token_list([*pieces, *padding])
        writer.add_token_scores([*scores, *(-10000.0 for _ in padding)])
        writer.add_token_types([*kinds, *(5 for _ in padding)])
        writer.add_add_space_prefix(True)
        writer.add_remove_extra_whitespaces(True)
        writer.add_eos_token_id(1)
        writer.add_unk_token_id(2)
        writer.add_pad_token_id(0)
    values: dict[str, Tensor] = {}
    for key, value in state.items():
        plain = "F32" if value.ndim == 1 or "pos_embedding" in key else kind
        own = gguf.GGMLQuantizationType[plain]
        packed = pack(value.float().numpy(), own)
        writer.add_tensor(next(iter(renamed({key: value}, OFFICIAL_TO_GGUF))), packed, raw_dtype=own)
        back = packed if plain in ("F32", "F16") else gguf.quants.dequantize(packed, own)
        values[key] = torch.from_numpy(back.astype("float32")).view(value.shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return values
