"""Step-distilled models and LoRAs: the sampler settings that they were published with.

The settings of the full models stand with their families, in `pipelines`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .schedule import Schedule, SolverName, make_schedule
from .sigmas import TIMESTEPS, listed_sigmas
from .solvers import Euler


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilPreset:
    """How a few-step model is sampled; the guidance scale is 1, so a step is one evaluation without negative prompt.

    Attributes:
        model: base model that the LoRA or checkpoint belongs to, as published.
        steps: number of evaluations.   shift: see `flow_sigmas`.   solver: name of the sampler.
        timesteps: those it was trained at, before the shift; empty for an even grid.
        boundary: sigma from which the high-noise expert works, None for a single model.
        guidance: (low-noise, high-noise) scale.
        files: names of the published files, without folder and date.
        source: where the settings are from.
    """

    model: str
    steps: int = 4
    shift: float = 5.0
    solver: SolverName = "euler"
    timesteps: tuple[float, ...] = ()
    boundary: float | None = None
    guidance: tuple[float, float] = (1.0, 1.0)
    files: tuple[str, ...]
    source: str

    def schedule(self) -> Schedule:
        """Solver, sigmas and timesteps for `sample`."""
        if not self.timesteps:
            return make_schedule(self.solver, self.steps, self.shift)
        sigmas = listed_sigmas(self.timesteps, self.shift)
        return Schedule(Euler(), sigmas, TIMESTEPS * sigmas)


_LIGHTX2V = "ModelTC/LightX2V@f8aee98 configs/distill/"
_LIGHTNING = "ModelTC/Wan2.2-Lightning@92efeb4 wan/configs/"
_FOUR = (1000.0, 750.0, 500.0, 250.0)

DISTIL_PRESETS: Mapping[str, DistilPreset] = MappingProxyType(
    {
        "lightx2v-wan2.1-t2v": DistilPreset(
            model="Wan2.1-T2V-14B",
            timesteps=_FOUR,
            files=("wan2.1_t2v_14b_lora_rank64_lightx2v_4step",),
            source=_LIGHTX2V + "wan21/wan_t2v_distill_lora_4step_cfg.json",
        ),
        "lightx2v-wan2.1-i2v": DistilPreset(
            model="Wan2.1-I2V-14B",
            timesteps=_FOUR,
            files=("wan2.1_i2v_lora_rank64_lightx2v_4step",),
            source=_LIGHTX2V + "wan21/wan_i2v_distill_lora_4step_cfg.json",
        ),
        "lightx2v-wan2.2-t2v": DistilPreset(
            model="Wan2.2-T2V-A14B",
            timesteps=_FOUR,
            boundary=0.875,
            files=(
                "wan2.2_t2v_A14b_high_noise_lora_rank64_lightx2v_4step",
                "wan2.2_t2v_A14b_low_noise_lora_rank64_lightx2v_4step",
            ),
            source=_LIGHTX2V + "wan22/wan_moe_t2v_distill_lora.json",
        ),
        "lightx2v-wan2.2-i2v": DistilPreset(
            model="Wan2.2-I2V-A14B",
            timesteps=_FOUR,
            boundary=0.9,
            files=(
                "wan2.2_i2v_A14b_high_noise_lora_rank64_lightx2v_4step",
                "wan2.2_i2v_A14b_low_noise_lora_rank64_lightx2v_4step",
            ),
            source=_LIGHTX2V + "wan22/wan_moe_i2v_distill_with_lora.json",
        ),
        "lightning-wan2.2-t2v": DistilPreset(
            model="Wan2.2-T2V-A14B",
            boundary=0.875,
            files=("high_noise_model", "low_noise_model"),
            source=_LIGHTNING + "wan_t2v_A14B.py",
        ),
        "lightning-wan2.2-i2v": DistilPreset(
            model="Wan2.2-I2V-A14B",
            boundary=0.9,
            files=("high_noise_model", "low_noise_model"),
            source=_LIGHTNING + "wan_i2v_A14B.py",
        ),
    }
)
