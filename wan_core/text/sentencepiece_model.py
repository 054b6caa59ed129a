"""A sentencepiece model written from lists of pieces, as GGUF files carry a tokenizer."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from ..errors import CheckpointError

UNIGRAM = 1
BYTE_PIECE = 6


def write_sentencepiece(
    pieces: Sequence[str],
    scores: Sequence[float],
    kinds: Sequence[int],
    *,
    end_id: int,
    pad_id: int,
    unknown_id: int,
    charsmap: bytes,
    dummy_prefix: bool,
    remove_extra_spaces: bool,
    where: str,
) -> bytes:
    """Serialise a unigram model; `tokenizer.SentencePieceTokenizer` reads it.

    Args:
        pieces: text of each token id, with U+2581 for a space.   scores: log probabilities.
        kinds: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte.
        charsmap: precompiled normalisation rules, may be empty.
        dummy_prefix, remove_extra_spaces: how text is normalised.   where: file, named in errors.
    Raises: CheckpointError: lists of different lengths.
    Source: google/sentencepiece src/sentencepiece_model.proto (numbers of the fields).
    """
    if not len(pieces) == len(scores) == len(kinds) or not pieces:
        raise CheckpointError(
            f"tokenizer: expected as many pieces as scores and kinds, got {len(pieces)}, {len(scores)} and {len(kinds)}"
            f" in {where}. The file is damaged: copy or download it again."
        )
    vocabulary = b"".join(
        _message(1, _message(1, piece.encode()) + _float(2, score) + _number(3, kind))
        for piece, score, kind in zip(pieces, scores, kinds, strict=True)
    )
    trainer = (
        _number(3, UNIGRAM)
        + _number(4, len(pieces))
        + _number(35, BYTE_PIECE in kinds)
        + _number(40, unknown_id)
        + _number(41, -1)  # there is no token that begins a text
        + _number(42, end_id)
        + _number(43, pad_id)
    )
    normalizer = (
        _message(2, charsmap) + _number(3, dummy_prefix) + _number(4, remove_extra_spaces) + _number(5, True)
    )
    return vocabulary + _message(2, trainer) + _message(3, normalizer)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(int(value))


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content
