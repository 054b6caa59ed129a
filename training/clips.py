"""Drawing whole training clips: a person, a scene, an action and speech on the lips."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wan_core.text.vocabulary import ACTIONS, SCENES

from .nano_config import FPS, FRAMES, SIZE
from .world.identity import IdentityBatch, sample_identities
from .world.motion import sample_motion
from .world.picture import Painter, paint, render_clip
from .world.scenes import sample_lights, sample_styles


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipBatch:
    """N drawn clips.

    Attributes:
        video: (N, 3, F, H, W) in [-1, 1].   identity: who.   scene, action: (N,) indices into SCENES and ACTIONS.
    """

    video: Tensor
    identity: IdentityBatch
    scene: Tensor
    action: Tensor


def random_mouth(count: int, frames: int, generator: torch.Generator) -> Tensor:
    """Mouth openings that look like speech, (count, frames) in [0, 1], where no speech is at hand."""
    noise = torch.rand(count, frames, generator=generator)
    spoken = torch.rand(count, 1, generator=generator) * frames
    place = torch.arange(frames)[None]
    return torch.where((place > 1) & (place < 1 + spoken), noise, 0.0)


def draw_clips(
    mouth: Tensor,
    generator: torch.Generator,
    *,
    identity: IdentityBatch | None = None,
    scene: Tensor | None = None,
    action: Tensor | None = None,
    size: int = SIZE,
    painter: Painter = paint,
) -> ClipBatch:
    """Draw one clip for each row of mouth openings; what is not given is drawn at random.

    Args:
        mouth: (N, F) in [0, 1].   generator: the only source of randomness.   size: pixels per side.
    """
    count = mouth.shape[0]
    identity = sample_identities(count, generator) if identity is None else identity
    scene = torch.randint(len(SCENES), (count,), generator=generator) if scene is None else scene
    action = torch.randint(len(ACTIONS), (count,), generator=generator) if action is None else action
    motion = sample_motion(action, mouth, generator, fps=FPS)
    style, light = sample_styles(count, generator), sample_lights(count, generator)
    video = render_clip(identity, motion, scene, style, light, size=size, painter=painter)
    return ClipBatch(video=video, identity=identity, scene=scene, action=action)


def random_clips(count: int, generator: torch.Generator, painter: Painter = paint) -> ClipBatch:
    """Draw clips of anybody, anywhere, with made-up mouth movement."""
    return draw_clips(random_mouth(count, FRAMES, generator), generator, painter=painter)
