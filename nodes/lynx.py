"""From a face of Encode Face to the keys and values of Lynx, with a MODEL at hand."""

from __future__ import annotations

from typing import Any

import torch

from ..wan_core.checkpoints.lynx import load_lynx
from ..wan_core.errors import InputError
from ..wan_core.identity.lynx_prepare import (
    REFERENCE_PROMPT,
    LynxPictures,
    LynxPrepared,
    draw_latents,
    prepare_lynx,
)
from . import host
from .sockets import FaceReference
from .wan_vae import HostWanVAE


def read_pictures(identity: FaceReference, vae: Any, clip: Any, seed: int, notes: list[str]) -> LynxPictures:
    """What full's reference pass reads; a VAE that gives no distribution is noted.

    Raises: InputError: the VAE or the text encoder is missing.
    """
    if vae is None or clip is None:
        raise InputError(
            f"Lynx full: expected a VAE and a CLIP for the face's picture, got no {'VAE' if vae is None else 'CLIP'}. "
            "Connect Wan 2.1's VAE and umT5."
        )
    context = clip.encode_from_tokens_scheduled(clip.tokenize(REFERENCE_PROMPT))[0][0]
    if not isinstance(vae, HostWanVAE):
        notes.append(
            "picture: core's VAE gives the mean of the latents, the official code draws them (Load Wan VAE)."
        )
    face, nobody = (_latents(vae, pixels, seed) for pixels in (identity.face, identity.nobody))
    return LynxPictures(face=face, nobody=nobody, context=context)


def _latents(vae: Any, pixels: torch.Tensor, seed: int) -> torch.Tensor:
    if not isinstance(vae, HostWanVAE):
        return host.normalised_latents(vae.encode(pixels[0].permute(1, 2, 3, 0) / 2 + 0.5))
    moments = torch.cat(vae.posterior(pixels), dim=1).float().cpu()
    mean, std = (torch.tensor(values) for values in (vae.config.latents_mean, vae.config.latents_std))
    return draw_latents(moments, mean, std, torch.Generator().manual_seed(seed + 1))


def prepare_face(
    model: Any, tower: Any, identity: FaceReference, pictures: LynxPictures | None
) -> LynxPrepared:
    """Load the adapter's weights, compute with them, and let go of them."""
    adapter = load_lynx(identity.adapter.files, dtype=None, operations=host.cast_operations())
    latents = torch.zeros(1, 16, 1, 32, 32) if pictures is None else pictures.face
    device, dtype = host.place_beside(host.with_own_attention(model), [host.manage(adapter)], latents)
    if pictures is not None:
        pictures = LynxPictures(
            face=pictures.face.to(device, dtype),
            nobody=pictures.nobody.to(device, dtype),
            context=pictures.context.to(device, dtype),
        )
    prepared = prepare_lynx(adapter, tower, identity.embeds.to(device, dtype), pictures)
    return prepared.to(host.intermediate(identity.embeds).device)
