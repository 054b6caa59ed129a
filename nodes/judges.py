"""What finds and compares faces for the nodes that measure clips."""

from __future__ import annotations

from ..wan_core.errors import InputError
from ..wan_core.identity.detectors import Detector, open_landmarks
from ..wan_core.pipelines.recognisers import ArcFaceFaces, DrawnFaces, FoundFaces, Recogniser, box_finder
from . import host
from .host import io
from .sockets import AdapterSocket, Encoders, FaceAdapter

DRAWN, CASCADE, LANDMARKS = "drawn", "cascade", "landmarks"


def encoders_input() -> io.Input:
    """The input that says what compares faces."""
    return AdapterSocket.Input(
        "encoders", tooltip="What compares: from Load Wan R2V, or from Load Identity Adapter (ArcFace)."
    )


def face_input() -> io.Input:
    """The input that says which face of the reference is meant."""
    return io.Combo.Input(
        "face",
        options=["auto", "whole", "1", "2", "3", "4", "5"],
        tooltip="Of the reference. auto: the largest face. 1, 2, ...: that one, by size. whole: the whole picture is "
        "the face.",
    )


def read_face(face: str) -> int | str:
    """What was chosen there as `PersonReference.face` has it."""
    return int(face) if face.isdigit() else face


def open_recogniser(encoders: Encoders | FaceAdapter, faces: str) -> Recogniser:
    """What finds and compares faces, with its weights where they compute.

    Raises: InputError: a way to find faces that does not belong to the encoders.
    """
    is_arcface = isinstance(encoders, FaceAdapter)
    if is_arcface != (faces == LANDMARKS):
        wanted = f"{LANDMARKS} with ArcFace" if is_arcface else f"{DRAWN} or {CASCADE} with nano's encoders"
        raise InputError(f"faces: expected {wanted}, got {faces}. Choose what belongs to the encoders.")
    if isinstance(encoders, FaceAdapter):
        host.place(encoders.recogniser)
        return ArcFaceFaces(encoders.recogniser.model, open_landmarks(Detector(name="scrfd")))
    host.place(encoders.voice)
    host.place(encoders.identity)
    encoder = encoders.identity.model.face_encoder
    if faces == DRAWN:
        return DrawnFaces(encoder)
    return FoundFaces(encoder, box_finder(Detector(name="cascade")), CASCADE)
