"""The published Wan families: what tells them apart, what they are given, and how they are sampled by default."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ..dit.config import JointConfig, WanConfig
from ..errors import CheckpointMismatchError

Conditioning = Literal["text", "concat", "concat_clip", "first_last", "first_frame", "speech"]
ReferenceMethod = Literal["lynx", "phantom", "bernini"]

_NEGATIVE = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，"
    "丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，"
    "杂乱的背景，三条腿，背景人很多，倒着走"
)
_SHAKING, _CUTTING = "镜头晃动，", "镜头切换，"
#: Latent channels of the Wan 2.1 VAE and of the Wan 2.2 VAE (which only TI2V-5B uses).
VAE_21, VAE_22 = 16, 48
_BOTH = ((1280, 720), (720, 1280), (832, 480), (480, 832))
#: Side in pixels of areas that count as 480p for the default shift of Wan2.1 image-to-video.
_SMALL_SIZES = ((832, 480), (480, 832))


@dataclass(frozen=True, slots=True, kw_only=True)
class WanFamily:
    """One published family.

    Attributes:
        name: as published.   conditioning: what it sees beside the noise: "text" alone; "concat" the first frame's
            latents and a mask on the channel axis; "concat_clip" CLIP tokens too; "first_last" the same of two frames;
            "first_frame" the clean latents of the first frame in place of noise, which may be left out; "speech" a
            recording, and references after the last frame.
        latent_channels: of its VAE.   stride: pixels a latent cell.
        boundary: sigma from which the high-noise expert works, None for a single model.
        steps, shift: of the sampler.   guidance: (low-noise, high-noise) scale of the prompt.
        fps, frames: rate and usual length.   size: usual width and height.   sizes: those it was published for.
        negative_prompt: used where none is given.
        method: how references reach it, None for a model without references.   base: name of the family whose layout
            its weights have, where that is another one.
        reference_guidance: (low-noise, high-noise) scale of the references.
    Source: Wan-Video/Wan2.1@9737cba generate.py, wan/configs; Wan-Video/Wan2.2@42bf4cf wan/configs.
    """

    name: str
    conditioning: Conditioning
    latent_channels: int = VAE_21
    stride: int = 8
    boundary: float | None = None
    steps: int = 50
    shift: float = 5.0
    guidance: tuple[float, float] = (5.0, 5.0)
    fps: int = 16
    frames: int = 81
    size: tuple[int, int] = (832, 480)
    sizes: tuple[tuple[int, int], ...] = _BOTH
    negative_prompt: str = _NEGATIVE
    method: ReferenceMethod | None = None
    base: str = ""
    reference_guidance: tuple[float, float] | None = None

    @property
    def layout(self) -> str:
        """Name of the family whose LoRA and presets fit its weights."""
        return self.base or self.name

    @property
    def grid(self) -> int:
        """Pixels that width and height must be multiples of."""
        return 2 * self.stride

    @property
    def needs_first_frame(self) -> bool:
        """Whether it can not work from text alone."""
        return self.conditioning in ("concat", "concat_clip", "first_last")

    @property
    def needs_clip(self) -> bool:
        """Whether it attends to CLIP tokens of the picture."""
        return self.conditioning in ("concat_clip", "first_last")

    @property
    def has_experts(self) -> bool:
        """Whether it consists of two transformers."""
        return self.boundary is not None

    def usual_shift(self, size: tuple[int, int]) -> float:
        """Official shift for a size: Wan2.1 image-to-video takes 3 at 480p."""
        return 3.0 if self.conditioning == "concat_clip" and size in _SMALL_SIZES else self.shift


T2V_SMALL = WanFamily(name="Wan2.1-T2V-1.3B", conditioning="text", sizes=_SMALL_SIZES)
T2V = WanFamily(name="Wan2.1-T2V-14B", conditioning="text")
I2V = WanFamily(
    name="Wan2.1-I2V-14B", conditioning="concat_clip", steps=40, negative_prompt=_SHAKING + _NEGATIVE
)
FLF2V = WanFamily(
    name="Wan2.1-FLF2V-14B",
    conditioning="first_last",
    shift=16.0,
    size=(1280, 720),
    negative_prompt=_CUTTING + _SHAKING + _NEGATIVE,
)
T2V_EXPERTS = WanFamily(
    name="Wan2.2-T2V-A14B", conditioning="text", boundary=0.875, steps=40, shift=12.0, guidance=(3.0, 4.0)
)
I2V_EXPERTS = WanFamily(
    name="Wan2.2-I2V-A14B", conditioning="concat", boundary=0.9, steps=40, guidance=(3.5, 3.5)
)
TI2V = WanFamily(
    name="Wan2.2-TI2V-5B",
    conditioning="first_frame",
    latent_channels=VAE_22,
    stride=16,
    fps=24,
    frames=121,
    size=(1280, 704),
    sizes=((1280, 704), (704, 1280)),
)
#: Source: Phantom-video/HuMo@17094e9 humo/configs, humo/generate.py SIZE_CONFIGS. 97 frames are what it was trained on.
HUMO = WanFamily(
    name="HuMo-17B",
    conditioning="speech",
    fps=25,
    frames=97,
    size=(1280, 720),
    sizes=(*_BOTH, (1024, 1024)),
)
HUMO_SMALL = replace(HUMO, name="HuMo-1.7B", size=(832, 480))
#: Families that are driven by speech; `humo_generate` runs them.
SPEECH_FAMILIES = (HUMO_SMALL, HUMO)
FAMILIES = (T2V_SMALL, T2V, I2V, FLF2V, T2V_EXPERTS, I2V_EXPERTS, TI2V)

#: Width from which a text-to-video model is the large one; only the name depends on it.
_LARGE_WIDTH = 2048


def find_family(config: WanConfig | JointConfig, *, has_experts: bool, where: str) -> WanFamily:
    """Family of a transformer.

    Args:
        config: from its file.   has_experts: whether a second, low-noise transformer was given beside it.
        where: file, named in errors.
    Raises: CheckpointMismatchError: a transformer that this pipeline can not run, or experts where there are none.
    """
    if isinstance(config, JointConfig) or config.ndim != 3:
        raise CheckpointMismatchError(
            f"model: expected a Wan video transformer, got one with sound in {where}. "
            "Name a file of Wan2.1 or Wan2.2, or leave the model out for nano."
        )
    family = _by_shape(config, has_experts)
    if family is None:
        raise CheckpointMismatchError(
            "model: expected the channels of a Wan2.1 or Wan2.2 text- or image-to-video model, got "
            f"{config.in_channels} in and {config.out_channels} out in {where}. Models with other inputs (control, "
            "VACE, sound) do not run here."
        )
    if has_experts and not family.has_experts:
        raise CheckpointMismatchError(
            f"model: expected one transformer for {family.name}, got a second, low-noise one beside {where}. "
            "Leave the second out; only the A14B models have two."
        )
    return family


def _by_shape(config: WanConfig, has_experts: bool) -> WanFamily | None:
    channels = (config.in_channels, config.out_channels)
    if config.speech is not None:
        joined = {(VAE_21, VAE_21): HUMO_SMALL, (2 * VAE_21 + 4, VAE_21): HUMO}
        return joined.get(channels)
    if channels == (VAE_22, VAE_22):
        return TI2V
    if channels == (VAE_21, VAE_21):
        if has_experts:
            return T2V_EXPERTS
        return T2V if config.dim >= _LARGE_WIDTH else T2V_SMALL
    if channels == (2 * VAE_21 + 4, VAE_21):
        if config.image_dim is None:
            return I2V_EXPERTS
        return I2V if config.image_positions is None else FLF2V
    return None
