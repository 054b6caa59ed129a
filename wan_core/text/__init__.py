"""Text: the reading of prompts and nano's text encoder."""

from __future__ import annotations

from .encoder import NanoTextConfig, NanoTextEncoder, pad_token_ids
from .prompt import ParsedPrompt, encode_words, parse_prompt
from .vocabulary import ACTIONS, CLOSERS, OPENERS, SCENES, known_sentences, known_words

__all__ = [
    "ACTIONS",
    "CLOSERS",
    "OPENERS",
    "SCENES",
    "NanoTextConfig",
    "NanoTextEncoder",
    "ParsedPrompt",
    "encode_words",
    "known_sentences",
    "known_words",
    "pad_token_ids",
    "parse_prompt",
]
