"""Measure nano on people, voices and prompts that no training has seen.

    python -m training.evaluate [--seed 0] [--identities 64] [--seeds 3] [--weights DIR] [--json FILE]

Every measure reads pixels or samples, never the model's own encoders, and stands beside the same measure with the thing
that it measures switched off. The seed decides who is drawn; `--seeds` is how many clips each person gets.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from wan_core.pipelines.bundle import NanoBundle, load_bundle
from wan_core.pipelines.defaults import NanoDefaults

from .artefacts import grain, seam_ratio
from .clips import random_clips
from .eval_runs import GROUP, Clips, Subjects, Switch, draw_subject_clips, draw_subjects, sample_subjects
from .fit_codec import psnr
from .judge_picture import PictureJudge, load_picture_judge
from .judge_sound import SoundJudge, load_sound_judge
from .measures import (
    clip_factors,
    identity_scores,
    lip_scores,
    prompt_scores,
    read_clips,
    sound_scores,
    timbre_top_one,
)


@dataclass(frozen=True, slots=True)
class Target:
    """What a measure should reach: at least `at_least` or at most `at_most`."""

    at_least: float | None = None
    at_most: float | None = None

    @property
    def value(self) -> float:
        """The bound."""
        return self.at_least if self.at_least is not None else float(self.at_most or 0.0)

    def is_met(self, value: float) -> bool:
        """Whether a measured value is within the bound; NaN never is."""
        return value >= self.value if self.at_least is not None else value <= self.value


def chance_bound(chance: float, count: int) -> Target:
    """At most chance plus two and a half standard errors of `count` trials."""
    return Target(at_most=round(chance + 2.5 * math.sqrt(chance * (1 - chance) / count), 3))


def targets(identities: int) -> dict[str, Target]:
    """Every target by the name of its measure."""
    count = identities // GROUP * GROUP
    null = Target(at_most=round(2.5 / math.sqrt(count), 3))
    return {
        "identity_top1": Target(at_least=0.95),
        "identity_top1_face": Target(at_least=0.85),
        **{name: Target(at_least=0.9) for name in ("skin", "hair", "glasses", "beard")},
        "identity_off_top1": chance_bound(1 / GROUP, count),
        **{f"identity_off_{name}": null for name in ("skin", "hair", "glasses", "beard")},
        "scene": Target(at_least=0.97),
        "action": Target(at_least=0.9),
        "prompt_off_scene": chance_bound(1 / 8, count),
        "prompt_off_action": chance_bound(1 / 5, count),
        "pitch": Target(at_least=0.95),
        "voice_off_pitch": null,
        "timbre_top1": Target(at_least=0.5),
        "voice_off_timbre_top1": chance_bound(1 / GROUP, count),
        "words": Target(at_least=0.9),
        "words_null": chance_bound(1 / 64, count),
        "lips": Target(at_least=0.6),
        "lips_peak_lag_frames": Target(at_most=1.0),
        "lips_over_other_sound": Target(at_least=0.25),
        "fusion_off_lips": Target(at_most=0.3),
        "codec_db": Target(at_least=30.0),
        "seams_over_drawn": Target(at_most=1.15),
        "grain_over_drawn": Target(at_most=1.5),
    }


@dataclass(frozen=True, slots=True)
class Instruments:
    """The judges of pictures and sound."""

    picture: PictureJudge
    sound: SoundJudge


def score(judges: Instruments, clips: Clips, subjects: Subjects, seed: int) -> dict[str, float]:
    """All measures of one set of clips."""
    readings = read_clips(judges.picture, clips.video)
    return {
        **identity_scores(judges.picture, clip_factors(readings, len(clips.video)), subjects, seed),
        **prompt_scores(judges.picture, readings, subjects),
        **sound_scores(judges.sound, clips, subjects),
        **lip_scores(judges.sound, readings, clips),
    }


def mean_scores(rows: list[dict[str, float]]) -> dict[str, float]:
    """Mean of each measure over several sets of clips."""
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


def measure(
    bundle: NanoBundle, seed: int, identities: int, seeds: int, defaults: NanoDefaults
) -> dict[str, float]:
    """Sample and measure everything.

    Args:
        seed: of the subjects.   identities: people, a multiple of 16.   seeds: clips of each with everything on.
    Returns: the measures by the names of `targets`, and those that have no target.
    """
    judges = Instruments(load_picture_judge(), load_sound_judge())
    subjects = draw_subjects(identities, seed)

    def run(noise: int, switch: Switch) -> dict[str, float]:
        clips = sample_subjects(bundle, subjects, noise, switch, defaults)
        looks = {"seam_ratio": seam_ratio(clips.video, bundle.vae.config.patch), "grain": grain(clips.video)}
        return {**score(judges, clips, subjects, seed), **looks}

    on = mean_scores([run(1000 * seed + k, "on") for k in range(seeds)])
    identity_off, prompt_off = run(1000 * seed, "identity off"), run(1000 * seed, "prompt off")
    voice_off, fusion_off = run(1000 * seed, "voice off"), run(1000 * seed, "fusion off")
    alike = draw_subjects(identities, seed + 500, one_pitch_a_group=True)
    timbre = timbre_top_one(judges.sound, sample_subjects(bundle, alike, 1000 * seed, "on", defaults), alike)
    timbre_off = timbre_top_one(
        judges.sound, sample_subjects(bundle, alike, 1000 * seed, "voice off", defaults), alike
    )
    with torch.inference_mode():
        generator = torch.Generator().manual_seed(8_000_009 * (seed + 1))
        anybody = random_clips(identities, generator).video
        codec = psnr(bundle.vae.decode(bundle.vae.encode(anybody)), anybody)
    # Hair and scenes differ in texture, so looks are compared with the same people drawn in the same scenes.
    drawn = [draw_subject_clips(subjects, generator) for _ in range(seeds)]
    seams = sum(seam_ratio(video, bundle.vae.config.patch) for video in drawn) / seeds
    grains = sum(grain(video) for video in drawn) / seeds
    off = {f"identity_off_{name}": identity_off[name] for name in ("skin", "hair", "glasses", "beard")}
    return {
        **on,
        **off,
        "identity_off_top1": identity_off["identity_top1"],
        "prompt_off_scene": prompt_off["scene"],
        "prompt_off_action": prompt_off["action"],
        "voice_off_pitch": voice_off["pitch"],
        "timbre_top1": timbre,
        "voice_off_timbre_top1": timbre_off,
        "lips_peak_lag_frames": abs(on["lips_peak_lag"]),
        "lips_over_other_sound": on["lips"] - on["lips_other_sound"],
        "fusion_off_lips": fusion_off["lips"],
        "codec_db": codec,
        "seams_over_drawn": on["seam_ratio"] / seams,
        "grain_over_drawn": on["grain"] / grains,
    }


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="draws the people, voices and prompts")
    parser.add_argument("--identities", type=int, default=64, help="people; a multiple of 16")
    parser.add_argument("--seeds", type=int, default=3, help="clips of each person with everything on")
    parser.add_argument(
        "--weights", type=Path, default=None, help="folder of weights; default the shipped ones"
    )
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    if arguments.identities < GROUP or arguments.identities % GROUP or arguments.seeds < 1:
        parser.error(f"--identities: expected a multiple of {GROUP}, and --seeds at least 1")
    started = time.monotonic()
    # Fused attention of the CPU is slow on sequences as short as nano's.
    with sdpa_kernel([SDPBackend.MATH]):
        values = measure(
            load_bundle(arguments.weights),
            arguments.seed,
            arguments.identities,
            arguments.seeds,
            NanoDefaults(),
        )
    wanted = targets(arguments.identities)
    report = {
        name: {"value": round(values[name], 4), "target": target.value, "met": target.is_met(values[name])}
        for name, target in wanted.items()
    }
    for name, row in report.items():
        bound = ">=" if wanted[name].at_least is not None else "<="
        print(
            f"{name:28s} {row['value']:8.3f}  {bound} {row['target']:<6g} {'met' if row['met'] else 'MISSED'}"
        )
    others = {name: round(value, 4) for name, value in values.items() if name not in wanted}
    print("besides:", json.dumps(others))
    met = sum(row["met"] for row in report.values())
    print(f"{met} of {len(report)} targets met in {time.monotonic() - started:.0f} s")
    if arguments.json is not None:
        content = {
            "targets": report,
            "other": others,
            "seed": arguments.seed,
            "identities": arguments.identities,
            "seeds": arguments.seeds,
        }
        arguments.json.write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
