"""Keys and values of a reference for every block: prepared once, used at each step of sampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..errors import ConfigError, ShapeError
from ..protocols import TORCH_OPERATIONS, Injection, Operations
from .attention import add_attention, attend, split_heads


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TokenRegion:
    """The tokens of a tower that a reference acts on.

    count: tokens of the tower, L.   places: numbers of those it acts on, (M,).   weights: how strongly, (M,), above 0.
    """

    count: int
    places: Tensor
    weights: Tensor

    @classmethod
    def of(cls, weights: Tensor) -> TokenRegion:
        """Make it of a weight for every token, (L,), 0 or more.

        Raises: ShapeError: another shape, or weights that are negative or not finite.
        """
        if weights.ndim != 1 or not bool(((weights >= 0) & weights.isfinite()).all()):
            raise ShapeError(
                f"region: expected a finite weight >= 0 for each token, got {tuple(weights.shape)}. Make it of boxes."
            )
        places = weights.nonzero().flatten()
        return cls(count=weights.shape[0], places=places, weights=weights[places])

    def to(self, device: torch.device | str | None) -> TokenRegion:
        """Return it on another device."""
        return replace(self, places=self.places.to(device), weights=self.weights.to(device))


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedInjection:
    """An `Injection` that holds nothing but tensors; the adapter that made it may leave memory.

    keys, values: one (B or 1, heads, N, head_dim) per block; a block without keys is left alone.
    scales: one number per block, 0 switches a block off.
    batch_scale: optional (B,), multiplies the scale of each sample (used to drop references while training).
    region: the tokens that it acts on, None for all. Other tokens get exactly what they get without the reference.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    scales: tuple[float, ...]
    batch_scale: Tensor | None = None
    region: TokenRegion | None = None

    def attend(self, block_index: int, query: Tensor) -> Tensor | None:
        """Attend to the reference; see `wan_core.protocols.Injection`.

        Raises: ShapeError: there is no such block, the heads differ from those of the query, or the region is of
            another number of tokens.
        """
        found = self._keys_of(block_index, query)
        if found is None:
            return None
        key, value, scale = found
        region = self.region
        if region is None:
            result = attend(query, key, value)
        else:
            if region.count != query.shape[2]:
                raise ShapeError(
                    f"region: expected {query.shape[2]} tokens (as the clip), got {region.count}. Make it for this "
                    "size and length, and for a model without token streams."
                )
            if not region.places.shape[0]:
                return None
            inside = attend(query[:, :, region.places], key, value) * region.weights.to(query)[:, None]
            result = torch.zeros_like(query).index_copy(2, region.places, inside)
        if self.batch_scale is not None:
            result = result * self.batch_scale.to(result).view(-1, 1, 1, 1)
        return result if scale == 1.0 else result * scale

    def add_to(self, total: Tensor, block_index: int, query: Tensor) -> Tensor:
        """`total` and what `attend` gives for the query; see `add_injections`. Raises as `attend`."""
        if self.region is not None or self.batch_scale is not None:
            extra = self.attend(block_index, query.to(total.dtype))
            return total if extra is None else total + extra
        found = self._keys_of(block_index, query)
        return total if found is None else add_attention(total, query, *found)

    def _keys_of(self, block_index: int, query: Tensor) -> tuple[Tensor, Tensor, float] | None:
        """Key, value and scale of a block, None where it is left alone; `attend` says what is checked."""
        if block_index >= len(self.keys):
            raise ShapeError(
                f"injection: expected a block number below {len(self.keys)}, got {block_index}. "
                "Use an adapter made for this model."
            )
        scale = self.scales[block_index]
        if scale == 0.0:
            return None
        key, value = self.keys[block_index], self.values[block_index]
        if key.shape[1] != query.shape[1] or key.shape[-1] != query.shape[-1]:
            raise ShapeError(
                f"injection: expected {query.shape[1]} heads of {query.shape[-1]}, got {key.shape[1]} heads of "
                f"{key.shape[-1]} in block {block_index}. Use an adapter made for this model."
            )
        if key.shape[0] not in (1, query.shape[0]):
            raise ShapeError(
                f"injection: expected batch {query.shape[0]} (as the latents) or 1, got {key.shape[0]}. "
                "Prepare one reference per sample."
            )
        return (key, value, scale) if key.shape[2] else None

    def with_scale(self, scale: float | Sequence[float]) -> PreparedInjection:
        """Return the same reference with another strength: one number, or one per block (1 = as trained).

        Raises: ShapeError: the number of scales is not the number of blocks.
        """
        count = len(self.keys)
        scales = tuple(float(s) for s in scale) if isinstance(scale, Sequence) else (float(scale),) * count
        if len(scales) != count:
            raise ShapeError(
                f"scale: expected {count} numbers, one per block, got {len(scales)}. Give one per block."
            )
        return replace(self, scales=scales)

    def with_regions(self, weights: Tensor | None) -> PreparedInjection:
        """Return the same reference acting on some tokens alone.

        Args: weights: one for every token of the tower, (L,), 0 where it does not act; None for everywhere.
        Raises: ShapeError: other weights.
        """
        return replace(self, region=None if weights is None else TokenRegion.of(weights))

    def with_batch_scale(self, batch_scale: Tensor | None) -> PreparedInjection:
        """Return the same reference with a factor per sample, (B,), or without one."""
        return replace(self, batch_scale=batch_scale)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> PreparedInjection:
        """Return a copy on another device or in another dtype."""
        return replace(
            self,
            keys=tuple(t.to(device=device, dtype=dtype) for t in self.keys),
            values=tuple(t.to(device=device, dtype=dtype) for t in self.values),
            batch_scale=None if self.batch_scale is None else self.batch_scale.to(device=device),
            region=None if self.region is None else self.region.to(device),
        )


def add_injections(total: Tensor, injections: Sequence[Injection], block_index: int, query: Tensor) -> Tensor:
    """What a block attends to itself, and what references add to it.

    Args:
        total: (B, heads, L, head_dim); nothing else needs it: where no gradients are recorded, the sum takes its place.
        query: same shape, as `Injection.attend` takes it; in another dtype it is brought to that of `total`.
    Returns: (B, heads, L, head_dim) in the dtype of `total`; itself where no reference acts on the block.
    Raises: ShapeError: as `PreparedInjection.attend`.
    """
    for injection in injections:
        if isinstance(injection, PreparedInjection):
            total = injection.add_to(total, block_index, query)
            continue
        extra = injection.attend(block_index, query.to(total.dtype))
        total = total if extra is None else total + extra
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValueConfig:
    """Sizes of a `KeyValueAdapter`.

    token_dim: width of the reference tokens.   dim: width of the tower.   num_layers: its blocks.
    num_registers: learned extra tokens per block.
    Raises: ConfigError: a size below 1, or registers below 0.
    """

    token_dim: int
    dim: int
    num_layers: int
    num_registers: int = 0

    def __post_init__(self) -> None:
        if min(self.token_dim, self.dim, self.num_layers) < 1 or self.num_registers < 0:
            raise ConfigError(f"adapter: expected positive sizes, got {self}. Correct the configuration.")


class KeyValueLayer(nn.Module):
    """Key and value projection of one block; `registers` are learned tokens beside those of the reference."""

    def __init__(
        self,
        token_dim: int,
        dim: int,
        num_registers: int,
        *,
        operations: Operations,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.to_k_ip = operations.Linear(token_dim, dim, device=device, dtype=dtype)
        self.to_v_ip = operations.Linear(token_dim, dim, device=device, dtype=dtype)
        self.registers: nn.Parameter | None = None
        if num_registers:
            self.registers = nn.Parameter(
                torch.zeros(1, num_registers, token_dim, device=device, dtype=dtype)
            )

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Project tokens (B, N, token_dim) to key and value, (B, N + registers, dim) each."""
        if self.registers is not None:
            registers = self.registers.to(tokens).expand(tokens.shape[0], -1, -1)
            tokens = torch.cat((tokens, registers), dim=1)
        return self.to_k_ip(tokens), self.to_v_ip(tokens)


class KeyValueAdapter(nn.Module):
    """Cross-attention to reference tokens in every block of a tower.

    Args: sizes as in `KeyValueConfig`.
    Parameter names: `layers.{i}.to_k_ip.{weight,bias}`, `layers.{i}.to_v_ip.{weight,bias}`, `layers.{i}.registers`.
    Source: bytedance/lynx@3a6a91a modules/full/attention_processor.py (the block's own norm_k, no RoPE).
    """

    def __init__(
        self,
        token_dim: int,
        dim: int,
        num_layers: int,
        *,
        num_registers: int = 0,
        operations: Operations = TORCH_OPERATIONS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = KeyValueConfig(
            token_dim=token_dim, dim=dim, num_layers=num_layers, num_registers=num_registers
        )
        self.layers = nn.ModuleList(
            KeyValueLayer(token_dim, dim, num_registers, operations=operations, device=device, dtype=dtype)
            for _ in range(num_layers)
        )

    @classmethod
    def from_config(cls, config: KeyValueConfig) -> KeyValueAdapter:
        """Make an adapter of the configured sizes."""
        return cls(config.token_dim, config.dim, config.num_layers, num_registers=config.num_registers)

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Start for training: Xavier keys, zero values, so that the reference adds nothing at first."""
        for layer in self.layers:
            assert isinstance(layer, KeyValueLayer)
            nn.init.xavier_uniform_(layer.to_k_ip.weight, generator=generator)
            for parameter in (layer.to_k_ip.bias, layer.to_v_ip.weight, layer.to_v_ip.bias):
                nn.init.zeros_(parameter)
            if layer.registers is not None:
                nn.init.normal_(layer.registers, std=0.02, generator=generator)

    def prepare(self, tokens: Tensor, norms: Sequence[nn.Module], num_heads: int) -> PreparedInjection:
        """Compute the keys and values of all blocks; gradients flow through.

        Args:
            tokens: (B, N, token_dim).   num_heads: heads of the tower.
            norms: each block's `cross_attn.norm_k`, in order.
        Returns: injection with scale 1 everywhere.
        Raises: ShapeError: wrong token width or another number of blocks.
        """
        if tokens.ndim != 3 or tokens.shape[-1] != self.config.token_dim:
            raise ShapeError(
                f"reference tokens: expected (batch, tokens, {self.config.token_dim}), got {tuple(tokens.shape)}. "
                "Use the encoder that belongs to this adapter."
            )
        if len(norms) != len(self.layers):
            raise ShapeError(
                f"adapter: expected a model of {len(self.layers)} blocks, got {len(norms)}. "
                "Use an adapter made for this model."
            )
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for layer, norm in zip(self.layers, norms, strict=True):
            key, value = layer(tokens)
            keys.append(split_heads(norm(key), num_heads))
            values.append(split_heads(value, num_heads))
        return PreparedInjection(keys=tuple(keys), values=tuple(values), scales=(1.0,) * len(keys))
