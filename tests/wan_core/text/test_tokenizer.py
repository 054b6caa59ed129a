"""Tokenizers of umT5 from a sentencepiece model, from the tokenizers library and from lists of pieces."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tiny_umt5 import PIECES, spiece, tokenizer_json

from wan_core.errors import CheckpointError, MissingDependencyError
from wan_core.text.sentencepiece_model import write_sentencepiece
from wan_core.text.tokenizer import JsonTokenizer, SentencePieceTokenizer

TEXTS = ("the cat waves", "a dog , and snow .", "catalog", "", "the  beach")


def test_known_ids() -> None:
    tokenizer = SentencePieceTokenizer(spiece(), "test")
    pieces = [piece for piece, _, _ in PIECES]
    words = [pieces.index("\u2581" + word) for word in ("the", "cat", "waves")]
    assert tokenizer.token_ids("the cat waves") == words
    assert (tokenizer.size, tokenizer.end_id) == (len(PIECES), 1)
    assert tokenizer.token_ids("the \u8272")[-1] == 2


def test_both_libraries_agree() -> None:
    one, two = SentencePieceTokenizer(spiece(), "test"), JsonTokenizer(tokenizer_json(), "test")
    assert [one.token_ids(text) for text in TEXTS] == [two.token_ids(text) for text in TEXTS]
    assert (two.size, two.end_id) == (one.size, one.end_id)


def test_equals_transformers_auto_tokenizer(tmp_path: Path) -> None:
    import transformers

    (tmp_path / "tokenizer.json").write_text(tokenizer_json(), encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps(
            {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "eos_token": "</s>", "pad_token": "<pad>"}
        )
    )
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    ours = JsonTokenizer((tmp_path / "tokenizer.json").read_text(encoding="utf-8"), "test")
    for text in TEXTS:
        assert [*ours.token_ids(text), ours.end_id] == theirs(text).input_ids


def test_pieces_with_bytes() -> None:
    extra = [*PIECES, *((f"<0x{byte:02X}>", 0.0, 6) for byte in range(256))]
    pieces, scores, kinds = zip(*extra, strict=True)
    model = write_sentencepiece(
        pieces,
        scores,
        kinds,
        end_id=1,
        pad_id=0,
        unknown_id=2,
        charsmap=b"",
        dummy_prefix=True,
        remove_extra_spaces=True,
        where="test",
    )
    ids = SentencePieceTokenizer(model, "test").token_ids("cat \u8272")
    assert [pieces[token] for token in ids[-3:]] == ["<0xE8>", "<0x89>", "<0xB2>"]
    with pytest.raises(CheckpointError, match="got 2, 1 and 2 in test"):
        write_sentencepiece(
            ["a", "b"],
            [0.0],
            [1, 1],
            end_id=1,
            pad_id=0,
            unknown_id=2,
            charsmap=b"",
            dummy_prefix=True,
            remove_extra_spaces=True,
            where="test",
        )


@pytest.mark.parametrize("model", [b"", b"no model at all"])
def test_a_damaged_model(model: bytes) -> None:
    with pytest.raises(
        CheckpointError, match=r"tokenizer: expected a sentencepiece model, got .* in here\.model"
    ):
        SentencePieceTokenizer(model, "here.model")


def test_a_damaged_json_and_one_without_an_end() -> None:
    with pytest.raises(CheckpointError, match=r"expected a tokenizer\.json .* in here"):
        JsonTokenizer("{}", "here")
    data = json.loads(tokenizer_json().replace("</s>", "<end>"))
    with pytest.raises(CheckpointError, match="expected the end token </s>, got none in here"):
        JsonTokenizer(json.dumps(data), "here")


@pytest.mark.parametrize("package", ["sentencepiece", "tokenizers"])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    text = tokenizer_json()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=f"pip install {package}"):
        SentencePieceTokenizer(spiece(), "x") if package == "sentencepiece" else JsonTokenizer(text, "x")
