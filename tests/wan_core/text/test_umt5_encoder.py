"""Prompts to context: padding, cutting, notes, and memory that goes back."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from tiny_umt5 import spiece, tiny_text_encoder, tiny_umt5

from wan_core.errors import InputError
from wan_core.text.tokenizer import SentencePieceTokenizer
from wan_core.text.umt5_encoder import UMT5TextEncoder


def test_rows_after_the_prompt_are_zero() -> None:
    encoder = tiny_text_encoder()
    context = encoder.encode(["the cat waves", "", "the cat waves"])
    assert context.shape == (3, 512, 32) and context.dtype == torch.float32 and not context.requires_grad
    lengths = [len(encoder.tokenize(prompt).ids) for prompt in ("the cat waves", "")]
    assert lengths == [4, 1]
    for row, length in zip(context, [*lengths, lengths[0]], strict=True):
        assert not row[length:].any() and row[:length].abs().sum(dim=1).all()
    assert torch.equal(context[0], context[2])
    assert encoder.encode(["the cat waves"])[0, :4].allclose(context[0, :4], atol=1e-5)


def test_a_prompt_is_cleaned_first() -> None:
    encoder = tiny_text_encoder()
    assert torch.equal(encoder.encode(["  the\n cat "]), encoder.encode(["the cat"]))
    assert encoder.tokenize("cat &amp;amp; dog") == encoder.tokenize("cat & dog")


def test_equal_prompts_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = tiny_text_encoder()
    assert encoder.model is not None
    seen: list[int] = []
    encoder.model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    encoder.encode(["a cat", "a dog", "a  cat"])
    assert seen == [2]


def test_a_long_prompt_is_cut_as_officially_and_noted() -> None:
    encoder = UMT5TextEncoder(tiny_umt5(), SentencePieceTokenizer(spiece(), "test"), text_len=6)
    short, long = "a cat sits on the", "a cat sits on the beach and waves"
    assert encoder.notes([short, ""]) == ()
    (note,) = encoder.notes([short, long, long])
    assert "its last 3 tokens are left out" in note and "'a cat sits on the beach and waves'" in note
    assert encoder.tokenize(long).ids == encoder.tokenize(short).ids and len(encoder.tokenize(long).ids) == 6
    assert torch.equal(encoder.encode([long]), encoder.encode([short]))


def test_free_releases_the_weights() -> None:
    with tiny_text_encoder() as encoder:
        context = encoder.encode(["a cat"])
        held = [weakref.ref(tensor) for tensor in encoder.parameters()]
        held.append(weakref.ref(encoder.model))
        assert len(held) > 10
    gc.collect()
    assert [reference() for reference in held if reference() is not None] == []
    assert context.abs().sum() > 0 and list(encoder.parameters()) == []
    for use in (lambda: encoder.encode(["a cat"]), lambda: encoder.notes(["a cat"]), encoder.__enter__):
        with pytest.raises(InputError, match="they were freed. Load it again"):
            use()
    encoder.free()


@pytest.mark.parametrize(("prompts", "got"), [("a cat", "a single text"), ([], "none")])
def test_what_is_no_list_is_refused(prompts: list[str], got: str) -> None:
    with pytest.raises(InputError, match=f"prompts: expected a list of texts, got {got}"):
        tiny_text_encoder().encode(prompts)
    with pytest.raises(InputError, match="prompt: expected a text, got NoneType"):
        tiny_text_encoder().encode([None])  # type: ignore[list-item]
