"""Lynx in a run: from photos to an embedding and pictures, then keys and values with the transformer at hand."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..checkpoints.lynx import load_lynx
from ..checkpoints.lynx_face import load_arcface
from ..dit.model import WanModel
from ..errors import ConfigError, InputError
from ..identity.alignment import align_face
from ..identity.arcface import face_input
from ..identity.landmarks import find_views
from ..identity.lynx_prepare import (
    LynxBranch,
    LynxPictures,
    draw_latents,
    prepare_lynx,
    reference_pixels,
)
from ..identity.strength import ShapedInjection, StrengthTable
from ..identity.views import SeenFace, choose_view, combine_embeddings
from ..sampling.noise import MAX_SEED, make_generator
from ..vae.wan_vae import WanVAE
from .request import Character
from .wan_adapter import FoundAdapter
from .wan_conditions import NOBODY, ReferenceSet, WanConditioning
from .wan_plan import WanPlan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LynxMaker:
    """Makes the sets "face" and "nobody" with a transformer; the adapter is loaded for that, and released.

    Attributes:
        adapter: its files.   embeds: (1, 1, 512) of the person.
        pictures: for the reference pass of the full version, None for lite; its context as the encoder gave it.
        table: strength at every step and block.   device, dtype: of the transformer.
        notes: the bytes of the adapter and of what is kept are added to it.
    """

    adapter: FoundAdapter
    embeds: Tensor
    pictures: LynxPictures | None
    table: StrengthTable
    device: torch.device
    dtype: torch.dtype
    notes: list[str]

    def __call__(self, model: WanModel) -> Mapping[str, ReferenceSet]:
        """See `MakeReferences`.

        Raises: CheckpointError: the adapter can not be loaded.   ShapeError: it is for another model.
        """
        files = self.adapter.files
        # Gigabytes of layers stay in main memory and visit the device one by one.
        adapter = load_lynx(files[0] if len(files) == 1 else files, "cpu", self.dtype).requires_grad_(False)
        adapter.resampler.to(self.device)
        prepared = prepare_lynx(adapter, model, self._moved(self.embeds), self._pictures())
        del adapter
        gc.collect()
        self.notes.append(prepared.memory_note())
        return {"face": self._shaped(prepared.face), NOBODY: self._shaped(prepared.nobody)}

    def _shaped(self, branch: LynxBranch) -> ReferenceSet:
        reference = (
            ()
            if branch.reference is None
            else (ShapedInjection(injection=branch.reference, table=self.table),)
        )
        return ReferenceSet(
            injections=(ShapedInjection(injection=branch.identity, table=self.table),),
            self_injections=reference,
        )

    def _pictures(self) -> LynxPictures | None:
        own = self.pictures
        if own is None:
            return None
        return LynxPictures(
            face=self._moved(own.face), nobody=self._moved(own.nobody), context=self._moved(own.context)
        )

    def _moved(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, self.dtype)


def prepare_faces(
    plan: WanPlan, conditioning: WanConditioning, codec: WanVAE | None, notes: list[str]
) -> LynxMaker:
    """Read the photos of the plan's person, and encode what of them does not need the transformer.

    Args: as `wan_references.add_references`; the last of the contexts is that of the reference pass.
    Raises: InputError: no usable face.   CheckpointError: the recogniser can not be loaded.
    """
    found = plan.model.adapter
    if found is None or not plan.strengths:
        raise ConfigError("Lynx: expected a plan with its adapter, got none. Use plan_wan.")
    person = plan.request.characters[0]
    seen = [
        see_face(photo.cpu().numpy(), person, found, number) for number, photo in enumerate(person.photos, 1)
    ]
    recogniser = load_arcface(found.recogniser)
    embeds = [
        recogniser(face_input(align_face(photo.cpu().numpy(), face.landmarks)))
        for photo, face in zip(person.photos, seen, strict=True)
    ]
    combined = combine_embeddings(torch.cat(embeds))
    notes += [f"{person.name}: {note}" for note in combined.notes()]
    pictures = None
    if found.config.has_reference:
        if codec is None:
            raise ConfigError(
                "Lynx: expected the codec for the picture of the face, got none. Load it first."
            )
        first = combined.used[0] - 1
        face, nobody = reference_pixels(person.photos[first].cpu().numpy(), seen[first].landmarks)
        seed = (plan.request.seed + 1) % (MAX_SEED + 1)
        pictures = LynxPictures(
            face=_drawn(codec, face, seed),
            nobody=_drawn(codec, nobody, seed),
            context=conditioning.contexts[-1],
        )
    return LynxMaker(
        adapter=found,
        embeds=combined.embedding,
        pictures=pictures,
        table=plan.strengths[0],
        device=torch.device(plan.options.device),
        dtype=plan.options.work_dtype,
        notes=notes,
    )


def see_face(image: NDArray[np.uint8], person: Character, found: FoundAdapter, number: int) -> SeenFace:
    """Find the person's face in a photo as Lynx's code does: the largest one unless another is asked for.

    Raises: InputError: no usable face.   MissingDependencyError: no detector with landmarks.
    """
    if person.face == "whole":
        raise InputError(
            f"{person.name}: expected a face to be found for Lynx, got 'whole'. Use auto, or the number of the face."
        )
    views = find_views(image, found.detector, is_lynx=True)
    choice = 1 if person.face == "auto" and views else person.face
    return choose_view(views, None if choice == "auto" else choice, where=f"{person.name}, photo {number}")


def _drawn(codec: WanVAE, pixels: Tensor, seed: int) -> Tensor:
    """Latents drawn from what the codec gives for a picture."""
    mean, log_variance = codec.posterior(pixels.to(codec.conv1.weight.device))
    config = codec.config
    return draw_latents(
        torch.cat((mean, log_variance), dim=1).float(),
        torch.tensor(config.latents_mean),
        torch.tensor(config.latents_std),
        make_generator(seed),
    )
