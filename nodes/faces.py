"""The nodes that bring a face to Lynx: the adapter with its recogniser, and a photo."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..wan_core.checkpoints.lynx import open_lynx, read_lynx
from ..wan_core.checkpoints.lynx_face import load_arcface
from ..wan_core.errors import InputError
from ..wan_core.identity.alignment import align_face, face_template
from ..wan_core.identity.arcface import CROP_SIZE, face_input
from ..wan_core.identity.landmarks import draw_views, find_views
from ..wan_core.identity.lynx_prepare import reference_pixels
from ..wan_core.identity.views import choose_view, combine_embeddings
from . import host
from .convert import photos_from_image
from .host import io
from .sockets import AdapterSocket, FaceAdapter, FaceReference, IdentitySocket

FOLDER = "wan_r2v"
ONLY, ALIGNED = "only", "aligned"


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
        network = host.manage(load_arcface(recogniser_file))
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
                    options=[ONLY, "1", "2", "3", "4", "5", ALIGNED],
                    tooltip="only: the face, an error if there are several. 1, 2, ...: that one, by size. aligned: the "
                    "photos are square ArcFace crops already, and nothing is looked for.",
                ),
            ],
            outputs=[
                IdentitySocket.Output(display_name="identity"),
                io.Image.Output(
                    display_name="seen", tooltip="Faces that were found, the chosen one in green."
                ),
                io.String.Output(display_name="notes", tooltip="Photos that were left out."),
            ],
        )

    @classmethod
    def execute(cls, adapter: FaceAdapter, image: torch.Tensor, face: str) -> io.NodeOutput:
        """Find, align, encode and combine."""
        if not isinstance(adapter, FaceAdapter):
            raise InputError(
                "adapter: expected that of Load Identity Adapter, got the encoders of nano. Use Encode Identity."
            )
        photos = [photo.numpy() for photo in photos_from_image(image)]
        found = [_look(photo, face, f"photo {number}") for number, photo in enumerate(photos, 1)]
        crops = [
            face_input(align_face(photo, marks)) for photo, (marks, _) in zip(photos, found, strict=True)
        ]
        device = host.place(adapter.recogniser)
        embeds = host.intermediate(adapter.recogniser.model(torch.cat(crops).to(device)))
        combined = combine_embeddings(embeds)
        first = combined.used[0] - 1
        picture, grey = reference_pixels(photos[first], found[first][0])
        seen = torch.from_numpy(np.stack([marked for _, marked in found])).float() / 255
        reference = FaceReference(adapter, combined.embedding, picture, grey)
        return io.NodeOutput(reference, host.intermediate(seen), "\n".join(combined.notes()))


def _look(photo: NDArray[np.uint8], face: str, where: str) -> tuple[NDArray[np.floating], NDArray[np.uint8]]:
    """Landmarks of the face that is meant, and the photo with what was seen."""
    if face == ALIGNED:
        height, width = photo.shape[:2]
        if height != width:
            raise InputError(
                f"{where}: expected an aligned crop, as wide as high, got {width}x{height}. Choose only."
            )
        return face_template(CROP_SIZE) * np.float32(width / CROP_SIZE), photo
    faces = find_views(photo, is_lynx=True)
    chosen = choose_view(faces, int(face) if face.isdigit() else None, where=where)
    return chosen.landmarks, draw_views(photo, faces, chosen)
