"""How like its reference a person of a clip is: figures of a whole clip from what was seen in each frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .pose import HeadPose, PoseRange, pose_range
from .voice import SimilarityScale

SAME_PICTURE = 0.95
"""From this correlation on, a face is the reference's picture itself. Clips of nano reach 0.92 with their own reference
(24 people), a pasted reference 0.98 after H.264."""
SAME_POSE_DEGREES = 6.0
"""A head within this of the reference's angles has not moved from them, as far as five landmarks tell."""
FROZEN_SHARE = 0.9
"""Share of the frames in which a face must be the reference's for the alarm."""

_LUMINANCE = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceTrack:
    """One person, frame by frame; None in a frame without this person, or where a thing can not be measured at all.

    Attributes:
        similarity: cosine of the face's embedding with the reference's.
        width: of the face, share of the picture's shorter side.
        poses: where the head looks.   reference_pose: in the reference.
        sameness: correlation of the inner face's luminance with the reference picture's, of `picture_sameness`.
    """

    similarity: tuple[float | None, ...]
    width: tuple[float | None, ...] | None
    poses: tuple[HeadPose | None, ...] | None
    reference_pose: HeadPose | None
    sameness: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPaste:
    """Is the clip the reference's picture moved about?

    Attributes:
        alarm: alike, and the face stays as it is in the reference in nine frames of ten.
        same_picture: share of the frames whose face is the reference's picture (from `SAME_PICTURE` on).
        same_pose: share of the frames whose angles are the reference's (within `SAME_POSE_DEGREES`), None where angles
            can not be measured.
    """

    alarm: bool
    same_picture: float
    same_pose: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """Figures of one person over a clip.

    Attributes:
        scale: what compared the faces, and how to read its cosines.
        track: frame by frame.
        seen: share of the frames that show the person.
        mean, lowest, p5: of the similarity (p5: all but the worst twentieth of the frames are above).
        drift: slope of the similarity, per second; below 0 the person is lost with time. None for less than 3 frames.
        width: median width of the face, share of the picture's shorter side, None where it was not measured.
        pose: range of the angles, None where they can not be measured.
        copy_paste: see `CopyPaste`.
        not_measured: what could not be measured, and why, a sentence each.
    """

    scale: SimilarityScale
    track: FaceTrack
    seen: float
    mean: float
    lowest: float
    p5: float
    drift: float | None
    width: float | None
    pose: PoseRange | None
    copy_paste: CopyPaste
    not_measured: tuple[str, ...]

    @property
    def score(self) -> float:
        """Mean similarity between a stranger's, 0, and the same person's, 1; cut off there."""
        share = (self.mean - self.scale.strangers) / (self.scale.same - self.scale.strangers)
        return min(1.0, max(0.0, share))


def summarise_track(
    track: FaceTrack, scale: SimilarityScale, fps: float, not_measured: Sequence[str] = ()
) -> Likeness | None:
    """Work out the figures of a person.

    Args:
        track: frame by frame.   scale: of the similarity.   fps: frames a second.
        not_measured: sentences to carry along.
    Returns:
        The figures, None where no frame shows the person.
    """
    seen = [(place / fps, value) for place, value in enumerate(track.similarity) if value is not None]
    if not seen:
        return None
    times, values = torch.tensor(seen, dtype=torch.float64).T
    widths = [width for width in track.width or () if width is not None]
    mean = float(values.mean())
    return Likeness(
        scale=scale,
        track=track,
        seen=len(seen) / len(track.similarity),
        mean=mean,
        lowest=float(values.min()),
        p5=float(values.quantile(0.05)),
        drift=_slope(times, values) if len(seen) >= 3 else None,
        width=sorted(widths)[len(widths) // 2] if widths else None,
        pose=pose_range([pose for pose in track.poses or () if pose is not None]),
        copy_paste=_copy_paste(track, is_alike=mean >= (scale.same + scale.strangers) / 2),
        not_measured=tuple(not_measured),
    )


def picture_sameness(reference: Tensor, pictures: Tensor) -> Tensor:
    """Correlate the luminance of a piece of the reference with pictures, at the place in each where it fits best.

    Args:
        reference: inner face, (3, h, w) in [-1, 1].   pictures: (F, 3, H, W), H >= h, W >= w, of the same scale.
    Returns:
        (F,) in [-1, 1]; 1 is the same picture, whatever its brightness and contrast.
    """
    weights = torch.tensor(_LUMINANCE)[:, None, None]
    piece = (reference * weights).sum(dim=0)
    piece = piece - piece.mean()
    piece = (piece / piece.norm().clamp_min(1e-6))[None, None]
    grey = (pictures * weights).sum(dim=1, keepdim=True)
    ones, count = torch.ones_like(piece), piece.numel()
    products = functional.conv2d(grey, piece)
    mean = functional.conv2d(grey, ones) / count
    spread = (functional.conv2d(grey.square(), ones) - count * mean.square()).clamp_min(1e-6).sqrt()
    return (products / spread).flatten(1).amax(dim=1).clamp(-1.0, 1.0)


def _slope(times: Tensor, values: Tensor) -> float:
    """Least squares slope of values over times."""
    centred = times - times.mean()
    return float((centred * (values - values.mean())).sum() / centred.square().sum())


def _copy_paste(track: FaceTrack, *, is_alike: bool) -> CopyPaste:
    sameness = [value for value in track.sameness if value is not None]
    same_picture = sum(value >= SAME_PICTURE for value in sameness) / max(1, len(sameness))
    same_pose = None
    poses = [pose for pose in track.poses or () if pose is not None]
    own = track.reference_pose
    if own is not None and poses:
        near = [
            max(abs(a - b) for a, b in zip(pose, own, strict=True)) <= SAME_POSE_DEGREES for pose in poses
        ]
        same_pose = sum(near) / len(near)
    is_frozen = same_picture >= FROZEN_SHARE and (same_pose is None or same_pose >= FROZEN_SHARE)
    return CopyPaste(alarm=is_alike and is_frozen, same_picture=same_picture, same_pose=same_pose)
