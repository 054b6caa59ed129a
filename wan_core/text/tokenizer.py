"""Text to the token ids of umT5, from a sentencepiece model or a `tokenizer.json`."""

from __future__ import annotations

from typing import Protocol

from ..errors import CheckpointError, MissingDependencyError

END_TOKEN = "</s>"


class Tokenizer(Protocol):
    """What a text encoder asks of its tokenizer."""

    @property
    def size(self) -> int:
        """Number of token ids, from 0."""
        ...

    @property
    def end_id(self) -> int:
        """Id of the token that ends a prompt."""
        ...

    def token_ids(self, text: str) -> list[int]:
        """Ids of a text, without the end token and without a limit."""
        ...


class SentencePieceTokenizer:
    """A sentencepiece model, as `spiece.model` holds it and ComfyUI's files embed it.

    Args: model: the serialised model.   where: file, named in errors.
    Raises: CheckpointError: not a sentencepiece model, or one without an end token.   MissingDependencyError.
    """

    def __init__(self, model: bytes, where: str) -> None:
        try:
            import sentencepiece
        except ImportError as error:
            raise MissingDependencyError(
                "sentencepiece: expected it for the tokenizer of umT5, got no such package. Run: "
                "pip install sentencepiece"
            ) from error
        # An empty model would be taken for "no model yet" and fail at the first prompt.
        problem = None if model else "nothing"
        processor = sentencepiece.SentencePieceProcessor()
        if model:
            try:
                processor.LoadFromSerializedProto(model)
            except RuntimeError as error:
                problem = f"'{error}'"
        if problem is not None:
            raise CheckpointError(
                f"tokenizer: expected a sentencepiece model, got {problem} in {where}. Use the spiece.model of umT5."
            )
        self._processor = processor
        self._end = checked_end(processor.eos_id(), where)

    @property
    def size(self) -> int:
        """Number of token ids."""
        return int(self._processor.GetPieceSize())

    @property
    def end_id(self) -> int:
        """Id of the end token."""
        return self._end

    def token_ids(self, text: str) -> list[int]:
        """Ids of a text, without the end token."""
        return [int(token) for token in self._processor.EncodeAsIds(text)]


class JsonTokenizer:
    """A `tokenizer.json` of the tokenizers library, what the official code takes where a folder has one.

    Args: text: contents of the file.   where: file, named in errors.
    Raises: CheckpointError: not a tokenizer, or one without an end token.   MissingDependencyError.
    """

    def __init__(self, text: str, where: str) -> None:
        try:
            import tokenizers
        except ImportError as error:
            raise MissingDependencyError(
                "tokenizers: expected it for a tokenizer.json, got no such package. Run: pip install tokenizers"
            ) from error
        try:
            tokenizer = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the library raises bare Exception
            raise CheckpointError(
                f"tokenizer: expected a tokenizer.json of the tokenizers library, got '{error}' in {where}. "
                "Use the tokenizer of umT5."
            ) from error
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._end = checked_end(tokenizer.token_to_id(END_TOKEN), where)

    @property
    def size(self) -> int:
        """Number of token ids."""
        return int(self._tokenizer.get_vocab_size())

    @property
    def end_id(self) -> int:
        """Id of the end token."""
        return self._end

    def token_ids(self, text: str) -> list[int]:
        """Ids of a text, without the end token."""
        return [int(token) for token in self._tokenizer.encode(text, add_special_tokens=False).ids]


def checked_end(end: int | None, where: str) -> int:
    """Return the id of the end token.

    Raises: CheckpointError: there is none (None or negative).
    """
    if end is None or end < 0:
        raise CheckpointError(
            f"tokenizer: expected the end token {END_TOKEN}, got none in {where}. Use the tokenizer of umT5."
        )
    return end
