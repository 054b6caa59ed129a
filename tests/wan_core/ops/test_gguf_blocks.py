from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch

from wan_core.ops.gguf_blocks import BLOCK_TYPES

WITHOUT_WRITER = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS")


def random_blocks(name: str, count: int = 64) -> np.ndarray:
    """Random bytes; any are valid blocks once the float16 scales among them are finite."""
    generator = np.random.default_rng(5)
    size = BLOCK_TYPES[name].size
    blocks = generator.integers(0, 256, (count, size), dtype=np.uint8)
    for start in range(
        0, size - 1, 2
    ):  # an exponent of all ones anywhere would be infinite: clear one bit of each
        blocks[:, start + 1] &= 0xBF
    return blocks


@pytest.mark.parametrize("name", BLOCK_TYPES)
def test_equals_ggufs_own_numbers(name: str) -> None:
    blocks = random_blocks(name)
    expected = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType[name])
    found = BLOCK_TYPES[name].unpack(torch.from_numpy(blocks))
    assert found.dtype == torch.float32 and found.shape == (64, BLOCK_TYPES[name].values)
    assert np.isfinite(expected).all() and np.abs(expected).max() > 0
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("name", [n for n in BLOCK_TYPES if n not in WITHOUT_WRITER])
def test_what_gguf_packs_comes_back_within_a_step(name: str) -> None:
    values = np.random.default_rng(1).standard_normal((8, 256)).astype(np.float32)
    packed = gguf.quants.quantize(values, gguf.GGMLQuantizationType[name])
    found = BLOCK_TYPES[name].unpack(torch.from_numpy(packed).reshape(-1, BLOCK_TYPES[name].size))
    runs = values.reshape(-1, 32)
    steps = {"Q4_0": 8, "Q4_1": 15, "Q5_0": 16, "Q5_1": 31, "Q8_0": 127}
    spread = (
        runs.max(1) - runs.min(1) if name in ("Q4_1", "Q5_1") else np.abs(runs).max(1)
    )  # what one step is a part of
    assert (np.abs(found.numpy().reshape(-1, 32) - runs).max(1) <= 1.01 * spread / steps[name]).all()


@pytest.mark.parametrize("name", BLOCK_TYPES)
def test_sizes_are_those_of_gguf(name: str) -> None:
    assert gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]] == BLOCK_TYPES[name][:2]
