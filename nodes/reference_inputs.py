"""What the reference models read beside photos of faces: letterboxed pictures, and prompts that name characters."""

from __future__ import annotations

import torch

from ..wan_core.errors import InputError
from ..wan_core.identity.recipes import BERNINI_PREFIXES
from ..wan_core.identity.streams import PHANTOM_SUBJECTS, letterbox
from ..wan_core.text.characters import MAX_CHARACTERS, CharacterFamily, bind
from . import host
from .convert import photos_from_image
from .host import io

FAMILIES: dict[str, CharacterFamily] = {"Lynx": "lynx", "Phantom": "phantom", "Bernini-R": "bernini"}


class PhantomSubjects(io.ComfyNode):
    """Pictures of subjects, fitted into the clip's size without cutting anything off."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        size = {"min": 16, "max": 8192, "step": 16}
        return io.Schema(
            node_id="WanR2V_PhantomSubjects",
            display_name="Phantom Subjects (Wan R2V)",
            category="Wan R2V/Identity",
            description="Fits pictures of 1 to 4 subjects into the size of the clip, with white around, as Phantom "
            "was trained; for core's WanPhantomSubjectToVideo, which would cut off what does not fit.",
            inputs=[
                io.Image.Input("image1", tooltip="First subject; a batch holds several."),
                io.Image.Input("image2", optional=True, tooltip="Second subject."),
                io.Image.Input("image3", optional=True, tooltip="Third subject."),
                io.Image.Input("image4", optional=True, tooltip="Fourth subject."),
                io.Int.Input("width", default=832, **size, tooltip="Of the clip, pixels."),
                io.Int.Input("height", default=480, **size, tooltip="Of the clip, pixels."),
            ],
            outputs=[
                io.Image.Output(
                    display_name="images", tooltip="For WanPhantomSubjectToVideo of the same size."
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        image1: torch.Tensor,
        width: int,
        height: int,
        image2: torch.Tensor | None = None,
        image3: torch.Tensor | None = None,
        image4: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        """Fit each picture."""
        given = [image for image in (image1, image2, image3, image4) if image is not None]
        photos = [photo for image in given for photo in photos_from_image(image)]
        if len(photos) > PHANTOM_SUBJECTS:
            raise InputError(
                f"images: expected at most {PHANTOM_SUBJECTS} subjects, got {len(photos)}. Leave some out."
            )
        fitted = [torch.from_numpy(letterbox(photo.numpy(), width, height)) for photo in photos]
        return io.NodeOutput(host.intermediate(torch.stack(fitted).float() / 255))


class ReferencePrompt(io.ComfyNode):
    """A prompt with character1, character2, ... as a model family needs it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_ReferencePrompt",
            display_name="Reference Prompt (Wan R2V)",
            category="Wan R2V/Identity",
            description="Checks that the prompt names the characters that there are references of, and says it the way "
            "the model family was trained.",
            inputs=[
                io.String.Input(
                    "prompt",
                    multiline=True,
                    default="character1 (a woman in a red coat) walks along the beach and smiles.",
                    tooltip="Names references character1, character2, ...; what stands in brackets after a name "
                    "describes the person.",
                ),
                io.Combo.Input("family", options=list(FAMILIES), tooltip="Of the model."),
                io.Int.Input(
                    "characters",
                    default=1,
                    min=0,
                    max=MAX_CHARACTERS,
                    tooltip="References that are pictures.",
                ),
                io.Int.Input(
                    "videos", default=0, min=0, max=8, tooltip="References that are videos (Bernini-R only)."
                ),
            ],
            outputs=[io.String.Output(display_name="prompt", tooltip="For CLIP Text Encode.")],
        )

    @classmethod
    def execute(cls, prompt: str, family: str, characters: int, videos: int) -> io.NodeOutput:
        """Check and rewrite."""
        chosen = FAMILIES[family]
        if videos and chosen != "bernini":
            raise InputError(
                f"videos: expected none for {family}, got {videos}. Only Bernini-R takes videos."
            )
        names = tuple(f"character{number}" for number in range(1, characters + 1))
        places = tuple(range(videos + 1, videos + characters + 1))
        text = bind(prompt, names, chosen, pictures=places)
        if chosen == "bernini":
            task = {(True, True): "rv2v", (True, False): "v2v", (False, True): "r2v", (False, False): "t2v"}
            text = BERNINI_PREFIXES[task[bool(videos), bool(characters)]] + text
        return io.NodeOutput(text)
