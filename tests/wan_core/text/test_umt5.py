"""The umT5 encoder equals the official one and transformers', without their padding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_umt5 import OFFICIAL_TO_HF, renamed, tiny_umt5, tiny_umt5_config

from wan_core.errors import ConfigError, InputError, ShapeError
from wan_core.text.umt5 import UMT5Config, UMT5Encoder, finite, relative_buckets

GOLDEN = Path(__file__).parents[2] / "golden" / "wan_umt5.safetensors"


def relative_error(got: torch.Tensor, expected: torch.Tensor) -> float:
    return float((got - expected).norm() / expected.norm())


def test_equals_the_official_encoder() -> None:
    golden = load_file(GOLDEN)
    config = UMT5Config(vocab_size=64, dim=32, attention_dim=32, ffn_dim=48, num_heads=4, num_layers=2)
    model = UMT5Encoder(config).train(False)
    model.load_state_dict(
        {k.removeprefix("weight."): v for k, v in golden.items() if k.startswith("weight.")}
    )
    with torch.no_grad():
        context = model([golden["ids.0"].tolist(), golden["ids.1"].tolist()])
    for row in range(2):
        assert context[row].shape == golden[f"context.{row}"].shape
        assert relative_error(context[row], golden[f"context.{row}"]) < 1e-5


@pytest.mark.parametrize(
    "config",
    [
        tiny_umt5_config(),
        UMT5Config(
            vocab_size=40,
            dim=24,
            attention_dim=32,
            ffn_dim=16,
            num_heads=2,
            num_layers=3,
            num_buckets=8,
            max_distance=12,
        ),
    ],
)
def test_equals_transformers_on_the_padded_prompt(config: UMT5Config) -> None:
    import transformers

    theirs = transformers.UMT5EncoderModel(
        transformers.UMT5Config(
            vocab_size=config.vocab_size,
            d_model=config.dim,
            d_kv=config.attention_dim // config.num_heads,
            d_ff=config.ffn_dim,
            num_heads=config.num_heads,
            num_layers=config.num_layers,
            relative_attention_num_buckets=config.num_buckets,
            relative_attention_max_distance=config.max_distance,
        )
    ).train(False)
    ours = tiny_umt5(config, seed=3)
    left = theirs.load_state_dict(renamed(ours.state_dict(), OFFICIAL_TO_HF), strict=False)
    assert left.missing_keys in ([], ["encoder.embed_tokens.weight"]) and not left.unexpected_keys
    lengths = (21, 1, 40)
    ids = torch.zeros(3, 512, dtype=torch.int64)
    mask = torch.zeros(3, 512, dtype=torch.int64)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(
            1, config.vocab_size, (length,), generator=torch.Generator().manual_seed(row)
        )
        mask[row, :length] = 1
    with torch.no_grad():
        padded = theirs(ids, mask).last_hidden_state
        context = ours([ids[row, :length].tolist() for row, length in enumerate(lengths)])
    for row, length in enumerate(lengths):
        assert relative_error(context[row], padded[row, :length]) < 1e-5


def test_prompts_do_not_see_each_other() -> None:
    model = tiny_umt5()
    first, second = [5, 6, 7, 1], [9, 1]
    together, alone = model([first, second, []]), [model([first])[0], model([second])[0]]
    assert relative_error(together[0], alone[0]) < 1e-6 and relative_error(together[1], alone[1]) < 1e-6
    assert together[2].shape == (0, 32) and model([[]])[0].shape == (0, 32)


def test_half_precision_is_near_and_finite() -> None:
    exact = tiny_umt5()([[5, 6, 7, 8, 1]])[0]
    for dtype, bound in ((torch.bfloat16, 0.02), (torch.float16, 0.003)):
        model = tiny_umt5().to(dtype)
        got = model([[5, 6, 7, 8, 1]])[0]
        assert got.dtype == dtype == model.dtype
        assert relative_error(got.float(), exact) < bound
    large = finite(torch.tensor([float("inf"), -float("inf"), 65504.0, 1.0], dtype=torch.float16))
    assert large.tolist() == [64504.0, -64504.0, 64504.0, 1.0] and large.dtype == torch.float32


def test_buckets_by_hand() -> None:
    # 8 buckets: 2 exact ones for each direction, then logarithmic up to 8 tokens.
    assert relative_buckets(5, 8, 8).tolist() == [3, 2, 2, 1, 0, 5, 6, 6, 7]
    assert relative_buckets(1, 32, 128).tolist() == [0]
    far = relative_buckets(400, 32, 128)
    assert (far.min(), far.max()) == (0, 31) and far[0] == 15 and far[-1] == 31
    with pytest.raises(ShapeError, match="expected at least 1 token, got 0"):
        relative_buckets(0, 32, 128)


@pytest.mark.parametrize("token", [-1, 64])
def test_foreign_tokens_are_refused(token: int) -> None:
    with pytest.raises(InputError, match="expected numbers from 0 to 63"):
        tiny_umt5()([[3, token]])


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"num_layers": 0}, "num_layers: expected a positive number, got 0"),
        ({"attention_dim": 30, "num_heads": 4}, "expected a multiple of num_heads 4, got 30"),
        ({"num_buckets": 30}, "expected a multiple of 4"),
        ({"max_distance": 8}, "more than a quarter"),
    ],
)
def test_impossible_configurations(fields: dict[str, int], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        UMT5Config(**fields)
