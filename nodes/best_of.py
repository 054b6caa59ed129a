"""Best-of-N: a list of seeds that every sampler takes, and the node that keeps the best of what was made of them."""

from __future__ import annotations

import json
from typing import Any

import torch

from ..wan_core.errors import InputError
from ..wan_core.pipelines.best_of import MOST_DRAFTS, SCORE, seeds_from, try_seeds
from ..wan_core.pipelines.likeness import PersonReference, report_on
from ..wan_core.report import Measurements
from . import host
from .convert import latents_of, photos_from_image
from .host import io
from .judges import CASCADE, DRAWN, LANDMARKS, encoders_input, face_input, open_recogniser, read_face


class Seeds(io.ComfyNode):
    """Seeds as a list: what they are connected to runs once for each."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_Seeds",
            display_name="Seeds (Wan R2V)",
            category="Wan R2V",
            description="A list of seeds for drafts: connected to a sampler or to Random Noise, every seed is sampled.",
            inputs=[
                io.Int.Input(
                    "seed", default=0, min=0, max=2**64 - 1, control_after_generate=True, tooltip="The first."
                ),
                io.Int.Input("count", default=4, min=2, max=MOST_DRAFTS, tooltip="How many drafts."),
            ],
            outputs=[io.Int.Output(display_name="seeds", is_output_list=True)],
        )

    @classmethod
    def execute(cls, seed: int, count: int) -> io.NodeOutput:
        """Count on from the first."""
        return io.NodeOutput(seeds_from(seed, count))


class BestOf(io.ComfyNode):
    """The draft that is most like its reference."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_BestOf",
            display_name="Best Of (Wan R2V)",
            category="Wan R2V",
            description="Decodes and scores drafts one after another and keeps the best. "
            + f"Score: {SCORE}.",
            is_input_list=True,
            inputs=[
                io.Latent.Input(
                    "latents", tooltip="The drafts, one for each seed, from a sampler behind Seeds."
                ),
                io.Int.Input("seeds", min=0, max=2**64 - 1, force_input=True, tooltip="From Seeds."),
                io.Vae.Input("vae", tooltip="Decodes the picture of the drafts."),
                encoders_input(),
                io.Image.Input("reference", tooltip="Photos of the person."),
                io.Combo.Input(
                    "faces",
                    options=[LANDMARKS, CASCADE, DRAWN],
                    tooltip="Where faces are, as in Likeness Report. landmarks: for ArcFace. The others: for nano's "
                    "encoder.",
                ),
                face_input(),
            ],
            outputs=[
                io.Int.Output(display_name="seed", tooltip="The best: sample it in full."),
                io.Latent.Output(display_name="latent", tooltip="Of the best draft."),
                io.Float.Output(display_name="score", tooltip="Of the best draft, 0 to 1."),
                io.String.Output(
                    display_name="json", tooltip="Every seed with its score, and what it means."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        latents: list[dict[str, Any]],
        seeds: list[int],
        vae: list[Any],
        encoders: list[Any],
        reference: list[torch.Tensor],
        faces: list[str],
        face: list[str],
    ) -> io.NodeOutput:
        """Decode one after another, measure, and choose."""
        if len(latents) != len(seeds) or len(seeds) < 2:
            raise InputError(
                f"drafts: expected a latent for each of two seeds or more, got {len(latents)} latents and "
                f"{len(seeds)} seeds. Connect Seeds to the sampler and here."
            )
        photos = tuple(photo for image in reference for photo in photos_from_image(image))
        person = PersonReference(photos=photos, face=read_face(face[0]))
        judge = open_recogniser(encoders[0], faces[0])
        drafts, bar = dict(zip(seeds, latents, strict=True)), host.progress_bar(len(seeds))

        def make(seed: int, _steps: int | None) -> Measurements:
            host.check_interrupted()
            images = vae[0].decode(latents_of(drafts[seed]).video)
            frames = torch.stack(photos_from_image(images.reshape(-1, *images.shape[-3:])))
            return report_on(frames, 1.0, people={"character1": person}, recogniser=judge).measurements

        found = try_seeds(
            list(drafts), None, make, lambda _done, _all: bar.update(1), compared_by=judge.scale.encoder
        )
        best = found.best
        text = json.dumps(found.to_content(), indent=2) + "\n"
        return io.NodeOutput(best.seed, drafts[best.seed], best.score, text)
