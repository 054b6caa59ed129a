"""Latents of a clip as a file, so that a clip whose frames could not be written is not lost."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from ..checkpoints.header import read_header
from ..checkpoints.tensors import read_tensors
from ..errors import CheckpointError, InputError
from .wan_family import WanFamily
from .wan_methods import ALL_FAMILIES

METADATA_KEY = "wan_r2v_latents"
TENSOR = "latents"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentsInfo:
    """What a clip is, beside its latents: the family's name, the seed of its noise."""

    family: str
    seed: int

    @property
    def known_family(self) -> WanFamily:
        """The family.

        Raises: CheckpointError: there is none of that name.
        """
        found = next((family for family in ALL_FAMILIES if family.name == self.family), None)
        if found is None:
            names = ", ".join(family.name for family in ALL_FAMILIES)
            raise CheckpointError(
                f"latents: expected those of {names}, got {self.family!r}. Update this project."
            )
        return found


def latents_to_bytes(latents: Tensor, info: LatentsInfo) -> bytes:
    """Content of a .safetensors file.

    Args: latents: (1, C, F, H, W), as `sample_wan` gives them.
    """
    metadata = {METADATA_KEY: json.dumps(asdict(info))}
    return save({TENSOR: latents.float().cpu().contiguous()}, metadata=metadata)


def read_latents(path: Path) -> tuple[Tensor, LatentsInfo]:
    """Read such a file back.

    Raises: InputError: it holds something else.   CheckpointError: missing or damaged.
    """
    header = read_header(path)
    text = header.metadata.get(METADATA_KEY)
    try:
        entry = json.loads(text or "null")
        info = LatentsInfo(family=str(entry["family"]), seed=int(entry["seed"]))
        latents = read_tensors(header, [TENSOR])[TENSOR]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"latents: expected a file that `wan-r2v generate` saved, got something else in {path}. "
            "Name the .latents.safetensors file."
        ) from error
    return latents, info
