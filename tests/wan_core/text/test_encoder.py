"""NanoTextEncoder: padding, order, differentiability, configuration."""

from __future__ import annotations

import pytest
import torch

from wan_core.errors import ConfigError, InputError, ShapeError
from wan_core.text import NanoTextConfig, NanoTextEncoder, encode_words, pad_token_ids
from wan_core.text.vocabulary import VOCAB_SIZE


@pytest.fixture
def encoder() -> NanoTextEncoder:
    torch.manual_seed(0)
    return NanoTextEncoder(NanoTextConfig(dim=16, num_heads=2, max_tokens=8))


def test_shape_and_zero_padding(encoder: NanoTextEncoder) -> None:
    context = encoder.encode(['beach "hello everyone"', ""])
    assert context.shape == (2, 8, 16)
    assert (context[0, :3].abs().sum(-1) > 0).all()
    assert (context[0, 3:] == 0).all() and (context[1] == 0).all()


def test_padding_never_changes_a_prompt(encoder: NanoTextEncoder) -> None:
    ids = torch.tensor([encode_words("city", "nods", ("hello",))])
    alone = encoder(ids)
    padded = encoder(torch.cat([ids, torch.zeros(1, 4, dtype=torch.int64)], dim=1))
    torch.testing.assert_close(padded[:, :3], alone, rtol=0, atol=1e-6)


def test_only_the_order_of_speech_matters(encoder: NanoTextEncoder) -> None:
    scene, action, hello, again = encode_words("city", "nods", ("hello", "again"))
    rows = encoder(
        torch.tensor(
            [[scene, action, hello, again], [action, scene, hello, again], [scene, action, again, hello]]
        )
    )
    torch.testing.assert_close(rows[0], rows[1][[1, 0, 2, 3]], rtol=0, atol=1e-6)
    assert (rows[0, 2] - rows[2, 3]).abs().max() > 1e-3


def test_gradients_reach_every_used_weight_and_no_nan(encoder: NanoTextEncoder) -> None:
    encoder.encode(["", 'beach waves "good morning"']).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_vocabulary_fits_the_default_config() -> None:
    assert NanoTextConfig().vocab_size == VOCAB_SIZE
    assert NanoTextConfig().max_tokens >= 2 + 5


def test_too_long() -> None:
    with pytest.raises(InputError, match="expected at most 2 tokens, got 3"):
        pad_token_ids([(1, 2, 3)], 2)
    with pytest.raises(ShapeError, match=r"L at most 8, got \(1, 9\)"):
        NanoTextEncoder(NanoTextConfig(dim=4, num_heads=1, max_tokens=8))(torch.ones(1, 9, dtype=torch.int64))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dim": 10}, "multiple of num_heads 4, got 10"),
        ({"num_layers": 0}, "num_layers: expected at least 1, got 0"),
        ({"vocab_size": 3}, "expected at most vocab_size 3"),
    ],
)
def test_config_errors(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NanoTextConfig(**changes)
