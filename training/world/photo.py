"""Reference photographs of drawn people: the same person elsewhere, framed the way real photographs are cropped.

The augmentation widens what an encoder sees so that a real photograph is not foreign to it: other framing, blur, noise,
colour casts, uneven light on the skin and busy backgrounds.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor

from wan_core.text.vocabulary import SCENES

from .identity import IdentityBatch
from .motion import POSE_NAMES, Motion, rest_pose
from .person import PERSON_PARAMETERS, lay_out_person
from .picture import Painter, paint, stack_planes
from .scenes import SCENE_PARAMETERS, lay_out_scene, sample_lights, sample_styles

PHOTO_ZOOM = 1.10
"""Magnification that makes the face box 1/2.3 of the side, as the crops of wan_core/identity/face.py are."""

HEAD_RISE = 5.0 / 64.0
"""How far a head at rest sits above the middle of a frame, in frame heights."""


def sample_photo_pose(count: int, generator: torch.Generator, *, spread: float = 0.0) -> Motion:
    """Draw poses for photographs: head centred, mouth closed or slightly open, hand down.

    Args:
        count: N.
        generator: the only source of randomness.
        spread: 0 centres the head as a good crop does; 1 adds the +-25 % of scale and the shifts of poor crops.

    Returns: a pose with fields (N,).
    """
    device = generator.device

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator, device=device)

    rest = rest_pose(count, device)
    zoom = PHOTO_ZOOM * torch.exp(between(-1.0, 1.0) * (0.03 + spread * math.log(1.25)))
    yaw, roll = between(-0.7, 0.7), between(-0.14, 0.14)
    values = {name: getattr(rest, name) for name in POSE_NAMES}
    values.update(
        yaw=yaw,
        pitch=between(-0.5, 0.5),
        roll=roll,
        sway=between(-0.3, 0.3),
        mouth=between(-0.25, 0.35).clamp(min=0.0),
        smile=between(-0.2, 1.0),
        zoom=zoom,
        pan_x=between(-1.0, 1.0) * (0.015 + 0.06 * spread),
        pan_y=HEAD_RISE * zoom + between(-1.0, 1.0) * (0.015 + 0.06 * spread),
    )
    return Motion(**values)


def _noise_field(count: int, cells: int, size: int, channels: int, generator: torch.Generator) -> Tensor:
    """Draw smooth noise, (N, channels, size, size), about unit variance, with `cells` features per side."""
    coarse = torch.randn(count, channels, cells, cells, generator=generator, device=generator.device)
    return functional.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False)


def _textured(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Draw plain to busy backgrounds, (N, 3, size, size) in [0, 1]."""
    device = generator.device
    grey = torch.rand(count, 1, 1, 1, generator=generator, device=device)
    base = (grey + 0.22 * torch.randn(count, 3, 1, 1, generator=generator, device=device)).clamp(0.0, 1.0)
    picture = base.expand(count, 3, size, size)
    for cells, gain in ((2, 0.22), (5, 0.16), (12, 0.12), (size // 2, 0.05)):
        strength = gain * torch.rand(count, 1, 1, 1, generator=generator, device=device)
        grey = _noise_field(count, cells, size, 1, generator)
        picture = picture + strength * (0.8 * grey + 0.5 * _noise_field(count, cells, size, 3, generator))
    return picture.clamp(0.0, 1.0)


def _plain(scene: Tensor, generator: torch.Generator) -> Tensor:
    """Turn a scene table into studio backdrops: one gradient, nothing else."""
    count = scene.shape[0]
    rows = torch.zeros_like(scene)
    column = {name: index for index, name in enumerate(SCENE_PARAMETERS)}
    grey = torch.rand(count, 1, generator=generator, device=generator.device)
    colour = (grey + 0.25 * torch.randn(count, 3, generator=generator, device=generator.device)).clamp(
        0.0, 1.0
    )
    for channel, letter in enumerate("rgb"):
        rows[:, column[f"sky_top_{letter}"]] = colour[:, channel]
        rows[:, column[f"sky_low_{letter}"]] = 0.75 * colour[:, channel] + 0.1
    for name in ("horizon", "far_horizon", "dot_pitch"):
        rows[:, column[name]] = 90.0
    return rows


def blur(pictures: Tensor, amount: Tensor) -> Tensor:
    """Blur each picture by its own Gaussian.

    Args:
        pictures: (N, C, H, W).
        amount: (N,) standard deviation in pixels, 0 leaves a picture as it is, at most 3.

    Returns: (N, C, H, W).
    """
    count, channels, height, width = pictures.shape
    offsets = torch.arange(-4, 5, device=pictures.device, dtype=pictures.dtype)
    kernel = torch.exp(-0.5 * (offsets / amount.clamp(min=0.05)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    flat = functional.pad(
        pictures.reshape(1, count * channels, height, width), (4, 4, 4, 4), mode="replicate"
    )
    flat = functional.conv2d(flat, kernel[:, None, None, :], groups=count * channels)
    flat = functional.conv2d(flat, kernel[:, None, :, None], groups=count * channels)
    return flat.reshape(count, channels, height, width)


def degrade(pictures: Tensor, generator: torch.Generator, *, strength: float = 1.0) -> Tensor:
    """Age pictures as cameras and codecs do: uneven light, contrast, colour cast, softness, blocks, noise.

    Args:
        pictures: (N, 3, H, W) in [-1, 1].
        generator: the only source of randomness.
        strength: 0 leaves them as they are, 1 is a poor photograph.

    Returns: (N, 3, H, W) in [-1, 1].
    """
    count, _, size, _ = pictures.shape
    device = generator.device

    def uniform(channels: int) -> Tensor:
        return torch.rand(count, channels, 1, 1, generator=generator, device=device) * 2.0 - 1.0

    values = pictures * 0.5 + 0.5
    values = values * (1.0 + 0.16 * strength * uniform(1).abs() * _noise_field(count, 3, size, 1, generator))
    gamma = torch.exp(0.28 * strength * uniform(1))
    values = values.clamp(1e-4, 1.0) ** gamma
    values = (values - 0.5) * (1.0 + 0.18 * strength * uniform(1)) + 0.5
    values = (values + 0.06 * strength * uniform(1)) * (1.0 + 0.06 * strength * uniform(3))
    values = blur(values, strength * 1.1 * uniform(1).clamp(min=0.0).reshape(count))
    # what a block codec drops: detail around the mean of each 2 x 2 or 4 x 4 patch
    for patch in (2, 4):
        share = (0.5 * strength * (uniform(1) - 0.4).clamp(min=0.0)) / (patch / 2)
        mean = functional.interpolate(functional.avg_pool2d(values, patch), size=(size, size), mode="nearest")
        values = values + share * (mean - values)
    grain = torch.randn(values.shape, generator=generator, device=device)
    values = values + 0.035 * strength * uniform(1).abs() * grain
    return (values * 2.0 - 1.0).clamp(-1.0, 1.0)


def render_photo(
    identity: IdentityBatch,
    generator: torch.Generator,
    *,
    size: int = 64,
    augment: bool = True,
    painter: Painter = paint,
) -> Tensor:
    """Draw one reference photograph per identity: another pose, place and light than any clip of the person.

    Args:
        identity: N identities.
        generator: the only source of randomness.
        size: pixels per side, even.
        augment: True adds what makes photographs differ from drawings (see `degrade`); False is a clean drawing.
        painter: `paint`, or what compile_painter returned.

    Returns: (N, 3, size, size), RGB in [-1, 1], the head in the middle.
    """
    count, device = len(identity), generator.device
    pose = sample_photo_pose(count, generator, spread=1.0 if augment else 0.0)
    light = sample_lights(count, generator)
    scene = lay_out_scene(
        torch.randint(len(SCENES), (count,), generator=generator, device=device),
        sample_styles(count, generator),
    )
    plain = torch.rand(count, 1, generator=generator, device=device) < 0.3
    scene = torch.where(plain, _plain(scene, generator), scene)
    person = lay_out_person(identity, pose, light)
    if not augment:
        planes, _ = painter(person, scene, size)
        return stack_planes(planes)

    # stronger side light, and hair as cameras see it: darker in the shade
    person = person.clone()
    person[:, PERSON_PARAMETERS.index("light_x")] *= 1.8
    fade = 1.0 - 0.25 * torch.rand(count, generator=generator, device=device) ** 2
    for letter in "rgb":
        person[:, PERSON_PARAMETERS.index(f"hair_{letter}")] *= fade
    planes, coverage = painter(person, scene, size)
    pictures = stack_planes(planes)
    busy = torch.rand(count, 1, 1, 1, generator=generator, device=device) < 0.45
    textured = _textured(count, size, generator) * 2.0 - 1.0
    pictures = torch.where(busy, textured + coverage[:, None] * (pictures - textured), pictures)
    return degrade(pictures, generator)
