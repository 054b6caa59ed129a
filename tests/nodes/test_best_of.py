"""Drafts of several seeds in a real ComfyUI: each is scored as its own report would, and the best goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from comfy_server import ComfyServer, failure_of
from prompts import Prompt, character, core_sampler, model_and_text, node, sampler, save
from workflow_api import to_api

from wan_core.media import read_video
from wan_core.pipelines.best_of import NANO_DRAFT_STEPS
from wan_core.pipelines.defaults import NanoDefaults

pytestmark = pytest.mark.comfy

FIRST, COUNT = 40, 3


def drafts() -> Prompt:
    """Three drafts by the pack's sampler, and what is kept of them."""
    return {
        **model_and_text(),
        **character(),
        **sampler(seed=["seeds", 0], with_character=True),
        "seeds": node("WanR2V_Seeds", seed=FIRST, count=COUNT),
        "best": node(
            "WanR2V_BestOf",
            latents=["samples", 0],
            seeds=["seeds", 0],
            vae=["model", 2],
            encoders=["model", 4],
            reference=["photo", 0],
            faces="drawn",
            face="whole",
        ),
        "table": node("PreviewAny", source=["best", 3]),
        "score": node("PreviewAny", source=["best", 2]),
        "seed": node("PreviewAny", source=["best", 0]),
    }


def report_of(comfy: ComfyServer, seed: int) -> float:
    """Score of a clip of one seed by Likeness Report."""
    prompt = {**model_and_text(), **character(), **sampler(seed=seed, with_character=True)}
    prompt |= {
        "images": node("VAEDecode", samples=["samples", 0], vae=["model", 2]),
        "report": node(
            "WanR2V_LikenessReport",
            encoders=["model", 4],
            name="character1",
            faces="drawn",
            face="whole",
            fps=8.0,
            images=["images", 0],
            reference=["photo", 0],
        ),
        "score": node("PreviewAny", source=["report", 2]),
    }
    return float(comfy.run(prompt)["outputs"]["score"]["text"][0])


def test_every_draft_has_the_score_of_its_report(comfy: ComfyServer) -> None:
    shown = comfy.run(drafts())["outputs"]
    table = json.loads(shown["table"]["text"][0])
    scores = {draft["seed"]: draft["score"] for draft in table["drafts"]}
    assert list(scores) == [FIRST, FIRST + 1, FIRST + 2] and table["draft_steps"] is None
    assert scores == pytest.approx({seed: report_of(comfy, seed) for seed in scores}, abs=1e-4)
    best = max(scores, key=lambda seed: scores[seed])
    assert table["seed"] == best == int(shown["seed"]["text"][0])
    assert float(shown["score"]["text"][0]) == pytest.approx(scores[best])
    assert "likeness" in table["score"] and "nano" in table["compared_by"]


def test_the_best_seed_goes_on_to_core_samplers(comfy: ComfyServer) -> None:
    """Drafts of core's sampler, whose noise takes the list; the best latents are decoded."""
    guider = node(
        "CFGGuider", model=["applied", 0], positive=["applied", 1], negative=["nothing", 0], cfg=2.0
    )
    prompt = {**drafts(), **core_sampler(guider)}
    prompt["noise"] = node("RandomNoise", noise_seed=["seeds", 0])
    kept = save("best")
    kept["clip"]["inputs"]["latent"] = ["best", 1]
    outputs = comfy.run({**prompt, **kept})["outputs"]
    assert len(outputs["frames"]["images"]) == 17, "one clip, not one a seed"


def test_one_draft_is_none_to_choose_from(comfy: ComfyServer) -> None:
    prompt = drafts()
    prompt["samples"]["inputs"]["seed"] = 3
    prompt_id = comfy.queue(prompt)
    message = failure_of(comfy.wait(prompt_id, 120))
    assert "expected a latent for each of two seeds or more, got 1 latents and 3 seeds" in message


def test_workflow_samples_the_best_seed_in_full(comfy: ComfyServer, root: Path) -> None:
    """With the shipped weights and as saved, but few steps."""
    for source, target in {"portrait.png": "wan_r2v_portrait.png", "voice.wav": "wan_r2v_voice.wav"}.items():
        shutil.copy(root / "wan_core" / "assets" / "examples" / source, comfy.base / "input" / target)
    workflow = json.loads((root / "workflows" / "nano_best_of.json").read_text(encoding="utf-8"))
    prompt = to_api(workflow, comfy.get("/object_info"))
    found = [own["inputs"] for own in prompt.values() if own["class_type"] == "WanR2V_Sampler"]
    defaults = NanoDefaults()
    lead = round(defaults.audio_lead * NANO_DRAFT_STEPS / defaults.steps)
    settings = sorted((own["steps"], own["audio_lead"]) for own in found)
    assert settings == [(NANO_DRAFT_STEPS, lead), (defaults.steps, defaults.audio_lead)]
    for own in found:
        own |= {"steps": 1, "audio_lead": 0}
    outputs = comfy.run(prompt, 300)["outputs"]
    table = json.loads(
        next(own["text"][0] for own in outputs.values() if "text" in own and "drafts" in own["text"][0])
    )
    assert [draft["seed"] for draft in table["drafts"]] == [7, 8, 9, 10]
    (clip,) = (comfy.base / "output" / "wan_r2v").glob("nano_best_of*.mp4")
    assert read_video(clip).frames.shape == (17, 256, 256, 3)
