"""The benchmark of the text encoder compares things that give the same numbers."""

from __future__ import annotations

import torch

from benchmarks.text_encode import VOCABULARY, diffusers_way, measure, ours, random_weights
from wan_core.text.umt5 import UMT5Config


def test_contenders_agree_and_are_timed() -> None:
    config = UMT5Config(
        vocab_size=VOCABULARY, dim=32, attention_dim=32, ffn_dim=48, num_heads=4, num_layers=1
    )
    weights = random_weights(config, torch.float32)
    with torch.no_grad():
        row = measure(
            {"ours": ours(config, weights), "diffusers": diffusers_way(config, weights)}, (9, 20), runs=1
        )
    assert row["relative_error"]["ours"] == 0 < row["relative_error"]["diffusers"] < 1e-5
    assert row["ratio_to_best_peer"] == row["seconds"]["diffusers"] / row["seconds"]["ours"]
