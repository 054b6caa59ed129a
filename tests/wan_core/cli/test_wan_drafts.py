"""`generate --model ... --best-of`: the best seed's clip, its drafts in the report, and nothing lost on the way."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from lynx_release import LynxRelease, write_lynx
from wan_release import write_release

from wan_core.cli.console import Console
from wan_core.cli.parser import build_parser
from wan_core.cli.wan_drafts import sample_best
from wan_core.cli.wan_options import read_files
from wan_core.cli.wan_references import read_characters
from wan_core.cli.wan_report import open_wan_judge
from wan_core.errors import InputError, OutputError
from wan_core.media import read_video
from wan_core.pipelines.generate import Progress
from wan_core.pipelines.wan_best_of import best_of_wan
from wan_core.pipelines.wan_generate import sample_wan
from wan_core.pipelines.wan_latents import read_latents
from wan_core.pipelines.wan_plan import plan_wan
from wan_core.pipelines.wan_request import WanRequest
from wan_core.provenance import from_metadata

from .conftest import Run


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("release") / "wan", "t2v")


@pytest.fixture(scope="module")
def lynx(tmp_path_factory: pytest.TempPathFactory) -> LynxRelease:
    return write_lynx(tmp_path_factory.mktemp("lynx"))


@pytest.fixture
def phantom(release: Path, lynx: LynxRelease, files: Path) -> list[object]:
    """Arguments of a clip by Phantom, and of who judges it."""
    return [
        "generate", "--model", release, "--method", "phantom", "--prompt", "character1 waves",
        "--reference", f"character1={files / 'me.jpg'}", "--consent", "own", "--size", "64*64", "--frames", 1,
        "--steps", 2, "--seed", 5, "--device", "cpu", "--recogniser", lynx.recogniser,
        "--detector", "scrfd", "--detector-model", lynx.detector, "--out", "me.mp4",
    ]  # fmt: skip


def test_the_best_seed_is_made_and_the_report_lists_all(
    run: Run, phantom: list[object], tmp_path: Path
) -> None:
    code, out, err = run(*phantom, "--best-of", 2, "--draft-steps", 1, "--report", "--json")
    assert code == 0, err
    assert "drafts: 4 of 4" in err and "best of 2: seed " in err
    content, written = json.loads(out), json.loads((tmp_path / "me.best_of.json").read_text())
    report = json.loads((tmp_path / "me.report.json").read_text())
    assert content["best_of"] == report["best_of"] == content["report"]["best_of"] == written
    scores = {draft["seed"]: draft["score"] for draft in written["drafts"]}
    assert set(scores) == {5, 6} and written["draft_steps"] == 1 and "ArcFace" in written["compared_by"]
    assert content["seed"] == written["seed"] == max(scores, key=lambda seed: scores[seed])
    tag = from_metadata(read_video(tmp_path / "me.mp4").metadata)
    assert tag is not None and tag.seed == written["seed"]
    assert not list(tmp_path.glob("*.latents.safetensors"))


@pytest.mark.parametrize("kind", [InputError, KeyboardInterrupt, RuntimeError])
def test_drafts_are_kept_when_the_clip_fails(
    kind: type[BaseException], phantom: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [str(own) for own in (*phantom, "--best-of", 2, "--draft-steps", 1)]
    options, errors = build_parser().parse_args(arguments), io.StringIO()
    characters, _ = read_characters(options)
    request = WanRequest(
        prompt=options.prompt, characters=characters, size=(64, 64), frames=1, steps=2, seed=options.seed
    )
    plan, output = plan_wan(request, read_files(options)), tmp_path / "me.mp4"
    judge = open_wan_judge(options, plan, output)

    def fail(progress: Progress) -> None:
        if progress.stage == "sample":
            raise kind("the power went")

    expected = kind if kind is not RuntimeError else OutputError
    with pytest.raises(expected) as raised:
        sample_best(
            options,
            (plan, plan),
            judge,
            output,
            Console(io.StringIO(), errors),
            sample=lambda own: sample_wan(own, fail),
            best_of=best_of_wan,
        )
    said = errors.getvalue() if kind is KeyboardInterrupt else str(raised.value)
    written = json.loads((tmp_path / "me.best_of.json").read_text())
    assert [draft["seed"] for draft in written["drafts"]] == [5, 6] and "ArcFace" in written["compared_by"]
    assert f"2 drafts were scored, the best has --seed {written['seed']}" in said
    first = tmp_path / "me.draft-5.latents.safetensors"
    assert f"{first} and 1 more: decode one with `wan-r2v decode {first} --vae" in said
    _, info = read_latents(first)
    assert (info.family, info.seed) == ("Phantom-Wan-1.3B", 5)


def test_refusals(run: Run, phantom: list[object], release: Path, tmp_path: Path) -> None:
    def refused(result: tuple[int, str, str], text: str) -> None:
        assert result[0] == 2 and text in result[2], result[2]

    refused(run(*phantom, "--draft-steps", 1), "--draft-steps: expected --best-of with it")
    refused(run(*phantom, "--best-of", 1), "expected 2 to 64 drafts, got 1")
    refused(run(*phantom), "recogniser or detector: expected the files of Lynx with it, got none")
    plain = ("generate", "--model", release, "--prompt", "a beach", "--best-of", 2, "--device", "cpu")
    refused(
        run(*plain), "--best-of: expected a photo of a person to compare with, got none for Wan2.1-T2V-1.3B"
    )
    (tmp_path / "me.best_of.json").write_text("earlier")
    refused(run(*phantom, "--best-of", 2), "got an existing one")
    assert [entry.name for entry in tmp_path.iterdir()] == ["me.best_of.json"]
