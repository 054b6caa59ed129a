"""References of a run as sets beside the prompts: pictures and videos encoded, keys and values made where needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..identity.streams import bernini_size, bernini_streams, letterbox, phantom_streams
from ..identity.strength import StrengthTable
from ..types import TokenStream
from ..vae.wan_vae import WanVAE
from .request import Character
from .wan_codec import load_codec
from .wan_conditions import NOBODY, ReferenceSet, ShapedStream, WanConditioning
from .wan_lynx import prepare_faces
from .wan_pictures import to_video
from .wan_plan import WanPlan
from .wan_reference_plan import latent_frames


@torch.no_grad()
def add_references(plan: WanPlan, conditioning: WanConditioning, notes: list[str]) -> WanConditioning:
    """Add the sets of references that the recipe of the plan names.

    Args: notes: sentences for the user are added to it, also later, when the transformer is loaded.
    Raises: InputError: no usable face.   CheckpointError: a part can not be loaded.
    """
    if not plan.has_references:
        return conditioning
    family = plan.model.family
    codec = None
    if plan.references.picture is not None:
        codec = load_codec(plan.model.vae, family, plan.options.device)
    if plan.model.adapter is not None:
        maker = prepare_faces(plan, conditioning, codec, notes)
        # the reference pass alone has the third prompt: sampling needs no keys and values of it
        return replace(conditioning, contexts=conditioning.contexts[:2], make_references=maker)
    if codec is None:
        return conditioning
    sets = _phantom(plan, codec) if family.method == "phantom" else _bernini(plan, codec, notes)
    return replace(conditioning, references=sets)


def reads_picture(plan: WanPlan) -> bool:
    """Whether Lynx's reference pass is made, which has a prompt of its own."""
    adapter = plan.model.adapter
    return adapter is not None and adapter.config.has_reference and plan.has_references


def _phantom(plan: WanPlan, codec: WanVAE) -> dict[str, ReferenceSet]:
    photos = [photo for own in plan.request.characters for photo in own.photos]
    pixels = [torch.from_numpy(letterbox(photo.cpu().numpy(), *plan.size)) for photo in photos]
    latents = [
        codec.encode(to_video(own)[None, :, None], tiling=plan.memory.tiling).float() for own in pixels
    ]
    tables = [
        table for own, table in zip(plan.request.characters, plan.strengths, strict=True) for _ in own.photos
    ]
    made = phantom_streams(latents, plan.settings.latent_frames)
    return {
        "subjects": ReferenceSet(streams=_shaped(_apart(made.subjects), tables)),
        NOBODY: ReferenceSet(streams=_shaped(_apart(made.nobody), tables)),
    }


def _bernini(plan: WanPlan, codec: WanVAE, notes: list[str]) -> dict[str, ReferenceSet]:
    characters, frames = plan.request.characters, plan.settings.frames
    tiling = plan.memory.tiling
    notes += _cut_notes(characters, frames)
    videos = [
        codec.encode(_scaled(video[: 4 * latent_frames(video.shape[0], frames) - 3]), tiling=tiling).float()
        for own in characters
        for video in own.videos
    ]
    pictures = [
        codec.encode(_scaled(photo[None]), tiling=tiling).float()
        for own in characters
        for photo in own.photos
    ]
    made = bernini_streams(videos, pictures)
    tables = list(zip(characters, plan.strengths, strict=True))
    of_videos = [table for own, table in tables for _ in own.videos]
    of_pictures = [table for own, table in tables for _ in own.photos]
    return {
        "none": ReferenceSet(),
        "video": ReferenceSet(streams=_shaped(made.video, of_videos[:1])),
        "images": ReferenceSet(streams=_shaped(made.images, of_pictures)),
        "every": ReferenceSet(streams=_shaped(made.every, [*of_videos, *of_pictures])),
    }


def _apart(streams: Sequence[TokenStream]) -> tuple[TokenStream, ...]:
    """A stream for each latent frame, at its own place, so that each can have a strength of its own."""
    return tuple(
        replace(stream, latents=frame, offset=(stream.offset[0] + number, *stream.offset[1:]))
        for stream in streams
        for number, frame in enumerate(stream.latents.split(1, dim=2))
    )


def _shaped(
    streams: Sequence[TokenStream], tables: Sequence[StrengthTable]
) -> tuple[TokenStream | ShapedStream, ...]:
    """Streams with the strength of each."""
    return tuple(
        ShapedStream(stream=stream, table=table) for stream, table in zip(streams, tables, strict=True)
    )


def _scaled(frames: Tensor) -> Tensor:
    """Scale (F, H, W, 3) uint8 as Bernini-R's references are (Lanczos) to (1, 3, F, h, w) in [-1, 1]."""
    size = bernini_size(frames.shape[2], frames.shape[1])
    images = (Image.fromarray(frame) for frame in frames.cpu().numpy())
    scaled = [np.array(image.resize(size, Image.Resampling.LANCZOS)) for image in images]
    return torch.stack([to_video(torch.from_numpy(own)) for own in scaled], dim=1)[None]


def _cut_notes(characters: Sequence[Character], frames: int) -> list[str]:
    """Sentences about videos of which not every frame is used."""
    notes: list[str] = []
    for own in characters:
        for video in own.videos:
            used = 4 * latent_frames(video.shape[0], frames) - 3
            if used < video.shape[0]:
                notes.append(
                    f"{own.name}: the first {used} of {video.shape[0]} frames of the video are used."
                )
    return notes
