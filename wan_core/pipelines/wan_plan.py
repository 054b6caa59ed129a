"""The plan of a run with a published Wan model: everything that is decided before the first weight is read."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..dit.config import WanConfig
from ..errors import InputError
from ..identity.recipes import Recipe
from ..identity.strength import StrengthTable, resolve_strength
from .memory_phases import MemoryPlan
from .memory_plan import plan_memory
from .wan_family import SPEECH_FAMILIES
from .wan_files import FoundModel, WanFiles, find_model
from .wan_guidance import choose_recipe
from .wan_methods import suggested_method
from .wan_pictures import target_size
from .wan_reference_plan import NO_REFERENCES, ReferenceSizes, reference_sizes
from .wan_request import WanRequest, WanSettings, resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class WanOptions:
    """How the work is done.

    Attributes:
        device: where.   dtype: of the transformer; None for bfloat16 on a GPU and float32 on the processor.
        limit: bytes of the device's memory that may be used, None for what is free (a GPU) or no limit (the processor).
        safe: a step whose result is not finite is repeated in float32.
    """

    device: str = "cpu"
    dtype: torch.dtype | None = None
    limit: int | None = None
    safe: bool = False

    @property
    def work_dtype(self) -> torch.dtype:
        """Dtype of the transformer."""
        if self.dtype is not None:
            return self.dtype
        return torch.float32 if torch.device(self.device).type == "cpu" else torch.bfloat16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WanPlan:
    """Everything that is decided before the first weight is read.

    Attributes:
        request, options: as given.   model: the files.   settings: what the request comes to.
        size: width and height of the clip.   memory: what goes where.
        references: sizes of what references add.
        strengths: of each character, in order, at every step and block.
    """

    request: WanRequest
    options: WanOptions
    model: FoundModel
    settings: WanSettings
    size: tuple[int, int]
    memory: MemoryPlan
    references: ReferenceSizes = NO_REFERENCES
    strengths: tuple[StrengthTable, ...] = ()

    @property
    def has_references(self) -> bool:
        """Whether references act at all."""
        return not all(table.is_off for table in self.strengths)

    @property
    def recipe(self) -> Recipe:
        """Guidance of the run."""
        acting = self.request.characters if self.has_references else ()
        settings = self.settings
        return choose_recipe(self.model.family, acting, settings.guidance, settings.reference_guidance)

    @property
    def latent_shape(self) -> tuple[int, int, int, int, int]:
        """(1, C, F, H, W) of the latents."""
        family = self.model.family
        width, height = self.size
        frames = self.settings.latent_frames
        return 1, family.latent_channels, frames, height // family.stride, width // family.stride


def plan_wan(request: WanRequest, files: WanFiles, options: WanOptions | None = None) -> WanPlan:
    """Recognise the model, check the request against it, and plan the memory; only headers are read.

    Raises:
        InputError: a part is missing, or the request asks for what the family can not make.
        CheckpointError: a file is missing, damaged or belongs to another model.
        InputError: the work does not fit into the memory; the text has the numbers.
    """
    options = options or WanOptions()
    model = find_model(files)
    if model.family in SPEECH_FAMILIES:
        raise InputError(
            f"speech: expected a recording for {model.family.name}, got a request without one. Use plan_humo."
        )
    settings = resolve(request, model.family, suggested_method(files.model))
    size = target_size(model.family, settings.size, request.first_frame)
    strengths = plan_strengths(request, model, settings)
    acting = () if all(table.is_off for table in strengths) else request.characters
    adapter = None if model.adapter is None or not acting else model.adapter.config
    references = reference_sizes(acting, model.family, size, settings.frames, adapter)
    memory = plan_memory(
        model,
        size,
        settings.frames,
        device=options.device,
        dtype=options.work_dtype,
        limit=options.limit,
        references=references,
    )
    return WanPlan(
        request=request,
        options=options,
        model=model,
        settings=settings,
        size=size,
        memory=memory,
        references=references,
        strengths=strengths,
    )


def plan_strengths(
    request: WanRequest, model: FoundModel, settings: WanSettings
) -> tuple[StrengthTable, ...]:
    """How strongly each character acts at every step and block.

    Raises: InputError: a strength for a character that is not there.
    """
    names = [own.name for own in request.characters]
    strange = [name for name in request.strength.subjects if name not in names]
    if strange:
        raise InputError(
            f"strength: expected characters of the request ({', '.join(names) or 'none'}), got {', '.join(strange)}. "
            "Correct the name."
        )
    schedule = settings.schedule()
    config = model.transformers[0].detected.config
    blocks = config.num_layers if isinstance(config, WanConfig) else 1
    tables = tuple(
        resolve_strength(
            request.strength,
            schedule.sigmas[:-1].tolist(),
            blocks,
            subject=name,
            timesteps=schedule.shown,
        )
        for name in names
    )
    return tables
