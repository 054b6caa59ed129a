"""Everything that a report says of a clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .colours import ColourMatch
from .likeness import Likeness
from .lips import LipSync
from .voice import VoiceMatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """What was measured; None or empty where there was nothing to measure.

    Attributes:
        frames, fps: of the picture.
        picture_seconds, sound_seconds: lengths.
        faces: number of faces in each frame, None where nobody counted.
        likeness: by the name of the character; None of one that no frame shows.
        colours: by zone, of nano's clips.
        lips: by the name of the character.   mouth: how mouths were read.
        voices: by the name of the character.
        notes: sentences for the user, above all about what was not measured.
    """

    frames: int
    fps: float
    picture_seconds: float
    sound_seconds: float | None
    faces: tuple[int, ...] | None = None
    likeness: Mapping[str, Likeness | None] = field(default_factory=dict[str, "Likeness | None"])
    colours: Mapping[str, ColourMatch] | None = None
    lips: Mapping[str, LipSync] = field(default_factory=dict[str, LipSync])
    mouth: str = ""
    voices: Mapping[str, VoiceMatch] = field(default_factory=dict[str, VoiceMatch])
    notes: tuple[str, ...] = ()

    @property
    def score(self) -> float | None:
        """What best-of-N goes by: the mean over characters of their likeness and their lips, each in [0, 1].

        Likeness is `Likeness.score`, 0 for a character that no frame shows; lips are the correlation of mouth and
        loudness at lag 0, 0 where it is negative. None where neither was measured.
        """
        parts = [0.0 if own is None else own.score for own in self.likeness.values()]
        parts += [min(1.0, max(0.0, own.by_lag[0])) for own in self.lips.values()]
        return sum(parts) / len(parts) if parts else None
