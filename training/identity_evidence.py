"""Does the report's likeness mean something? Measured on people, voices and prompts that no training has seen.

    python -m training.identity_evidence [--seed 0] [--identities 24] [--strengths 0 0.25 0.5 0.75 1] [--json FILE]

Every clip is written as MP4 and read back, and its figures are those of `wan-r2v report`, with nano's own encoders: the
question is what the report is worth, not how good the clips are (`training.evaluate` asks that of independent judges).

- auc: how often a clip's mean similarity is higher with its own reference than with another person's.
- auc_off: the same at strength 0, where it should be chance, 0.5.
- monotone: mean similarity rises with every strength of the face.
- sync: correlation at lag 0, and the best lag, of the report. voice_auc: own voice against the others'.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from wan_core.media import read_sound, read_video, write_video
from wan_core.pipelines.bundle import NanoBundle, load_bundle
from wan_core.pipelines.defaults import NanoDefaults
from wan_core.pipelines.likeness import ClipReport, NanoVoices, PersonReference, report_on
from wan_core.pipelines.recognisers import DrawnFaces
from wan_core.types import AudioClip

from .eval_runs import Clips, Subjects, draw_subjects, sample_subjects

SIZE = (256, 256)
RATE = 16000
_NAME = "character1"


def area_under_curve(right: Tensor, wrong: Tensor) -> float:
    """Share of pairs in which the right score is above the wrong one; ties count half. (K,) and (M,)."""
    above = (right[:, None] > wrong[None]).float() + 0.5 * (right[:, None] == wrong[None]).float()
    return float(above.mean())


def chance_auc(count: int) -> float:
    """Chance plus two and a half standard errors of an AUC of `count` clips whose wrong scores are many."""
    return 0.5 + 2.5 / math.sqrt(12 * count)


def rises(values: Sequence[float]) -> bool:
    """Whether every value is above the one before it."""
    return all(a < b for a, b in zip(values, values[1:], strict=False))


class Judge:
    """The report's instruments, and the references of all subjects."""

    def __init__(self, bundle: NanoBundle, subjects: Subjects) -> None:
        self.faces = DrawnFaces(bundle.identity.face_encoder)
        self.voices = NanoVoices(bundle.voice)
        pixels = ((subjects.photos + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
        self.people = [
            PersonReference(photos=(photo,), face="whole", voice=AudioClip(recording[None], RATE))
            for photo, recording in zip(pixels, subjects.recordings, strict=True)
        ]
        self.embeds = torch.stack(
            [self.faces.reference(own.photos, "whole").embedding for own in self.people]
        )
        self.voice_embeds = torch.stack(
            [self.voices.embed(own.voice) for own in self.people if own.voice is not None]
        )

    def read(self, clips: Clips, fps: int, folder: Path) -> list[tuple[ClipReport, Tensor, AudioClip]]:
        """Write every clip, read it back and report on it; with it, similarities to all references, and its sound."""
        found: list[tuple[ClipReport, Tensor, AudioClip]] = []
        for number, (video, waveform) in enumerate(zip(clips.video, clips.waveform, strict=True)):
            large = functional.interpolate(video.transpose(0, 1), size=SIZE, mode="bicubic", antialias=True)
            path = write_video(
                folder / "clip.mp4",
                large.transpose(0, 1),
                fps,
                AudioClip(waveform[None], RATE),
                overwrite=True,
            )
            frames, sound = read_video(path).frames, read_sound(path).clip
            report = report_on(
                frames,
                fps,
                sound,
                people={_NAME: self.people[number]},
                recogniser=self.faces,
                speakers=self.voices,
            )
            own = torch.stack([face[0].embedding for face in self.faces.look(frames)])
            cosines = functional.cosine_similarity(own[:, None], self.embeds[None], dim=-1).mean(dim=0)
            found.append((report, cosines, sound))
        return found


def separation(cosines: Tensor) -> tuple[float, float]:
    """AUC, and the share of clips that are most like their own reference, of similarities (K, K)."""
    is_own = torch.eye(len(cosines), dtype=torch.bool)
    top = (cosines.argmax(dim=1) == torch.arange(len(cosines))).float().mean()
    return area_under_curve(cosines[is_own], cosines[~is_own]), float(top)


def measure(
    bundle: NanoBundle, identities: int, seed: int, strengths: Sequence[float], defaults: NanoDefaults
) -> dict[str, Any]:
    """Sample clips at every strength and measure them.

    Args:
        identities: people.   seed: of the people, and of the noise.   strengths: rising, 0 first.
    Returns:
        Figures by name.
    """
    subjects = draw_subjects(identities, seed)
    judge = Judge(bundle, subjects)
    means: list[float] = []
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for strength in strengths:
            scales = replace(defaults.scales, identity_strength=strength)
            settings = replace(defaults, scales=scales)
            clips = sample_subjects(bundle, subjects, 1000 * seed, "on", settings)
            found = judge.read(clips, defaults.fps, Path(folder))
            likeness = [report.measurements.likeness[_NAME] for report, _, _ in found]
            means.append(sum(own.mean for own in likeness if own is not None) / len(likeness))
            auc, top = separation(torch.stack([cosines for _, cosines, _ in found]))
            print(
                f"strength {strength:g}: mean similarity {means[-1]:.4f}, AUC {auc:.3f}, top-1 {top:.3f}",
                flush=True,
            )
            if strength == 0.0:
                figures |= {"auc_off": auc, "top1_off": top}
            elif strength == 1.0:
                figures |= {"auc": auc, "top1": top, **_sound_figures(judge, found)}
    by_strength = {f"{strength:g}": mean for strength, mean in zip(strengths, means, strict=True)}
    return {**figures, "similarity_by_strength": by_strength, "monotone": rises(means)}


def _sound_figures(judge: Judge, found: Sequence[tuple[ClipReport, Tensor, AudioClip]]) -> dict[str, Any]:
    """Lips and voice as the report reads them, means over the clips."""
    lips = [report.measurements.lips[_NAME] for report, _, _ in found if _NAME in report.measurements.lips]
    embeds = torch.stack([judge.voices.embed(sound) for _, _, sound in found])
    voice_auc, _ = separation(embeds @ judge.voice_embeds.T)
    pitch = [
        (own.clip.median, own.reference.median)
        for report, _, _ in found
        if (own := report.measurements.voices[_NAME]).clip is not None and own.reference is not None
    ]
    ranks = torch.tensor(pitch).argsort(dim=0).argsort(dim=0).double()
    alarms = [own.copy_paste.alarm for report, _, _ in found if (own := report.measurements.likeness[_NAME])]
    curve = torch.tensor([list(own.by_lag.values()) for own in lips]).mean(dim=0)
    return {
        "sync": sum(own.by_lag[0] for own in lips) / len(lips),
        "sync_peak_lag_frames": abs(list(lips[0].by_lag)[int(curve.argmax())]),
        "pitch_spearman": float(torch.corrcoef(ranks.T)[0, 1]),
        "voice_auc": voice_auc,
        "copy_paste_alarms": sum(alarms),
    }


def judge_figures(figures: dict[str, Any], identities: int) -> dict[str, dict[str, Any]]:
    """Each figure that has a target, with the target and whether it is met."""
    at_least = {"auc": 0.95, "pitch_spearman": 0.8, "voice_auc": 0.95, "sync": 0.5}
    at_most = {"auc_off": chance_auc(identities), "sync_peak_lag_frames": 1, "copy_paste_alarms": 0}
    targets: dict[str, dict[str, Any]] = {}
    for name, bound in at_least.items():
        targets[name] = {"value": figures[name], "target": bound, "met": figures[name] >= bound}
    for name, bound in at_most.items():
        targets[name] = {"value": figures[name], "target": bound, "met": figures[name] <= bound}
    targets["monotone"] = {"value": figures["monotone"], "target": True, "met": figures["monotone"]}
    return targets


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="draws the people, voices and prompts")
    parser.add_argument("--identities", type=int, default=24, help="people")
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.0, 0.25, 0.5, 0.75, 1.0])
    parser.add_argument("--weights", type=Path, default=None, help="folder; default the shipped weights")
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    strengths: list[float] = sorted(arguments.strengths)
    if arguments.identities < 4 or not {0.0, 1.0} <= set(strengths):
        parser.error("expected at least 4 people, and 0 and 1 among the strengths")
    started = time.monotonic()
    # Fused attention of the CPU is slow on sequences as short as nano's.
    with sdpa_kernel([SDPBackend.MATH]):
        figures = measure(
            load_bundle(arguments.weights), arguments.identities, arguments.seed, strengths, NanoDefaults()
        )
    targets = judge_figures(figures, arguments.identities)
    for name, row in targets.items():
        print(
            f"{name:24s} {row['value']!s:.8}  target {row['target']!s:.6}  {'met' if row['met'] else 'MISSED'}"
        )
    print(f"in {time.monotonic() - started:.0f} s")
    if arguments.json is not None:
        content = {
            "targets": targets,
            "other": figures,
            "seed": arguments.seed,
            "identities": arguments.identities,
        }
        arguments.json.write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
