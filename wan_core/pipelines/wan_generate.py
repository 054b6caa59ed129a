"""Text- and image-to-video with the published Wan models: prompt and pictures, sampling, frames."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from ..checkpoints.clip_image import load_clip_image
from ..checkpoints.load import load_text_encoder
from ..errors import CheckpointMismatchError
from ..identity.lynx_prepare import REFERENCE_PROMPT
from ..sampling.experts import ExpertRule
from ..sampling.guard import NumberGuard
from ..sampling.loop import StepInfo, step_through
from ..sampling.noise import draw_noise, make_generator
from ..sampling.sigmas import AVSigmas
from ..text.umt5_encoder import UMT5TextEncoder
from ..types import AVLatents
from ..vae.tiling import Tiling
from .generate import Progress, ProgressCallback
from .wan_codec import load_codec
from .wan_conditions import WanConditioning
from .wan_family import WanFamily
from .wan_files import WanFiles
from .wan_guidance import has_guidance, recipe_chain, wan_condition
from .wan_pictures import cover, frame_clip, frame_mask, stretch, to_video
from .wan_plan import WanOptions, WanPlan, plan_wan
from .wan_references import add_references, reads_picture
from .wan_request import WanRequest, guidance_rule, guidance_window
from .wan_transformer import WanTransformers

#: The text encoder works in it, as in the official code; CLIP on a GPU in float16.
TEXT_DTYPE = torch.bfloat16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WanResult:
    """A finished clip: video (1, 3, F, H, W) float32 in [-1, 1] on the CPU, frames a second, sentences for the user."""

    video: Tensor
    fps: int
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WanEncoded:
    """What the transformer is given beside the noise, and sentences for the user: some come while it is loaded."""

    conditioning: WanConditioning
    notes: list[str]


def generate_wan(
    request: WanRequest,
    files: WanFiles,
    options: WanOptions | None = None,
    progress: ProgressCallback | None = None,
) -> WanResult:
    """Make a clip with a published Wan model and keep it in memory: `plan_wan`, `sample_wan`, `decode_latents`.

    Args:
        request: what to make.   files: the model's parts.   options: how.   progress: called on the way; an exception
            that it raises ends the work and rises.
    Raises: as these three.
    """
    plan = plan_wan(request, files, options)
    latents, notes = sample_wan(plan, progress)
    chunks = decode_latents(
        latents,
        plan.model.vae,
        plan.model.family,
        device=plan.options.device,
        tiling=plan.memory.tiling,
        progress=progress,
    )
    frames = [chunk.cpu() for chunk in chunks]
    return WanResult(video=torch.cat(frames, dim=2), fps=plan.model.family.fps, notes=notes)


def sample_wan(plan: WanPlan, progress: ProgressCallback | None = None) -> tuple[Tensor, tuple[str, ...]]:
    """Encode, then sample.

    Each part is loaded when it is needed and freed before the next.

    Returns: clean latents (1, C, F, H, W) float32 on the CPU, as the codec wants them, and notes for the user.
    Raises: CheckpointError: a part can not be loaded.   WanCoreError: values that are not finite.
    """
    encoded = encode_wan(plan, progress)
    (latents,) = sample_seeds(plan, encoded, [plan.request.seed], progress)
    return latents, tuple(encoded.notes)


def encode_wan(plan: WanPlan, progress: ProgressCallback | None = None) -> WanEncoded:
    """Encode everything that does not depend on the noise.

    Raises: CheckpointError: a part can not be loaded.   InputError: no usable face in a photo.
    """
    report = progress or _ignore
    report(Progress(stage="encode", done=0, total=1))
    contexts, read = encode_prompts(plan)
    notes = list(read)
    conditioning = add_references(plan, encode_pictures(plan, contexts), notes)
    _release(plan.options.device)
    report(Progress(stage="encode", done=1, total=1))
    return WanEncoded(conditioning=conditioning, notes=notes)


def sample_seeds(
    plan: WanPlan, encoded: WanEncoded, seeds: Sequence[int], progress: ProgressCallback | None = None
) -> Iterator[Tensor]:
    """Sample one clip after another with transformers that are loaded once.

    Where there are two experts, all clips walk with the first one before the second is loaded.

    Args: encoded: of `encode_wan` for this plan.   seeds: of the noise; the one of the request is not looked at.
    Yields: clean latents (1, C, F, H, W) float32 on the CPU, as the codec wants them.
    Raises: CheckpointError: a part can not be loaded.   WanCoreError: values that are not finite.
    """
    options = plan.options
    transformers = WanTransformers(
        plan.model.transformers,
        plan.settings.family.boundary,
        encoded.conditioning,
        device=options.device,
        dtype=options.work_dtype,
        resident=plan.memory.resident,
        safe=options.safe,
    )
    yield from _walk(plan, transformers, encoded.conditioning.first_frame, seeds, progress or _ignore)
    transformers.free("low")


def _walk(
    plan: WanPlan,
    transformers: WanTransformers,
    first_frame: Tensor | None,
    seeds: Sequence[int],
    report: ProgressCallback,
) -> Iterator[Tensor]:
    """The runs of `sample_seeds`; it lets go of the transformers when it ends."""
    schedule = plan.settings.schedule()
    is_guided = has_guidance(plan.recipe, schedule.shown)
    chain = recipe_chain(
        plan.recipe,
        schedule.shown,
        wan_condition,
        window=guidance_window(plan.request) if is_guided else None,
        rule=guidance_rule(plan.request) if is_guided else None,
    )

    def on_step(info: StepInfo) -> None:
        done = Progress(stage="sample", done=info.index + 1, total=info.total, denoised=info.denoised)
        report(done)

    denoiser = transformers.denoiser()
    runs = [
        step_through(
            denoiser,
            AVLatents(draw_noise(plan.latent_shape, make_generator(seed)).to(plan.options.device)),
            AVSigmas(schedule.sigmas),
            chain,
            solver=schedule.solver,
            model_timesteps=AVSigmas(schedule.timesteps),
            first_frame=first_frame,
            callback=on_step,
            guard=NumberGuard(model=transformers.network, safe=plan.options.safe),
        )
        for seed in seeds
    ]
    boundary, early = plan.settings.family.boundary, 0
    if boundary is not None:
        rule = ExpertRule(boundary=boundary)
        early = sum(rule.expert_at(timestep) == "high" for timestep in schedule.shown)
    reached = [next(run) for run in runs]
    for number, run in enumerate(runs):
        for latents in islice(run, early):
            reached[number] = latents
    for number, run in enumerate(runs):
        for latents in run:
            reached[number] = latents
        yield reached[number].video.float().cpu()


@torch.no_grad()
def encode_prompts(plan: WanPlan) -> tuple[tuple[Tensor, ...], tuple[str, ...]]:
    """Embed prompt and negative prompt, and free the text encoder.

    Returns: contexts (1, 512, text_dim) of both, then of what Lynx's reference pass is told, on the CPU, and notes for
        the user.
    Raises: CheckpointError: the encoder can not be loaded.
    """
    prompts = [plan.settings.prompt, plan.settings.negative_prompt]
    if reads_picture(plan):
        prompts.append(REFERENCE_PROMPT)
    encoder = load_text_encoder(
        plan.model.text_encoder,
        plan.memory.text_device,
        TEXT_DTYPE,
        tokenizer=plan.model.tokenizer,
    )
    if not isinstance(encoder, UMT5TextEncoder):
        raise CheckpointMismatchError(
            f"text encoder: expected umT5-xxl, got {type(encoder).__name__} in {plan.model.text_encoder}. "
            "Name the umT5 file of Wan."
        )
    with encoder:
        notes = encoder.notes(prompts[:2])
        contexts = encoder.encode(prompts).float().cpu()
    del encoder
    _release(plan.options.device)
    return tuple(contexts.split(1)), notes


@torch.no_grad()
def encode_pictures(plan: WanPlan, contexts: tuple[Tensor, ...]) -> WanConditioning:
    """Turn the first and last frame into what the family is given for them.

    Args: contexts: see `encode_prompts`; passed on.
    Raises: CheckpointError: VAE or CLIP can not be loaded, or the VAE is another family's.
    """
    family, request, device = plan.model.family, plan.request, plan.options.device
    if request.first_frame is None:
        return WanConditioning(contexts=contexts)
    image_embeds = _clip_tokens(plan)
    first = request.first_frame
    vae = load_codec(plan.model.vae, family, device)
    if family.conditioning == "first_frame":
        pixels = cover(first, plan.size)[None, :, None]
        frame = vae.encode(pixels, tiling=plan.memory.tiling).float()
        return WanConditioning(contexts=contexts, first_frame=frame)
    start = stretch(to_video(first), plan.size)
    end = None
    if request.last_frame is not None:
        height, width = first.shape[:2]
        # The official code means to cut the last frame to the shape of the first; sizes that differ are covered here.
        same = request.last_frame.shape == first.shape
        pixels = to_video(request.last_frame) if same else cover(request.last_frame, (width, height))
        end = stretch(pixels, plan.size)
    clip = frame_clip(start, end, plan.settings.frames)
    known = vae.encode(clip, tiling=plan.memory.tiling).float()
    cells = (known.shape[3], known.shape[4])
    mask = frame_mask(plan.settings.frames, cells, has_last=end is not None)
    channels = torch.cat([mask.to(known), known], dim=1)
    del vae
    _release(device)
    return WanConditioning(contexts=contexts, image_embeds=image_embeds, channels=channels)


@torch.no_grad()
def decode_latents(
    latents: Tensor,
    vae_path: Path,
    family: WanFamily,
    *,
    device: str = "cpu",
    tiling: Tiling | None = None,
    progress: ProgressCallback | None = None,
) -> Iterator[Tensor]:
    """Decode latents to frames, a few at a time; memory does not grow with the length.

    Args:
        latents: (1, C, F, H, W), from `sample_wan`.   vae_path, family: the codec and whose latents they are.
        device, tiling: see `WanPlan.memory`.   progress: told about every latent frame.
    Yields: (1, 3, f, height, width) float32 in [-1, 1], on the device.
    Raises: CheckpointError: the VAE can not be loaded, or is another family's.
    """
    report = progress or _ignore
    vae = load_codec(vae_path, family, device)
    total = latents.shape[2]
    report(Progress(stage="decode", done=0, total=total))
    for done, chunk in enumerate(vae.decode_stream(latents, tiling=tiling), start=1):
        yield chunk.float()
        report(Progress(stage="decode", done=done, total=total))


@torch.no_grad()
def _clip_tokens(plan: WanPlan) -> Tensor | None:
    """CLIP tokens of the pictures, on the CPU, for a family that attends to them."""
    request, device = plan.request, plan.options.device
    if plan.model.clip_vision is None or request.first_frame is None:
        return None
    dtype = torch.float32 if torch.device(device).type == "cpu" else torch.float16
    encoder = load_clip_image(plan.model.clip_vision, device, dtype)
    pictures = [to_video(p) for p in (request.first_frame, request.last_frame) if p is not None]
    tokens = encoder.encode(pictures).float().cpu()
    del encoder
    _release(device)
    return tokens


def _release(device: str) -> None:
    """Give memory that nobody holds any more back."""
    gc.collect()
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()


def _ignore(progress: Progress) -> None:
    """Progress that nobody watches."""
