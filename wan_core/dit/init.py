"""Weights to start training from."""

from __future__ import annotations

import torch
from torch import nn

from .attention import CrossAttention
from .block import WanBlock
from .embed import Head
from .model import WanModel


def init_weights(model: nn.Module, generator: torch.Generator | None = None) -> None:
    """Initialise a `WanModel` or `JointModel` in place for training.

    Linear and convolution layers Xavier-uniform with zero bias, text and time embeddings normal (0.02), modulation
    normal (1 / sqrt(dim)), the head zero, and the values read from the other tower zero: at first each tower works
    alone and predicts zero.

    Args: generator: on the device of the parameters; the result depends on nothing else.
    Source: Wan-Video/Wan2.1@9737cba wan/modules/model.py init_weights. Differs: fusion values start at zero.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv3d):
            nn.init.xavier_uniform_(module.weight.flatten(1), generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, WanBlock | Head):
            std = module.modulation.shape[-1] ** -0.5
            nn.init.normal_(module.modulation, std=std, generator=generator)
    for module in model.modules():
        if isinstance(module, WanModel):
            for layer in (*module.text_embedding, *module.time_embedding):
                if isinstance(layer, nn.Linear):
                    nn.init.normal_(layer.weight, std=0.02, generator=generator)
            nn.init.zeros_(module.head.head.weight)
        elif isinstance(module, CrossAttention) and hasattr(module, "v_fusion"):
            nn.init.zeros_(module.v_fusion.weight)
