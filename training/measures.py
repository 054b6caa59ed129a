"""What evaluation measures on clips, from pixels and samples alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from wan_core.text.vocabulary import CLOSERS

from .eval_runs import GROUP, Clips, Subjects
from .judge_picture import PictureJudge, Readings
from .judge_sound import SoundJudge
from .nano_config import FPS, FRAMES
from .world.identity import FACTOR_NAMES, face_factors

LAGS = range(-4, 5)


def read_clips(judge: PictureJudge, video: Tensor) -> Readings:
    """Read every frame of clips (K, 3, F, H, W); rows are frames, those of a clip adjacent."""
    return judge.read(video.transpose(1, 2).flatten(0, 1))


def clip_factors(readings: Readings, clips: int) -> Tensor:
    """Identity factors of each clip, mean over its frames, (K, A)."""
    return readings.factors.view(clips, -1, readings.factors.shape[1]).mean(dim=1)


def top_one(distances: Tensor) -> float:
    """Share of rows of (16, 16) blocks whose smallest distance is on the diagonal; distances (K, K)."""
    hits: list[Tensor] = []
    for start in range(0, len(distances) - GROUP + 1, GROUP):
        block = distances[start : start + GROUP, start : start + GROUP]
        hits.append((block.argmin(dim=1) == torch.arange(GROUP)).float())
    return float(torch.cat(hits).mean())


def permuted_top_one(distances: Tensor, seed: int, times: int = 50) -> float:
    """Mean of `top_one` when each clip is paired with a random subject of its group: the null."""
    generator = torch.Generator().manual_seed(seed)
    values: list[float] = []
    for _ in range(times):
        order = torch.cat(
            [
                start + torch.randperm(GROUP, generator=generator)
                for start in range(0, len(distances) - GROUP + 1, GROUP)
            ]
        )
        values.append(top_one(distances[order]))
    return sum(values) / len(values)


def pearson(a: Tensor, b: Tensor) -> float:
    """Correlation of two (K,) tensors; 0 where one of them is constant."""
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-9))


def spearman(a: Tensor, b: Tensor) -> float:
    """Rank correlation of two (K,) tensors; rows with NaN are left out."""
    is_known = ~(a.isnan() | b.isnan())
    ranks = [x[is_known].argsort().argsort().float() for x in (a, b)]
    return pearson(*ranks)


def identity_scores(judge: PictureJudge, factors: Tensor, subjects: Subjects, seed: int) -> dict[str, float]:
    """Top-1 of 16 with and without clothes, its null, and how well each trait follows the reference."""
    true = subjects.identity.factors
    with_clothes = judge.identity_distance(factors, true)
    faces = judge.identity_distance(factors, true, face_factors())

    def follows(*names: str) -> float:
        columns = [FACTOR_NAMES.index(name) for name in names]
        return sum(pearson(factors[:, c], true[:, c]) for c in columns) / len(columns)

    return {
        "identity_top1": top_one(with_clothes),
        "identity_top1_face": top_one(faces),
        "identity_top1_null": permuted_top_one(with_clothes, seed),
        "skin": follows("skin_depth"),
        "hair": follows("hair_red", "hair_green", "hair_blue"),
        "glasses": follows("glasses"),
        "beard": follows("beard"),
    }


def prompt_scores(judge: PictureJudge, readings: Readings, subjects: Subjects) -> dict[str, float]:
    """Share of clips that show the scene and the action of their prompt."""
    count = len(subjects.scene)
    scene = readings.scene_logits.view(count, -1, readings.scene_logits.shape[1]).mean(dim=1).argmax(dim=1)
    action = judge.classify_motion(readings.pose.view(count, -1, readings.pose.shape[1])).argmax(dim=1)
    return {
        "scene": float((scene == subjects.scene).float().mean()),
        "action": float((action == subjects.action).float().mean()),
    }


def sound_scores(judge: SoundJudge, clips: Clips, subjects: Subjects) -> dict[str, float]:
    """How pitch follows the reference, and how often the waveform says the words."""
    scores = judge.phrase(clips.waveform)
    opener, closer = scores.opener.argmax(dim=1), scores.closer.argmax(dim=1)
    said = opener * len(CLOSERS) + closer
    return {
        "pitch": spearman(judge.median_f0(clips.waveform), judge.median_f0(subjects.recordings)),
        "words": float((said == subjects.phrase).float().mean()),
        "words_null": float((said == subjects.phrase.roll(1)).float().mean()),
    }


def timbre_top_one(judge: SoundJudge, clips: Clips, subjects: Subjects) -> float:
    """Top-1 of 16 voices of one pitch, clip against reference recording."""
    made, wanted = judge.timbre_embedding(clips.waveform), judge.timbre_embedding(subjects.recordings)
    return top_one(-made @ wanted.T)


def lip_correlations(mouth: Tensor, loudness: Tensor, lags: Sequence[int] = LAGS) -> Tensor:
    """Mean correlation of mouth opening and loudness over clips, one for each lag in frames.

    Args:
        mouth, loudness: (K, F).   lags: positive when the mouth is late.
    """
    values: list[Tensor] = []
    for lag in lags:
        a = mouth[:, max(lag, 0) : mouth.shape[1] + min(lag, 0)]
        b = loudness[:, max(-lag, 0) : loudness.shape[1] + min(-lag, 0)]
        a, b = a - a.mean(dim=1, keepdim=True), b - b.mean(dim=1, keepdim=True)
        values.append(((a * b).sum(dim=1) / (a.norm(dim=1) * b.norm(dim=1)).clamp_min(1e-6)).mean())
    return torch.stack(values)


def lip_scores(judge: SoundJudge, readings: Readings, clips: Clips) -> dict[str, float]:
    """Lips against sound: correlation at lag 0, the lag of the peak in frames, and clips with another's sound."""
    mouth = readings.pose_of("mouth").view(len(clips.video), -1)
    loudness = judge.envelope(clips.waveform, FPS, FRAMES)
    curve = lip_correlations(mouth, loudness)
    others = torch.stack(
        [lip_correlations(mouth, loudness.roll(k, 0), (0,))[0] for k in (1, 3, 7, 11)]
    ).mean()
    return {
        "lips": float(curve[list(LAGS).index(0)]),
        "lips_peak_lag": float(LAGS[int(curve.argmax())]),
        "lips_other_sound": float(others),
    }
