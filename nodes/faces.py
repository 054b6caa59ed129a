"""The nodes that bring a face to Lynx: the adapter with its recogniser, and a photo."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..wan_core.checkpoints.lynx import open_lynx, read_lynx
from ..wan_core.checkpoints.lynx_face import load_arcface
from ..wan_core.errors import FaceError, InputError
from ..wan_core.identity.alignment import face_template
from ..wan_core.identity.arcface import CROP_SIZE
from ..wan_core.identity.detectors import open_landmarks
from ..wan_core.identity.lynx_prepare import picture_clips
from ..wan_core.identity.views import SeenFace
from ..wan_core.pipelines.photos import align_person
from ..wan_core.provenance import CONSENT_MEANINGS
from . import host
from .characters import UNSAID, require_consent
from .convert import photos_from_image
from .host import io, ui
from .sockets import AdapterSocket, FaceAdapter, FaceReference, IdentitySocket

FOLDER = "wan_r2v"
AUTO, ALIGNED = "auto", "aligned"


class LoadIdentityAdapter(io.ComfyNode):
    """Lynx and the face recogniser that it was trained with."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        names = host.adapter_names(FOLDER)
        return io.Schema(
            node_id="WanR2V_LoadIdentityAdapter",
            display_name="Load Identity Adapter (Wan R2V)",
            category="Wan R2V/Identity",
            description="Names a Lynx adapter (full or lite) for Wan 2.1 T2V 14B. Its weights are read when a face is "
            "prepared, and leave memory again.",
            inputs=[
                io.Combo.Input(
                    "adapter",
                    options=names,
                    tooltip="Folder lynx_full or lynx_lite in models/wan_r2v with its files, or a merged file there.",
                ),
                io.Combo.Input(
                    "recogniser",
                    options=names,
                    tooltip="recognition_arcface_ir_se50 of facexlib (safetensors or pth) in models/wan_r2v; Lynx "
                    "understands no other.",
                ),
            ],
            outputs=[
                AdapterSocket.Output(display_name="adapter"),
                io.String.Output(display_name="notes", tooltip="What was found."),
            ],
        )

    @classmethod
    def execute(cls, adapter: str, recogniser: str) -> io.NodeOutput:
        """Read the headers of the adapter, and load the recogniser."""
        files = host.adapter_files(FOLDER, adapter)
        config, _ = read_lynx(open_lynx(files))
        (recogniser_file,) = host.adapter_files(FOLDER, recogniser)
        network = load_arcface(recogniser_file)
        note = f"Lynx {config.variant}: {len(config.blocks)} identity layers for {config.num_blocks} blocks"
        return io.NodeOutput(FaceAdapter(files, config, network), f"{note} of width {config.dim}.")


class EncodeFace(io.ComfyNode):
    """Photos of one person to what Lynx reads."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="WanR2V_EncodeFace",
            display_name="Encode Face (Wan R2V)",
            category="Wan R2V/Identity",
            description="Finds the face of one person in 1 to 8 photos, aligns it and encodes it as Lynx was trained.",
            inputs=[
                AdapterSocket.Input("adapter", tooltip="From Load Identity Adapter."),
                io.Image.Input("image", tooltip="A photo, or a batch of up to 8 photos of the same person."),
                io.Combo.Input(
                    "face",
                    options=[AUTO, "1", "2", "3", "4", "5", ALIGNED],
                    tooltip="auto: the largest face. 1, 2, ...: that one, by size. aligned: the photos are square "
                    "ArcFace crops already, and nothing is looked for.",
                ),
                io.Combo.Input(
                    "consent",
                    options=[UNSAID, *CONSENT_MEANINGS],
                    tooltip="On what ground the face is used. "
                    + "; ".join(f"{word}: {meaning}" for word, meaning in CONSENT_MEANINGS.items()),
                ),
                io.Combo.Input(
                    "detector",
                    options=["scrfd", "yunet"],
                    default="scrfd",
                    optional=True,
                    tooltip="scrfd: insightface's, as in training; for research only. yunet: OpenCV's, for any use.",
                ),
            ],
            outputs=[
                IdentitySocket.Output(display_name="identity"),
                io.Image.Output(
                    display_name="seen", tooltip="Faces that were found, the chosen ones in green."
                ),
                io.String.Output(display_name="notes", tooltip="How much the photos resemble each other."),
            ],
        )

    @classmethod
    def execute(
        cls, adapter: FaceAdapter, image: torch.Tensor, face: str, consent: str, detector: str = "scrfd"
    ) -> io.NodeOutput:
        """Find, align, encode and combine."""
        if not isinstance(adapter, FaceAdapter):
            raise InputError(
                "adapter: expected that of Load Identity Adapter, got the encoders of nano. Use Encode Identity."
            )
        require_consent("face", consent)
        photos = photos_from_image(image)
        find = aligned_face if face == ALIGNED else open_landmarks(host.face_detector(detector), is_lynx=True)
        try:
            person = align_person(
                adapter.recogniser, photos, int(face) if face.isdigit() else "auto", find, "face"
            )
        except FaceError as error:
            raise InputError(f"{error} What was seen: {host.keep_picture(error.picture)}") from error
        picture, grey = picture_clips(person.picture)
        seen = host.intermediate(torch.from_numpy(person.seen.copy())[None].float() / 255)
        reference = FaceReference(adapter, host.intermediate(person.combined.embedding), picture, grey)
        return io.NodeOutput(reference, seen, "\n".join(person.notes()), ui=ui.PreviewImage(seen))


def aligned_face(photo: NDArray[np.uint8]) -> list[SeenFace]:
    """The face of a crop that is aligned as ArcFace's are: its landmarks lie where the template has them.

    Raises: InputError: it is not as wide as high.
    """
    height, width = photo.shape[:2]
    if height != width:
        raise InputError(
            f"image: expected an aligned crop, as wide as high, got {width}x{height}. Choose auto as the face."
        )
    marks = face_template(CROP_SIZE) * np.float32(width / CROP_SIZE)
    return [SeenFace(marks, 0.0, 0.0, float(width), float(height))]
