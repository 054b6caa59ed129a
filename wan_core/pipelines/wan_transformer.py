"""The transformers of a run: one on the device at a time, each with the prompts prepared for it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checkpoints.load import load_dit
from ..checkpoints.lora import apply_lora
from ..dit.context import PreparedContext
from ..dit.execution import for_inference
from ..dit.model import WanModel
from ..errors import CheckpointMismatchError
from ..sampling.experts import Expert, ExpertRule, ExpertSwitch
from ..sampling.loop import AVTimesteps, Denoiser
from ..types import AVLatents
from .memory_stream import BlockStreamer
from .wan_conditions import ReferenceSet, WanCondition, WanConditioning, find_references
from .wan_files import FoundTransformer


class WanTransformers:
    """Loads the transformers of a model, at most one at a time, with prompts and references prepared for it.

    Args:
        found: one transformer, or (high-noise, low-noise).
        boundary: sigma from which the first one works; None with one.
        conditioning: prompts and pictures.   device, dtype: where and in what the transformer works.
        resident: blocks of each transformer that stay on the device; None for all, in their fastest form.
        safe: weights stay such that a step can be repeated in float32.
    """

    def __init__(
        self,
        found: Sequence[FoundTransformer],
        boundary: float | None,
        conditioning: WanConditioning,
        *,
        device: torch.device | str,
        dtype: torch.dtype,
        resident: int | None = None,
        safe: bool = False,
    ) -> None:
        self.found = tuple(found)
        self.boundary = boundary
        self.conditioning = conditioning
        self.device, self.dtype = torch.device(device), dtype
        self.resident, self.safe = resident, safe
        self._network: weakref.ref[WanModel] | None = None

    def denoiser(self) -> Denoiser[WanCondition]:
        """What the sampling loop calls. A single model is loaded now, experts when a step needs them.

        Raises: CheckpointError: it can not be loaded, or a LoRA does not fit.
        """
        if self.boundary is None:
            return self.load("high")
        return ExpertSwitch(ExpertRule(boundary=self.boundary), self.load, self.free)

    def network(self) -> WanModel | None:
        """The transformer that is in memory, or None."""
        return None if self._network is None else self._network()

    def load(self, expert: Expert) -> Denoiser[WanCondition]:
        """Load a transformer with its LoRA and prepare prompts and references for it.

        Raises: as `denoiser`.
        """
        model = self._place(self._read(self.found[0 if expert == "high" else 1]))
        conditioning = self.conditioning
        image = conditioning.image_embeds
        image = None if image is None else image.to(self.device, self.dtype)
        with torch.no_grad():
            contexts = [model.prepare(c.to(self.device, self.dtype), image) for c in conditioning.contexts]
            references = dict(conditioning.references)
            if conditioning.make_references is not None:
                references |= conditioning.make_references(model)
        placed = {name: own.to(self.device, self.dtype) for name, own in references.items()}
        # after the passes over references, whose numbers of tokens are others
        model = self._hasten(model)
        self._network = weakref.ref(model)
        return _WanDenoiser(model, tuple(contexts), conditioning.channels, placed)

    def free(self, expert: Expert) -> None:
        """Give the memory of a transformer that nobody holds any more back."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _read(self, found: FoundTransformer) -> WanModel:
        """Load on the processor, where LoRA are merged."""
        model = load_dit(found.path, "cpu", self.dtype)
        if not isinstance(model, WanModel):
            raise CheckpointMismatchError(
                f"model: expected a single video transformer, got {type(model).__name__} in {found.path}. "
                "Name a file of Wan2.1 or Wan2.2."
            )
        for lora in found.loras:
            apply_lora(model, lora)
        return model.requires_grad_(False)

    def _place(self, model: WanModel) -> WanModel:
        """Bring to the device what is to stay there."""
        if self.resident is None or self.resident >= model.config.num_layers:
            return model.to(self.device)
        blocks = model.blocks
        model.blocks = torch.nn.ModuleList()
        model.to(self.device)
        model.blocks = blocks
        model.walk = BlockStreamer(list(blocks), self.device, self.resident, model.head.modulation)
        return model

    def _hasten(self, model: WanModel) -> WanModel:
        """Bring a model to its fastest form where the plan has room for it."""
        is_fixed = self.safe and self.dtype != torch.float32
        return model if self.resident is not None or is_fixed else for_inference(model, consume=True)


@dataclass(frozen=True, slots=True, eq=False)
class _WanDenoiser:
    """A transformer as the sampling loop calls it."""

    model: WanModel
    contexts: tuple[PreparedContext, ...]
    channels: Tensor | None
    references: Mapping[str, ReferenceSet]

    def __call__(self, latents: AVLatents, timesteps: AVTimesteps, condition: WanCondition) -> AVLatents:
        """Velocity of the video; see `wan_core.sampling.Denoiser`."""
        video = latents.video
        references = find_references(self.references, condition.references)
        channels = self.channels if references.channels is None else references.channels
        if channels is not None:
            video = torch.cat([video, channels.to(video)], dim=1)
        # frames that are known are shown 0
        shown = float(timesteps.video.max())
        injections, self_injections = references.injections_at(shown)
        return AVLatents(
            self.model(
                video,
                timesteps.video,
                self.contexts[condition.prompt],
                injections=injections,
                self_injections=self_injections,
                streams=references.streams_at(shown),
                speech=references.speech,
            )
        )
