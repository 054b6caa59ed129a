"""Everything of Lynx that depends on the reference alone, computed once before sampling."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import ConfigError, ShapeError
from ..ops.key_value import PreparedInjection
from .alignment import align_face
from .lynx import LynxAdapter
from .self_attention import WalkedTower, recording

#: The prompt of the reference pass, used as it is, for a face and for nobody alike.
REFERENCE_PROMPT = "image of a face"
#: Side of the aligned picture of the face, pixels.
REFERENCE_SIZE = 256


class LynxTower(WalkedTower, Protocol):
    """The transformer as Lynx needs it; `dit.WanModel` is one."""

    config: Any

    def key_norms(self) -> list[nn.Module]:
        """Each block's `cross_attn.norm_k`."""
        ...

    def tower_blocks(self) -> Sequence[nn.Module]:
        """The blocks in order."""
        ...

    def __call__(self, latents: Tensor, timestep: Tensor, context: Any) -> Tensor:
        """Velocity."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LynxPictures:
    """What the reference pass of the full version reads.

    Attributes:
        face: latents of the aligned face (B, 16, 1, 32, 32), normalised as the transformer expects.
        nobody: latents of a mid-grey picture (0 in [-1, 1]) of the same size, drawn with the same seed.
        context: text embedding of `REFERENCE_PROMPT`.
    """

    face: Tensor
    nobody: Tensor
    context: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class LynxBranch:
    """One side of guidance.

    Attributes:
        identity: for the cross-attention (`injections` of a forward).
        reference: for the self-attention (`self_injections` of a forward), None for lite.
    """

    identity: PreparedInjection
    reference: PreparedInjection | None

    @property
    def nbytes(self) -> int:
        """Memory of keys and values, in bytes."""
        parts = [self.identity] if self.reference is None else [self.identity, self.reference]
        return sum(tensor.nbytes for part in parts for tensor in (*part.keys, *part.values))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> LynxBranch:
        """Return a copy elsewhere or in another dtype."""
        moved = None if self.reference is None else self.reference.to(device, dtype)
        return LynxBranch(identity=self.identity.to(device, dtype), reference=moved)


@dataclass(frozen=True, slots=True, kw_only=True)
class LynxPrepared:
    """Both sides of guidance; the adapter may leave memory.

    Attributes:
        face: of the person.   nobody: `resampler(0)` and the mid-grey picture, for the unconditional branch.
        adapter_bytes: memory of the adapter that made them.
    """

    face: LynxBranch
    nobody: LynxBranch
    adapter_bytes: int

    @property
    def nbytes(self) -> int:
        """Memory of both sides, in bytes."""
        return self.face.nbytes + self.nobody.nbytes

    def memory_note(self) -> str:
        """A line for the user: bytes with the adapter in memory, and with it released."""
        before, after = (value / 2**20 for value in (self.adapter_bytes, self.nbytes))
        return (
            f"identity adapter: {before:.1f} MiB of weights before, {after:.1f} MiB of keys and values after."
        )

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> LynxPrepared:
        """Return a copy elsewhere or in another dtype."""
        return LynxPrepared(
            face=self.face.to(device, dtype),
            nobody=self.nobody.to(device, dtype),
            adapter_bytes=self.adapter_bytes,
        )


@torch.no_grad()
def prepare_lynx(
    adapter: LynxAdapter, model: LynxTower, embeds: Tensor, pictures: LynxPictures | None = None
) -> LynxPrepared:
    """Compute keys and values of a face, and of nobody, for every block.

    Args:
        adapter: full or lite; its layers may be in main memory, its resampler is on the device of `embeds`.
        model: the transformer that is sampled with, as it will be (LoRA merged).
        embeds: (B, K, 512) of the recogniser that Lynx was trained with (`arcface.ArcFace`), of length 1.
        pictures: for the full version, None for lite.
    Returns:
        What sampling needs. Valid until the transformer's weights change.
    Raises:
        ConfigError: pictures missing, or given to lite.   ShapeError: another model or width.
    Source: bytedance/lynx@3a6a91a modules/full/lynx_infer.py, modules/lite/lynx_lite_pipeline.py.
    """
    if adapter.config.has_reference != (pictures is not None):
        needed = "the pictures of the face and of nobody" if pictures is None else "none"
        raise ConfigError(
            f"Lynx {adapter.config.variant}: expected {needed}, got {'none' if pictures is None else 'some'}. "
            "The full version reads the face's picture as well, lite does not."
        )
    heads, norms = int(model.config.num_heads), _brought(model.key_norms(), embeds.device)
    own_norms = _brought(
        [block.get_submodule("self_attn.norm_k") for block in model.tower_blocks()], embeds.device
    )

    def branch(given: Tensor, latents: Tensor | None) -> LynxBranch:
        reference = None
        if latents is not None and pictures is not None:
            features = reference_features(model, latents, pictures.context)
            reference = adapter.prepare_reference(features, own_norms, heads)
        return LynxBranch(identity=adapter.prepare_identity(given, norms, heads), reference=reference)

    return LynxPrepared(
        face=branch(embeds, None if pictures is None else pictures.face),
        nobody=branch(embeds * 0, None if pictures is None else pictures.nobody),
        adapter_bytes=adapter.nbytes,
    )


def _brought(norms: Sequence[nn.Module], device: torch.device) -> list[nn.Module]:
    """The norms, or copies on a device of those that are elsewhere, as blocks that stream to it are."""
    found: list[nn.Module] = []
    for norm in norms:
        is_there = all(tensor.device == device for tensor in norm.state_dict().values())
        found.append(norm if is_there else copy.deepcopy(norm).to(device))
    return found


def reference_pixels(image: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> tuple[Tensor, Tensor]:
    """Cut out the picture of the face that the reference pass reads, and the grey one for nobody.

    Args:
        image: (H, W, 3) uint8 RGB.   landmarks: (5, 2) in it, pixels, of `landmarks.find_views(..., is_lynx=True)`.
    Returns:
        Two clips of one frame for the VAE, (1, 3, 1, 256, 256) float32 RGB in [-1, 1]; the second is 0 everywhere.
    Raises:
        InputError: no picture, or landmarks that can not be used.
    Source: bytedance/lynx@3a6a91a modules/full/lynx_infer.py, modules/full/lynx_pipeline.py.
    """
    crop = align_face(image, landmarks, REFERENCE_SIZE, is_extended=True)
    return picture_clips(torch.from_numpy(crop))


def picture_clips(picture: Tensor) -> tuple[Tensor, Tensor]:
    """An aligned picture of a face as the clips of `reference_pixels`.

    Args:
        picture: (256, 256, 3) uint8 RGB.
    """
    pixels = picture.permute(2, 0, 1).float() / 255.0 * 2 - 1
    face = pixels[None, :, None].contiguous()
    return face, torch.zeros_like(face)


@torch.no_grad()
def reference_features(model: LynxTower, latents: Tensor, context: Any) -> tuple[Tensor, ...]:
    """Run the transformer over a picture at timestep 0 and keep what enters each self-attention.

    Args:
        model: without injections.   latents: (B, C, 1, h, w), clean.   context: of `REFERENCE_PROMPT`.
    Returns:
        (B, tokens, dim) a block.
    Raises:
        ShapeError: more than one latent frame.
    Source: bytedance/lynx@3a6a91a modules/full/lynx_pipeline.py (encode_reference_images).
    """
    if latents.ndim != 5 or latents.shape[2] != 1:
        raise ShapeError(
            f"reference picture: expected latents (B, C, 1, h, w), got {tuple(latents.shape)}. Encode one picture."
        )
    with recording(model) as found:
        model(latents, torch.zeros(latents.shape[0], device=latents.device), context)
    return tuple(found)


def draw_latents(moments: Tensor, mean: Tensor, std: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw from the distribution that a VAE gives, then normalise: Lynx samples, where Wan takes the mean.

    Args:
        moments: (B, 2 C, F, h, w), means then logarithms of variances.
        mean, std: (C,) of the latent space.
        generator: on the CPU; Lynx seeds it with the seed of the clip + 1, anew for each of its two pictures.
    Returns:
        (B, C, F, h, w).
    Source: huggingface/diffusers 0.33.1 models/autoencoders/vae.py DiagonalGaussianDistribution;
        bytedance/lynx@3a6a91a modules/full/lynx_pipeline.py.
    """
    middle, log_variance = moments.chunk(2, dim=1)
    device = middle.device if generator is None else generator.device
    noise = torch.randn(middle.shape, generator=generator, device=device, dtype=middle.dtype)
    drawn = middle + torch.exp(0.5 * log_variance.clamp(-30.0, 20.0)) * noise.to(middle.device)
    shape = (1, -1, 1, 1, 1)
    return (drawn - mean.to(drawn).view(shape)) / std.to(drawn).view(shape)
