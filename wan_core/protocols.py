"""What the parts of wan_core expect of each other, without importing each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor, nn

LayerFactory = Callable[..., Any]


class Operations(Protocol):
    """Namespace that layers are made from: `torch.nn`, or a host's own layers that cast and offload weights.

    Every factory takes the arguments of the torch.nn class of the same name, `device` and `dtype` among them. Layers of
    another namespace than torch.nn convert their weights to the dtype of their input.
    """

    @property
    def Linear(self) -> LayerFactory:  # noqa: N802
        """As torch.nn.Linear."""
        ...

    @property
    def LayerNorm(self) -> LayerFactory:  # noqa: N802
        """As torch.nn.LayerNorm."""
        ...

    @property
    def Conv1d(self) -> LayerFactory:  # noqa: N802
        """As torch.nn.Conv1d."""
        ...

    @property
    def Conv2d(self) -> LayerFactory:  # noqa: N802
        """As torch.nn.Conv2d."""
        ...

    @property
    def Conv3d(self) -> LayerFactory:  # noqa: N802
        """As torch.nn.Conv3d."""
        ...

    @property
    def Embedding(self) -> LayerFactory:  # noqa: N802
        """As torch.nn.Embedding."""
        ...


#: The layers used where none are injected.
TORCH_OPERATIONS: Operations = nn


class Injection(Protocol):
    """Extra attention of a reference (a face, a voice, speech), into the cross- or the self-attention of a tower."""

    def attend(self, block_index: int, query: Tensor) -> Tensor | None:
        """Attend to the reference with a block's own query.

        Args:
            block_index: number of the block, from 0.
            query: (B, heads, L, head_dim), the block's own `norm_q(q(...))` of its cross- or self-attention, before any
                RoPE.
        Returns:
            (B, heads, L, head_dim), already scaled; the block adds it to what it attends to itself, before the output
            layer `o`. None for a block that is left alone, which is then computed exactly as without the injection.
        Source: bytedance/lynx@3a6a91a modules/full/attention_processor.py (sum before the output layer).
        """
        ...
