"""What a user asks HuMo for, and the plan of its run: everything that is decided before the first weight is read."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..checkpoints.families import detect
from ..checkpoints.source import open_source
from ..dit.config import WanConfig
from ..errors import CheckpointError, CheckpointMismatchError, InputError
from ..identity.recipes import HUMO_LARGE, HUMO_SMALL, HumoScales, Recipe, humo_recipe
from ..types import AudioClip
from ..voice.whisper import FRAME_SAMPLES, LONGEST_SECONDS, SAMPLE_RATE
from .humo_windows import Window, plan_windows
from .memory import file_bytes
from .memory_phases import MemoryPlan, Phase
from .memory_plan import plan_memory
from .wan_family import HUMO as HUMO_FAMILY
from .wan_family import SPEECH_FAMILIES, WanFamily
from .wan_files import FoundModel, WanFiles, complete, find_model
from .wan_plan import WanOptions, WanPlan
from .wan_reference_plan import ReferenceSizes
from .wan_request import WanRequest, resolve

#: References at once; more than the official examples use, since each costs as much as a latent frame.
MOST_PICTURES = 4
#: Frames of a window, as in training, and frames that neighbouring windows share.
WINDOW, OVERLAP = 97, 24
#: What Whisper holds beside its weights, bytes.
_WHISPER_WORK = 10**9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HumoRequest:
    """A clip that follows a recording.

    Attributes:
        clip: prompt, size, seed, steps and solver. Frames and duration that are left out follow the recording.
        speech: mono, 16 kHz.   pictures: references, (H, W, 3) uint8 RGB; none is HuMo's mode TA.
        text, voice, likeness: scales of guidance by the prompt, the speech and the pictures; None takes the official
            ones. 17B has no scale of its own for the pictures.
        window: frames that are made at once, 4k + 1; a longer clip is made in windows of it.
        overlap: frames that neighbouring windows share, a multiple of 4.
    Raises: InputError: a value that no model could use.
    """

    clip: WanRequest
    speech: AudioClip
    pictures: tuple[Tensor, ...] = ()
    text: float | None = None
    voice: float | None = None
    likeness: float | None = None
    window: int = WINDOW
    overlap: int = OVERLAP

    def __post_init__(self) -> None:
        waveform = self.speech.waveform
        if waveform.ndim != 2 or waveform.shape[0] != 1 or self.speech.sample_rate != SAMPLE_RATE:
            raise InputError(
                f"speech: expected (1, samples) at {SAMPLE_RATE} Hz, got {tuple(waveform.shape)} at "
                f"{self.speech.sample_rate} Hz. Convert it with wan_core.media.sound.resample."
            )
        if not FRAME_SAMPLES <= waveform.shape[1] <= LONGEST_SECONDS * SAMPLE_RATE:
            raise InputError(
                f"speech: expected 0.04 to {LONGEST_SECONDS} s, got {waveform.shape[1] / SAMPLE_RATE:.2f} s. "
                "Use another recording, or cut it."
            )
        if not bool(torch.isfinite(waveform).all()):
            raise InputError("speech: expected finite samples, got NaN or infinity. Export it again.")
        if len(self.pictures) > MOST_PICTURES:
            raise InputError(
                f"references: expected at most {MOST_PICTURES} pictures for HuMo, got {len(self.pictures)}. "
                "Leave some out."
            )
        if self.clip.first_frame is not None or self.clip.last_frame is not None or self.clip.characters:
            raise InputError(
                "references: expected pictures of the subjects for HuMo, got a first or last frame or characters. "
                "Give them as pictures."
            )
        for name, scale in (("text", self.text), ("voice", self.voice), ("likeness", self.likeness)):
            if scale is not None and not 0.0 <= scale < math.inf:
                raise InputError(
                    f"{name} scale: expected 0 or more, got {scale}. Leave it out for the default."
                )
        if (
            self.window < 9
            or self.window % 4 != 1
            or self.overlap % 4
            or not 4 <= self.overlap <= self.window // 2
        ):
            raise InputError(
                f"window: expected 4k + 1 frames from 9 and an overlap that is a multiple of 4 of at most half of "
                f"it, got {self.window} and {self.overlap}. Use {WINDOW} and {OVERLAP}."
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HumoPlan:
    """A planned run.

    Attributes:
        request: as given.   wan: prompt, files, settings and memory, as for every Wan model.   recipe: of guidance.
        whisper: file or folder.   whisper_device: where it works.   windows: of the clip, in latent frames.
    """

    request: HumoRequest
    wan: WanPlan
    recipe: Recipe
    whisper: Path
    whisper_device: str
    windows: tuple[Window, ...]

    @property
    def slots(self) -> int:
        """Latent frames after the clip for references; one for nobody where there are none."""
        return max(1, len(self.request.pictures))

    @property
    def has_channels(self) -> bool:
        """Whether references are channels beside noisy frames (17B), not tokens (1.7B)."""
        return self.wan.model.family is HUMO_FAMILY

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return self.wan.settings.frames / self.wan.model.family.fps


def is_humo(path: Path) -> bool:
    """Whether a file or folder is of HuMo, by its header; anything unreadable is none."""
    try:
        config = detect(open_source(complete(WanFiles(model=path)).model)).config
    except CheckpointError:
        return False
    return isinstance(config, WanConfig) and config.speech is not None


def plan_humo(
    request: HumoRequest, files: WanFiles, whisper: Path, options: WanOptions | None = None
) -> HumoPlan:
    """Recognise the model, check the request against it, and plan the memory; only headers are read.

    Args: files: transformer, VAE, umT5.   whisper: see `checkpoints.whisper.load_whisper`.
    Raises:
        InputError: a part is missing, or the request asks for what HuMo can not make, or for too much memory.
        CheckpointError: a file is missing, damaged or belongs to another model.
    """
    options = options or WanOptions()
    model = find_model(files)
    family = model.family
    if family not in SPEECH_FAMILIES:
        raise CheckpointMismatchError(
            f"model: expected HuMo, which speech drives, got {family.name} in {files.model}. Name a HuMo file, or "
            "leave the speech out."
        )
    settings = resolve(_with_length(request.clip, request.speech, family), family)
    windows = plan_windows(settings.latent_frames, (request.window - 1) // 4 + 1, request.overlap // 4)
    slots = max(1, len(request.pictures))
    longest = max(window.stop - window.start for window in windows)
    memory = plan_memory(
        model,
        settings.size,
        4 * (longest + slots) - 3,
        device=options.device,
        dtype=options.work_dtype,
        limit=options.limit,
        references=ReferenceSizes(picture=settings.size, key_values=_key_values(model, longest)),
    )
    header = open_source(_whole(whisper), "audio_encoder").header
    memory, whisper_device = _with_whisper(memory, file_bytes(header, torch.float32), options)
    wan = WanPlan(
        request=request.clip,
        options=options,
        model=model,
        settings=settings,
        size=settings.size,
        memory=memory,
    )
    return HumoPlan(
        request=request,
        wan=wan,
        recipe=humo_recipe(_scales(request, family), has_picture=bool(request.pictures)),
        whisper=whisper,
        whisper_device=whisper_device,
        windows=windows,
    )


def _whole(path: Path) -> Path:
    whole = path / "model.safetensors"
    return whole if whole.is_file() else path


def _with_length(clip: WanRequest, speech: AudioClip, family: WanFamily) -> WanRequest:
    """The recording's length, rounded up to whole latent frames, where the request leaves it open."""
    if clip.frames is not None or clip.duration is not None:
        return clip
    frames = math.ceil(speech.waveform.shape[1] * family.fps / SAMPLE_RATE)
    return replace(clip, frames=4 * math.ceil((frames - 1) / 4) + 1)


def _scales(request: HumoRequest, family: WanFamily) -> HumoScales:
    """Official scales with those of the request in their place.

    Raises: InputError: one that the model's chain does not have.
    """
    usual = HUMO_LARGE if family is HUMO_FAMILY else HUMO_SMALL
    if request.clip.guidance is not None:
        raise InputError("guidance: expected scales by name for HuMo, got --guidance. Use --text-scale.")
    if request.likeness is not None and (usual.picture is None or not request.pictures):
        reason = "has none of its own" if usual.picture is None else "is given no picture"
        raise InputError(
            f"likeness scale: expected none, since {family.name} {reason}, got {request.likeness:g}. Leave it out."
        )
    text = usual.text if request.text is None else request.text
    late = usual.late_text
    if late is not None and request.text is not None:
        late = max(0.0, request.text - (usual.text - late))
    return replace(
        usual,
        text=text,
        speech=usual.speech if request.voice is None else request.voice,
        picture=usual.picture if request.likeness is None else request.likeness,
        late_text=late,
    )


def _key_values(model: FoundModel, frames: int) -> int:
    """Numbers in the keys and values of speech that are on the device during a forward."""
    config = model.transformers[0].detected.config
    if not isinstance(config, WanConfig) or config.speech is None:
        return 0
    return 2 * config.num_layers * (frames + 2) * config.speech.tokens * config.dim


def _with_whisper(memory: MemoryPlan, weights: int, options: WanOptions) -> tuple[MemoryPlan, str]:
    """The plan with Whisper as its first phase, on the device if it fits, and where it works."""
    fits = memory.limit is None or weights + _WHISPER_WORK <= memory.limit
    note = "" if fits else "does not fit; it works in main memory, on the processor"
    phase = Phase("Whisper", weights if fits else 0, _WHISPER_WORK if fits else 0, note)
    return replace(memory, phases=(phase, *memory.phases)), options.device if fits else "cpu"
