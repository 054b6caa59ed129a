"""Lynx in a run: from photos to an embedding and pictures, then keys and values with the transformer at hand."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checkpoints.lynx import load_lynx
from ..checkpoints.lynx_face import load_arcface
from ..dit.model import WanModel
from ..errors import ConfigError
from ..identity.detectors import open_landmarks
from ..identity.lynx_prepare import (
    LynxBranch,
    LynxPictures,
    draw_latents,
    picture_clips,
    prepare_lynx,
)
from ..identity.regions import region_weights
from ..identity.strength import ShapedInjection, StrengthTable
from ..sampling.noise import MAX_SEED, make_generator
from ..vae.wan_vae import WanVAE
from .identity_file import check_identity
from .photos import align_person
from .wan_adapter import FoundAdapter
from .wan_conditions import NOBODY, ReferenceSet, WanConditioning
from .wan_plan import WanPlan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LynxMaker:
    """Makes the sets "face" and "nobody" with a transformer; the adapter is loaded for that, and released.

    Attributes:
        adapter: its files.   embeds: (1, 1, 512) of the person.
        pictures: for the reference pass of the full version, None for lite; its context as the encoder gave it.
        table: strength at every step and block.   weights: of every token of the clip, None for everywhere.
        device, dtype: of the transformer.
        notes: the bytes of the adapter and of what is kept are added to it.
    """

    adapter: FoundAdapter
    embeds: Tensor
    pictures: LynxPictures | None
    table: StrengthTable
    weights: Tensor | None
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
        weights = None if self.weights is None else self.weights.to(self.device)
        parts = [
            ShapedInjection(injection=own.with_regions(weights), table=self.table)
            for own in (branch.identity, branch.reference)
            if own is not None
        ]
        return ReferenceSet(injections=(parts[0],), self_injections=tuple(parts[1:]))

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
    recogniser = load_arcface(found.recogniser)
    if person.identity is not None:
        check_identity(person.identity, "lynx", recogniser, person.name)
        embedding, picture = person.identity.features, person.identity.picture
    else:
        find = open_landmarks(found.detector, is_lynx=True)
        aligned = align_person(recogniser, person.photos, person.face, find, person.name)
        notes += [f"{person.name}: {note}" for note in aligned.notes()]
        embedding, picture = aligned.combined.embedding, aligned.picture
    pictures = None
    if found.config.has_reference:
        if codec is None or picture is None:
            raise ConfigError(
                "Lynx: expected the codec and the picture of the face, got not both. Load the codec first."
            )
        face, nobody = picture_clips(picture)
        seed = (plan.request.seed + 1) % (MAX_SEED + 1)
        pictures = LynxPictures(
            face=_drawn(codec, face, seed),
            nobody=_drawn(codec, nobody, seed),
            context=conditioning.contexts[-1],
        )
    return LynxMaker(
        adapter=found,
        embeds=embedding,
        pictures=pictures,
        table=plan.strengths[0],
        weights=region_weights(person.regions, _tokens(plan), _seconds(plan)) if person.regions else None,
        device=torch.device(plan.options.device),
        dtype=plan.options.work_dtype,
        notes=notes,
    )


def _tokens(plan: WanPlan) -> tuple[int, int, int]:
    """Latent frames, rows and columns of the clip's tokens; Wan's patches are 1 x 2 x 2."""
    _, _, frames, height, width = plan.latent_shape
    return frames, height // 2, width // 2


def _seconds(plan: WanPlan) -> float:
    return plan.settings.frames / plan.model.family.fps


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
