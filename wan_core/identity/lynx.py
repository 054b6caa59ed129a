"""Lynx: a face in every block of Wan2.1-T2V-14B, as identity tokens and (full) as features of the picture itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import ConfigError, ShapeError
from ..ops.attention import split_heads
from ..ops.key_value import PreparedInjection
from ..protocols import TORCH_OPERATIONS, Operations
from .config import ResamplerConfig
from .resampler import Resampler

#: Added to the mean square of lite's keys, which have a norm without weights.
LITE_EPS = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class LynxConfig:
    """Sizes of a `LynxAdapter`, read from the header of its files.

    Attributes:
        variant: "full" (biases, registers, the block's own key norm, reference layers) or "lite".
        resampler: of the identity tokens.
        dim: width of the transformer.   num_blocks: its blocks.
        blocks: numbers of the blocks that have identity layers, rising.
        registers: learned tokens beside those of the face, per block.
        has_reference: there are reference layers, in every block.
    Raises:
        ConfigError: the numbers do not fit one another.
    """

    variant: Literal["full", "lite"]
    resampler: ResamplerConfig
    dim: int
    num_blocks: int
    blocks: tuple[int, ...]
    registers: int = 0
    has_reference: bool = False

    def __post_init__(self) -> None:
        """Check the numbers; a JSON list is accepted where a tuple is meant."""
        object.__setattr__(self, "blocks", tuple(self.blocks))
        rising = all(a < b for a, b in zip(self.blocks, self.blocks[1:], strict=False))
        if self.variant not in ("full", "lite") or self.dim < 1 or self.registers < 0:
            raise ConfigError(f"Lynx: expected full or lite and positive sizes, got {self}. Correct them.")
        if not self.blocks or not rising or self.blocks[0] < 0 or self.blocks[-1] >= self.num_blocks:
            raise ConfigError(
                f"LynxConfig.blocks: expected rising numbers below {self.num_blocks}, got {self.blocks}. Correct them."
            )
        if self.variant == "lite" and (self.registers or self.has_reference):
            raise ConfigError(
                "LynxConfig.variant: expected lite without registers and reference layers, got some. Use full."
            )


class IdentityLayer(nn.Module):
    """Key and value of the identity tokens in one block, before the key norm."""

    def __init__(
        self,
        config: LynxConfig,
        operations: Operations,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        width, bias = config.resampler.out_dim, config.variant == "full"
        self.to_k_ip = operations.Linear(width, config.dim, bias=bias, device=device, dtype=dtype)
        self.to_v_ip = operations.Linear(width, config.dim, bias=bias, device=device, dtype=dtype)
        self.registers: nn.Parameter | None = None
        if config.registers:
            self.registers = nn.Parameter(torch.zeros(1, config.registers, width, device=device, dtype=dtype))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Project (B, N, width) to two of (B, N + registers, dim)."""
        if self.registers is not None:
            tokens = torch.cat((tokens, self.registers.to(tokens).expand(tokens.shape[0], -1, -1)), dim=1)
        return self.to_k_ip(tokens), self.to_v_ip(tokens)


class ReferenceLayer(nn.Module):
    """Key and value of the reference picture's features in one block, before the key norm."""

    def __init__(
        self,
        dim: int,
        operations: Operations,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.to_k_ref = operations.Linear(dim, dim, device=device, dtype=dtype)
        self.to_v_ref = operations.Linear(dim, dim, device=device, dtype=dtype)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Project (B, N, dim) to two of the same shape."""
        return self.to_k_ref(features), self.to_v_ref(features)


class LynxAdapter(nn.Module):
    """Resampler, identity layers and reference layers.

    Parameter names are those of the published files behind the name of the file: `resampler.latents` ...,
    `ip_layers.{i}.{to_k_ip, to_v_ip}.{weight, bias}`, `ip_layers.{i}.registers`, `ref_layers.{i}.{to_k_ref,
    to_v_ref}.{weight, bias}`; `i` counts the blocks that have the layer.

    Source: bytedance/lynx@3a6a91a modules/full/attention_processor.py, modules/lite/attention_processor.py.
    """

    def __init__(
        self,
        config: LynxConfig,
        *,
        operations: Operations = TORCH_OPERATIONS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.resampler = Resampler(config.resampler, operations=operations, device=device, dtype=dtype)
        self.ip_layers = nn.ModuleList(
            IdentityLayer(config, operations, device, dtype) for _ in config.blocks
        )
        count = config.num_blocks if config.has_reference else 0
        self.ref_layers = nn.ModuleList(
            ReferenceLayer(config.dim, operations, device, dtype) for _ in range(count)
        )

    @property
    def nbytes(self) -> int:
        """Memory of all parameters, in bytes."""
        return sum(tensor.nbytes for tensor in self.state_dict().values())

    def prepare_identity(self, embeds: Tensor, norms: Sequence[nn.Module], heads: int) -> PreparedInjection:
        """Keys and values of a face for the cross-attention of every block.

        Args:
            embeds: (B, K, in_dim) of the recogniser; zeros for nobody (the unconditional branch). Layers that are on
                another device visit theirs one after the other; the resampler must be there.
            norms: each block's `cross_attn.norm_k`, in order; lite does not use them.   heads: of the transformer.
        Returns:
            Injection of scale 1; blocks without identity layers are left alone at any scale.
        Raises:
            ShapeError: another model, or embeddings of another width.
        """
        config = self.config
        self._check(norms, heads)
        tokens = self.resampler(embeds)
        nothing = tokens.new_zeros(1, heads, 0, config.dim // heads)
        keys, values = [nothing] * config.num_blocks, [nothing] * config.num_blocks
        for number, layer in zip(config.blocks, self.ip_layers, strict=True):
            key, value = _visit(layer, tokens)
            key = norms[number](key) if config.variant == "full" else _plain_norm(key)
            keys[number], values[number] = split_heads(key, heads), split_heads(value, heads)
        return _injection(keys, values)

    def prepare_reference(
        self, features: Sequence[Tensor], norms: Sequence[nn.Module], heads: int
    ) -> PreparedInjection:
        """Keys and values of the face's picture for the self-attention of every block.

        Args:
            features: of `reference_features`, (B, N, dim) a block.
            norms: each block's `self_attn.norm_k`, in order.   heads: of the transformer.
        Returns:
            Injection of scale 1, for `self_injections` of a forward.
        Raises:
            ConfigError: an adapter without reference layers.   ShapeError: another model.
        """
        if not self.config.has_reference:
            raise ConfigError(
                "Lynx: expected an adapter with reference layers, got lite. Use the full version."
            )
        self._check(norms, heads)
        shapes = {tuple(own.shape) for own in features}
        if len(features) != self.config.num_blocks or {shape[-1] for shape in shapes} != {self.config.dim}:
            raise ShapeError(
                f"reference features: expected {self.config.num_blocks} of width {self.config.dim}, got "
                f"{len(features)} of shapes {sorted(shapes)}. Take them from the transformer that is sampled with."
            )
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for own, layer, norm in zip(features, self.ref_layers, norms, strict=True):
            key, value = _visit(layer, own)
            keys.append(split_heads(norm(key), heads))
            values.append(split_heads(value, heads))
        return _injection(keys, values)

    def _check(self, norms: Sequence[nn.Module], heads: int) -> None:
        config = self.config
        if len(norms) != config.num_blocks or config.dim % heads:
            raise ShapeError(
                f"transformer: expected {config.num_blocks} blocks of width {config.dim} for this Lynx, got "
                f"{len(norms)} blocks with {heads} heads. Lynx was made for Wan2.1-T2V-14B: load that."
            )


def _visit(layer: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values of a layer, whose weights come to the device of x for the moment: an adapter is gigabytes."""
    state = layer.state_dict()
    if all(tensor.device == x.device for tensor in state.values()):
        return layer(x)
    return torch.func.functional_call(layer, {name: t.to(x.device) for name, t in state.items()}, (x,))


def _injection(keys: list[Tensor], values: list[Tensor]) -> PreparedInjection:
    return PreparedInjection(keys=tuple(keys), values=tuple(values), scales=(1.0,) * len(keys))


def _plain_norm(key: Tensor) -> Tensor:
    mean_square = key.float().square().mean(dim=-1, keepdim=True)
    return (key * torch.rsqrt(mean_square + LITE_EPS)).to(key.dtype)
