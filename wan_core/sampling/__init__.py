"""Sampling: noise levels, solvers, guidance and the loop over video and audio latents."""

from __future__ import annotations

from .guidance import GuidanceChain, GuidanceTerm, Scale
from .loop import AVTimesteps, Denoiser, StepInfo, sample
from .noise import av_noise, draw_noise, make_generator
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
    "AVSigmas",
    "AVTimesteps",
    "DPMPlusPlus2M",
    "Denoiser",
    "Euler",
    "GuidanceChain",
    "GuidanceTerm",
    "Scale",
    "Solver",
    "SolverRun",
    "StepInfo",
    "UniPC",
    "av_noise",
    "draw_noise",
    "flow_sigmas",
    "flow_timesteps",
    "lead_audio",
    "listed_sigmas",
    "make_generator",
    "sample",
    "wan_sigmas",
    "wan_timesteps",
]
