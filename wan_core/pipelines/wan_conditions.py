"""What a Wan transformer is told at a forward: a prompt, and a set of references beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch
from torch import Tensor

from ..dit.model import WanModel
from ..dit.speech import PreparedSpeech
from ..errors import ConfigError
from ..identity.strength import ShapedInjection, StrengthTable
from ..protocols import Injection
from ..types import TokenStream

#: Name of the set of references that stands for nobody; where no set has it, it is a forward without references.
NOBODY = "nobody"
#: Numbers of the prompts of every run.
POSITIVE, NEGATIVE = 0, 1


@dataclass(frozen=True, slots=True)
class WanCondition:
    """One condition of the guidance chain.

    Attributes:
        prompt: number of the prompt in `WanConditioning.contexts`.
        references: name of the set in `WanConditioning.references`.
    """

    prompt: int
    references: str = NOBODY


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShapedStream:
    """Tokens of a reference and how strongly they act: its factors are the weights of the tokens in each block."""

    stream: TokenStream
    table: StrengthTable

    def at(self, timestep: float) -> TokenStream | None:
        """The tokens as they act at a timestep in [0, 1000], or None where they do not."""
        row = self.table.row(timestep)
        if not any(row):
            return None
        return self.stream if all(factor == 1.0 for factor in row) else replace(self.stream, weights=row)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferenceSet:
    """What one set of references gives to a forward; everything left out is a forward without it, bit for bit.

    Attributes:
        injections: into the cross-attention.   self_injections: into the self-attention. One that is a
            `ShapedInjection` acts as its table says at the timestep of the forward.
        streams: tokens beside the noisy ones, likewise.
        channels: (1, C, F, H, W), joined to the noisy latents in place of `WanConditioning.channels`; None keeps those.
        speech: what a model that hears is told, None for silence.
    """

    injections: tuple[Injection | ShapedInjection, ...] = ()
    self_injections: tuple[Injection | ShapedInjection, ...] = ()
    streams: tuple[TokenStream | ShapedStream, ...] = ()
    channels: Tensor | None = None
    speech: PreparedSpeech | None = None

    def injections_at(self, timestep: float) -> tuple[tuple[Injection, ...], tuple[Injection, ...]]:
        """Injections into cross- and self-attention that act at a timestep in [0, 1000].

        Raises: ConfigError: a table of another number of blocks.
        """
        return _acting(self.injections, timestep), _acting(self.self_injections, timestep)

    def streams_at(self, timestep: float) -> tuple[TokenStream, ...]:
        """Streams that act at a timestep in [0, 1000]."""
        found = [own.at(timestep) if isinstance(own, ShapedStream) else own for own in self.streams]
        return tuple(own for own in found if own is not None)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> ReferenceSet:
        """Return it with streams and channels elsewhere; injections are made where they are used."""
        streams = tuple(_moved(own, device, dtype) for own in self.streams)
        channels = None if self.channels is None else self.channels.to(device, dtype)
        return replace(self, streams=streams, channels=channels)


#: Makes sets of references with the transformer that they are used with, once after each is loaded: keys and values
#: that its weights take part in. Whatever it needs for that should be released when it returns.
MakeReferences = Callable[[WanModel], Mapping[str, ReferenceSet]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WanConditioning:
    """What the transformer is given beside the noise.

    Attributes:
        contexts: embedded prompts, (1, L, text_dim) each: positive, then negative.
        image_embeds: CLIP tokens (1, N, width), or None.
        channels: joined to the noisy latents, (1, C, F, H, W), or None.
        first_frame: clean latents (1, C, 1, H, W) in place of the first noisy frame, or None.
        references: sets of references by the name that a `WanCondition` calls them.
        make_references: makes further sets with each transformer, or None.
    """

    contexts: tuple[Tensor, ...]
    image_embeds: Tensor | None = None
    channels: Tensor | None = None
    first_frame: Tensor | None = None
    references: Mapping[str, ReferenceSet] = field(default_factory=lambda: MappingProxyType({}))
    make_references: MakeReferences | None = None


def find_references(references: Mapping[str, ReferenceSet], name: str) -> ReferenceSet:
    """A set by its name.

    Raises: ConfigError: there is none, and it is not `NOBODY`.
    """
    found = references.get(name)
    if found is None and name != NOBODY:
        raise ConfigError(
            f"references: expected one of {', '.join(references) or 'no sets'}, got '{name}'. Make that set."
        )
    return found or ReferenceSet()


def _moved(
    own: TokenStream | ShapedStream, device: torch.device | str, dtype: torch.dtype
) -> TokenStream | ShapedStream:
    if isinstance(own, ShapedStream):
        stream = replace(own.stream, latents=own.stream.latents.to(device, dtype))
        return replace(own, stream=stream)
    return replace(own, latents=own.latents.to(device, dtype))


def _acting(injections: tuple[Injection | ShapedInjection, ...], timestep: float) -> tuple[Injection, ...]:
    found = [own.at(timestep) if isinstance(own, ShapedInjection) else own for own in injections]
    return tuple(own for own in found if own is not None)
