"""Sampling: noise levels, solvers, guidance and the loop over video and audio latents."""

from __future__ import annotations

from .denoiser import AVTimesteps, Denoiser
from .experts import Expert, ExpertRule, ExpertSwitch
from .guard import Culprit, NonFiniteError, NumberGuard
from .guidance import GuidanceChain, GuidanceRun, GuidanceTerm, PlannedCondition, Scale
from .guidance_rules import GuidanceRule, PlainSum, Projected, SigmaWindow, StepWindow, Window, ZeroStar
from .loop import StepInfo, sample
from .noise import av_noise, draw_noise, make_generator
from .presets import DISTIL_PRESETS, DistilPreset
from .schedule import Schedule, SolverName, make_schedule
from .sigmas import (
    AVSigmas,
    flow_sigmas,
    flow_timesteps,
    lead_audio,
    listed_sigmas,
    wan_sigmas,
    wan_timesteps,
)
from .solvers import DPMPlusPlus2M, Euler, Solver, SolverRun, UniPC

__all__ = [
    "DISTIL_PRESETS",
    "AVSigmas",
    "AVTimesteps",
    "Culprit",
    "DPMPlusPlus2M",
    "Denoiser",
    "DistilPreset",
    "Euler",
    "Expert",
    "ExpertRule",
    "ExpertSwitch",
    "GuidanceChain",
    "GuidanceRule",
    "GuidanceRun",
    "GuidanceTerm",
    "NonFiniteError",
    "NumberGuard",
    "PlainSum",
    "PlannedCondition",
    "Projected",
    "Scale",
    "Schedule",
    "SigmaWindow",
    "Solver",
    "SolverName",
    "SolverRun",
    "StepInfo",
    "StepWindow",
    "UniPC",
    "Window",
    "ZeroStar",
    "av_noise",
    "draw_noise",
    "flow_sigmas",
    "flow_timesteps",
    "lead_audio",
    "listed_sigmas",
    "make_generator",
    "make_schedule",
    "sample",
    "wan_sigmas",
    "wan_timesteps",
]
