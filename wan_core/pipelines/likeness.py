"""One report on a clip: likeness, lips and voice of every character, measured from its frames and samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InputError, ShapeError
from ..identity.face import FaceChoice
from ..report import (
    FaceTrack,
    Likeness,
    LipSync,
    Measurements,
    SimilarityScale,
    VoiceMatch,
    aligned_mouth_opening,
    compare_lips,
    mouth_opening,
    picture_sameness,
    pitch_statistics,
    summarise_track,
)
from ..report.colours import ColourMatch, compare_colours
from ..types import AudioClip
from ..voice.encoder import VoiceEncoder, encode_clip
from .recognisers import DrawnFaces, FoundFace, Recogniser, ReferenceFace, to_pixels

ALONE = "clip"
"""Name of what is measured of a clip without characters."""
VOICE_SCALE = SimilarityScale(
    encoder="nano's own voice encoder, the one that made the tokens: a hint, no independent judge",
    same=0.94,
    strangers=0.01,
    basis="measured on 24 synthetic voices that no training has heard",
)
DRAWN_MOUTH = "the mouth was read where nano draws it"
ALIGNED_MOUTH = "the mouth was read where the landmarks are"
_SIDE = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PersonReference:
    """What a character of a clip is compared with.

    Attributes:
        photos: (H, W, 3) uint8 each, or none.   face: which face of them.   voice: mono 16 kHz, or None.
        known: instead of photos, the face as the report's recogniser has embedded it before.
    """

    photos: tuple[Tensor, ...] = ()
    face: FaceChoice = "auto"
    voice: AudioClip | None = None
    known: ReferenceFace | None = None


class SpeakerEncoder(Protocol):
    """Compares voices."""

    @property
    def scale(self) -> SimilarityScale:
        """What compares the voices, and how to read its cosines."""
        ...

    def embed(self, clip: AudioClip) -> Tensor:
        """Embedding (D,) of a recording, mono 16 kHz.

        Raises: InputError: no speech in it.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class NanoVoices:
    """Nano's own voice encoder."""

    encoder: VoiceEncoder

    @property
    def scale(self) -> SimilarityScale:
        """See `SpeakerEncoder`."""
        return VOICE_SCALE

    @torch.no_grad()
    def embed(self, clip: AudioClip) -> Tensor:
        """See `SpeakerEncoder`."""
        device = self.encoder.feature_mean.device
        return encode_clip(self.encoder, clip.waveform.to(device)).embedding[0].cpu()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipReport:
    """Measurements, and the reference crops by character, (3, S, S) in [-1, 1], for the picture."""

    measurements: Measurements
    faces: Mapping[str, Tensor]


def report_on(
    frames: Tensor,
    fps: float,
    audio: AudioClip | None = None,
    *,
    people: Mapping[str, PersonReference] | None = None,
    recogniser: Recogniser | None = None,
    speakers: SpeakerEncoder | None = None,
    notes: Sequence[str] = (),
) -> ClipReport:
    """Measure a clip against the references of its characters.

    Args:
        frames: (F, H, W, 3) uint8 RGB.
        fps: frames a second, > 0.
        audio: mono 16 kHz sound of the clip, or None.
        people: references by the name of the character.
        recogniser: finds and compares faces; None leaves faces out (lips are then read where nano draws them).
        speakers: compares voices; None leaves that out, pitch is measured all the same.
        notes: sentences for the user, to stand before those of the report.
    Returns:
        The report.
    Raises:
        ShapeError: frames or sound of another shape or rate.
        InputError: a photo without such a face, or photos without a recogniser.
    """
    people = people or {}
    _check(frames, fps, {"audio": audio, **{name: own.voice for name, own in people.items()}})
    if recogniser is None and any(own.photos for own in people.values()):
        raise InputError(
            "report: expected a recogniser for the photos, got none. Name one (nano's, or ArcFace and its weights)."
        )
    said = list(notes)
    references: dict[str, ReferenceFace] = {}
    for name, own in people.items():
        if own.known is not None:
            references[name] = own.known
        elif own.photos and recogniser is not None:
            references[name] = recogniser.reference(own.photos, own.face)
            said += [f"{name}: {note}" for note in references[name].notes]
    is_drawn = recogniser is None or isinstance(recogniser, DrawnFaces)
    looks_for_faces = recogniser is not None and (bool(references) or not is_drawn)
    found = recogniser.look(frames) if recogniser is not None and looks_for_faces else []
    tracks = _follow(found, references)
    likeness: dict[str, Likeness | None] = {}
    for name, reference in references.items():
        if recogniser is not None:
            track = _track(tracks[name], reference)
            likeness[name] = summarise_track(track, recogniser.scale, fps, recogniser.not_measured)
    lips: dict[str, LipSync] = {}
    colours: dict[str, ColourMatch] | None = None
    if is_drawn:
        small = _shrink(frames)
        colours = {}
        for reference in list(references.values())[:1]:
            colours = compare_colours(reference.crop, small.mean(dim=0))
        if audio is not None:
            _add(lips, next(iter(people), ALONE), compare_lips(mouth_opening(small), audio, fps))
    elif audio is not None:
        mouths = tracks or {ALONE: [max(faces, key=_width) if faces else None for faces in found]}
        for name, own in mouths.items():
            _add(lips, name, compare_lips(_opening(own), audio, fps))
    if audio is not None and not lips:
        said.append("lips were not measured: too few frames with a mouth, or mouth or sound never change.")
    voices, voice_notes = _voices(people, audio, speakers)
    count = frames.shape[0]
    measurements = Measurements(
        frames=count,
        fps=fps,
        picture_seconds=count / fps,
        sound_seconds=None if audio is None else audio.waveform.shape[1] / audio.sample_rate,
        faces=tuple(map(len, found)) if recogniser is not None and recogniser.counts_faces else None,
        likeness=likeness,
        colours=colours or None,
        lips=lips,
        mouth=DRAWN_MOUTH if is_drawn else ALIGNED_MOUTH,
        voices=voices,
        notes=(*said, *voice_notes),
    )
    return ClipReport(measurements=measurements, faces={name: own.crop for name, own in references.items()})


def frames_of(video: Tensor) -> Tensor:
    """Frames (F, H, W, 3) uint8 of a clip in memory, (3, F, H, W) or (1, 3, F, H, W) in [-1, 1].

    Raises:
        ShapeError: another shape.
    """
    clip = video[0] if video.ndim == 5 and video.shape[0] == 1 else video
    if clip.ndim != 4 or clip.shape[0] != 3 or 0 in clip.shape:
        raise ShapeError(
            f"video: expected (3, F, H, W), got {tuple(video.shape)}. Measure one clip at a time."
        )
    pixels = (clip.detach().float().cpu().clamp(-1, 1) + 1) * 127.5
    return pixels.round().to(torch.uint8).permute(1, 2, 3, 0).contiguous()


def _check(frames: Tensor, fps: float, sounds: Mapping[str, AudioClip | None]) -> None:
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != torch.uint8 or 0 in frames.shape:
        raise ShapeError(
            f"frames: expected (F, H, W, 3) uint8, got {tuple(frames.shape)} {frames.dtype}. "
            "Measure one clip at a time."
        )
    if not fps > 0:
        raise InputError(f"fps: expected more than 0, got {fps}. Give the frames a second.")
    for name, clip in sounds.items():
        if clip is not None and (clip.sample_rate != 16000 or clip.waveform.shape[0] != 1):
            raise ShapeError(
                f"{name}: expected (1, samples) at 16000 Hz, got {tuple(clip.waveform.shape)} at "
                f"{clip.sample_rate} Hz. Convert it with wan_core.media.sound.resample."
            )


def _follow(
    found: Sequence[Sequence[FoundFace]], references: Mapping[str, ReferenceFace]
) -> dict[str, list[FoundFace | None]]:
    """Give each character the face that is most like it, frame by frame; no face goes to two."""
    tracks: dict[str, list[FoundFace | None]] = {name: [] for name in references}
    for faces in found:
        pairs = sorted(
            (
                (_cosine(face, own), name, number)
                for number, face in enumerate(faces)
                for name, own in references.items()
            ),
            reverse=True,
        )
        taken: dict[str, int] = {}
        for _, name, number in pairs:
            if name not in taken and number not in taken.values():
                taken[name] = number
        for name, track in tracks.items():
            track.append(faces[taken[name]] if name in taken else None)
    return tracks


def _cosine(face: FoundFace, reference: ReferenceFace) -> float:
    return float(functional.cosine_similarity(face.embedding, reference.embedding, dim=0))


def _track(faces: Sequence[FoundFace | None], reference: ReferenceFace) -> FaceTrack:
    """Figures of one character, frame by frame."""
    seen = [face for face in faces if face is not None]
    return FaceTrack(
        similarity=tuple(None if face is None else _cosine(face, reference) for face in faces),
        width=tuple(None if face is None else face.width for face in faces)
        if any(face.width is not None for face in seen)
        else None,
        poses=tuple(None if face is None else face.pose for face in faces)
        if any(face.pose is not None for face in seen)
        else None,
        reference_pose=reference.pose,
        sameness=tuple(
            None if face is None else float(picture_sameness(reference.inner, face.picture[None]))
            for face in faces
        ),
    )


def _opening(faces: Sequence[FoundFace | None]) -> Tensor:
    """Mouth opening (F,) of a track, NaN where there is no face that was aligned."""
    opening = torch.full((len(faces),), float("nan"))
    for place, face in enumerate(faces):
        if face is not None and face.aligned is not None:
            opening[place] = aligned_mouth_opening(face.aligned[None])[0]
    return opening


def _add(lips: dict[str, LipSync], name: str, found: LipSync | None) -> None:
    if found is not None:
        lips[name] = found


def _width(face: FoundFace) -> float:
    return face.width or 0.0


def _shrink(frames: Tensor) -> Tensor:
    """(F, H, W, 3) uint8 -> (F, 3, 64, 64) in [-1, 1]."""
    small = [
        functional.interpolate(to_pixels(frame)[None], size=(_SIDE, _SIDE), mode="bilinear", antialias=True)
        for frame in frames
    ]
    return torch.cat(small)


def _voices(
    people: Mapping[str, PersonReference], audio: AudioClip | None, speakers: SpeakerEncoder | None
) -> tuple[dict[str, VoiceMatch], list[str]]:
    """Voice of the clip against each character's; without any, the clip's pitch alone."""
    notes: list[str] = []
    if audio is None:
        return {}, notes
    clip = pitch_statistics(audio)
    with_voice = {name: own.voice for name, own in people.items() if own.voice is not None}
    if not with_voice:
        alone = VoiceMatch(similarity=None, scale=None, reference=None, clip=clip)
        return {next(iter(people), ALONE): alone}, notes
    if len(with_voice) > 1:
        notes.append("several voices: the whole sound is compared with each, whoever speaks when.")
    voices: dict[str, VoiceMatch] = {}
    for name, own in with_voice.items():
        similarity = None
        if speakers is not None:
            try:
                similarity = float(
                    functional.cosine_similarity(speakers.embed(audio), speakers.embed(own), dim=0)
                )
            except InputError as error:
                notes.append(f"{name}: voices were not compared. {error}")
        voices[name] = VoiceMatch(
            similarity=similarity,
            scale=None if similarity is None or speakers is None else speakers.scale,
            reference=pitch_statistics(own),
            clip=clip,
        )
    return voices, notes
