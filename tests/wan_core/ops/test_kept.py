from __future__ import annotations

import torch
from torch import Tensor

from wan_core.ops.kept import Kept


def ones(count: int) -> Tensor:
    return torch.ones(count)


def test_results_are_made_once_and_few_are_kept() -> None:
    calls: list[int] = []

    def make(count: int) -> Tensor:
        calls.append(count)
        return ones(count)

    kept = Kept(make, 2)
    first = kept(3)
    assert kept(3) is first and calls == [3]
    kept(4), kept(5), kept(3)
    assert calls == [3, 4, 5, 3]


def test_what_is_kept_in_inference_mode_serves_training() -> None:
    kept = Kept(ones, 1)
    with torch.inference_mode():
        kept(3)
    x = torch.full((3,), 2.0, requires_grad=True)
    (x * kept(3)).sum().backward()
    assert x.grad is not None and torch.equal(x.grad, torch.ones(3))


def test_a_compiled_graph_contains_the_computation() -> None:
    kept = Kept(ones, 1)
    compiled = torch.compile(lambda x: x * kept(3), backend="eager", fullgraph=True)
    assert torch.equal(compiled(torch.arange(3.0)), torch.arange(3.0))
