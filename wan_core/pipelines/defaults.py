"""What nano makes, and how it is sampled unless a request says otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError
from .request import GenerateRequest, Scales


@dataclass(frozen=True, slots=True, kw_only=True)
class NanoDefaults:
    """Limits and settings of nano; the numbers are chosen by measurement on validation identities.

    Attributes:
        frames, fps: length and rate of the video.
        native_size: side in pixels of what the model makes; larger sizes are the same clip enlarged.
        sizes: width and height that may be asked for.
        durations: seconds that may be asked for; all give the same frames.
        steps: Euler steps of each modality.   shift: of the sigma grid.
        audio_lead: steps by which the sound runs ahead of the picture.
        scales: guidance and strengths.
    """

    frames: int = 17
    fps: int = 8
    native_size: int = 64
    sizes: tuple[tuple[int, int], ...] = ((64, 64), (128, 128), (256, 256))
    durations: tuple[float, ...] = (2.0, 2.125)
    steps: int = 28
    shift: float = 2.0
    audio_lead: int = 16
    scales: Scales = Scales()

    @property
    def seconds(self) -> float:
        """True length of a clip."""
        return self.frames / self.fps

    def check(self, request: GenerateRequest) -> None:
        """Refuse what nano can not make.

        Raises:
            InputError: size, duration, shot type or number of characters.
        """
        if tuple(request.size) not in self.sizes:
            sizes = ", ".join(f"{width}*{height}" for width, height in self.sizes)
            raise InputError(
                f"size: expected one of {sizes}, got {request.size[0]}*{request.size[1]}. "
                f"nano draws {self.native_size}*{self.native_size} and enlarges it."
            )
        if request.duration not in self.durations:
            raise InputError(
                f"duration: expected {self.durations[0]:g} seconds, got {request.duration:g}. "
                f"nano makes clips of {self.seconds:g} seconds only."
            )
        if request.shot_type != "single":
            raise InputError(
                f"shot type: expected single, got {request.shot_type}. nano makes one shot; ask for single."
            )
        filmed = [character.name for character in request.characters if character.videos]
        if filmed:
            raise InputError(
                f"references: expected photos for nano, got a video of {', '.join(filmed)}. Use a frame as photo."
            )
        if len(request.characters) > 1:
            names = ", ".join(character.name for character in request.characters)
            raise InputError(
                f"characters: expected at most one, got {len(request.characters)} ({names}). "
                "nano shows one person; leave the others out."
            )
