"""Normalisation, modulation and gated residuals of a transformer block."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Stretches of a token sequence: (number of tokens, number of timesteps that they divide evenly among themselves).
Layout = tuple[tuple[int, int], ...]


class RMSNorm(nn.Module):
    """Root-mean-square normalisation over the whole width, as Wan applies to queries and keys before heads are split.

    Args: dim: width.   eps: added to the mean square.
    Source: Wan-Video/Wan2.1@9737cba wan/modules/model.py WanRMSNorm. Differs: one reduction; float32 until the end.
    """

    def __init__(
        self,
        dim: int,
        eps: float = 1e-6,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim, device=device, dtype=dtype))

    def forward(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Normalise the last axis of x (..., dim); `dtype` of the result, None: that of x."""
        exact = x.float()
        norm = torch.linalg.vector_norm(exact, dim=-1, keepdim=True)
        factor = torch.rsqrt(norm.square() / x.shape[-1] + self.eps)
        weight = self.weight.to(dtype=torch.float32, device=x.device)
        if torch.is_grad_enabled():
            result = exact * factor * weight
        else:
            result = (exact * factor if exact is x else exact.mul_(factor)).mul_(weight)
        return result.to(x.dtype if dtype is None else dtype)


class NoNorm(nn.Module):
    """What stands where a configuration has no `RMSNorm`."""

    def forward(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Return x in `dtype`, None: as it is."""
        return x if dtype is None else x.to(dtype)


def modulated_norm(
    x: Tensor, shift: Tensor, scale: Tensor, eps: float, layout: Layout | None = None
) -> Tensor:
    """Layer norm without own weights, times 1 + scale, plus shift; in float32.

    Args:
        x: (B, L, D).
        shift, scale: (B, G, D), float32; token i uses group i // (L / G). G is 1 (one timestep for all tokens), the
            number of frames, or L. Nothing of size (B, L, D) is made from them.
        layout: None, or several stretches of tokens with their own groups, one after the other in both.
    Returns: (B, L, D), float32.
    """
    if layout is not None:
        parts = _stretches(layout, x, shift, scale)
        return torch.cat([modulated_norm(own, add, times, eps) for own, add, times in parts], dim=1)
    x = x.float()
    width = (x.shape[-1],)
    if shift.shape[0] * shift.shape[1] == 1:
        return F.layer_norm(x, width, 1 + scale.flatten(), shift.flatten(), eps)
    normed = F.layer_norm(x, width, eps=eps)
    groups = shift.shape[1]
    if groups == 1:
        return torch.addcmul(shift, normed, 1 + scale)
    grouped = normed.unflatten(1, (groups, -1))
    return torch.addcmul(shift.unsqueeze(2), grouped, 1 + scale.unsqueeze(2)).flatten(1, 2)


def gated_residual(
    x: Tensor, update: Tensor, gate: Tensor, layout: Layout | None = None, *, overwrite: bool = False
) -> Tensor:
    """x + update * gate.

    Args:
        x: (B, L, D), float32.   update: (B, L, D).   gate: (B, G, D), float32, grouped as in `modulated_norm`.
        overwrite: nothing else needs x, so that the result may take its place where no gradients are recorded.
    Returns: (B, L, D), float32.
    """
    if layout is not None:
        updates = update.split([tokens for tokens, _ in layout], dim=1)
        parts = zip(_stretches(layout, x, gate), updates, strict=True)
        return torch.cat([gated_residual(own, new, own_gate) for (own, own_gate), new in parts], dim=1)
    groups = gate.shape[1]
    update = update.float()
    if groups == 1:
        is_free = overwrite and not torch.is_grad_enabled()
        return x.addcmul_(update, gate) if is_free else torch.addcmul(x, update, gate)
    split = (groups, -1)
    return torch.addcmul(x.unflatten(1, split), update.unflatten(1, split), gate.unsqueeze(2)).flatten(1, 2)


def _stretches(layout: Layout, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cut the first tensor by tokens and the others by groups."""
    tokens, groups = [count for count, _ in layout], [count for _, count in layout]
    pieces = [tensor.split(groups if place else tokens, dim=1) for place, tensor in enumerate(tensors)]
    return zip(*pieces, strict=True)
