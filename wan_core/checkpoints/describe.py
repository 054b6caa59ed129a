"""What a weights file is and what it takes to run it, from its header alone."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UnknownCheckpointError
from ..ops.gguf_blocks import BLOCK_TYPES
from .config_json import config_to_json
from .families import detect
from .header import Header
from .nano import METADATA_KEY, read_part_config
from .other_parts import JOINT_PLACE, MODEL_PLACE, NANO_PLACE, find_extension, find_other_part
from .published import Part
from .source import Source, open_source
from .vae_families import detect_vae

#: What a part is called where it is missing, and files that are known to hold it.
PART_TEXT: Mapping[Part, str] = {
    "VAE 2.1": "the Wan 2.1 VAE (wan_2.1_vae.safetensors or Wan2.1_VAE.pth): --vae",
    "VAE 2.2": "the Wan 2.2 VAE (wan2.2_vae.safetensors or Wan2.2_VAE.pth): --vae",
    "umT5": "the text encoder umT5-xxl (umt5_xxl_fp8_e4m3fn_scaled.safetensors, a GGUF or the .pth): --text-encoder",
    "CLIP": "the picture tower of CLIP ViT-H (clip_vision_h.safetensors or the .pth): --clip-vision",
    "Whisper": "whisper-large-v3 (its folder, or whisper_large_v3_encoder_fp16.safetensors): --whisper",
    "other expert": "of Wan2.2, the other expert: --model takes the high-noise file, --model-low the low-noise file",
    "audio codec": "MMAudio's VAE and vocoder for 16 kHz (v1-16.pth and best_netG.pt): --audio-vae and --vocoder",
}
_PLAIN = {"F8_E4M3": "fp8 e4m3", "F8_E5M2": "fp8 e5m2", "I8": "int8"}
#: Methods of reference whose weights no header tells from text-to-video.
_METHOD_HINTS = (
    (r"phantom", "Phantom, for --method phantom"),
    (r"bernini", "Bernini-R, for --method bernini"),
)
_HINTS = (
    (r"high[-_ ]?noise", "the high-noise expert of a Wan2.2 A14B model"),
    (r"low[-_ ]?noise", "the low-noise expert of a Wan2.2 A14B model"),
    (r"wan[-_ ]?2[._]2", "Wan2.2"),
    (r"wan[-_ ]?2[._]1", "Wan2.1"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What is known of a file.

    model: what it is.   layout: how its keys are named, or None.   parameters: numbers in it.   file_bytes: on disk.
    dtypes: of what is stored, with their share of the parameters.   quantisation: in words, "none" for plain weights.
    needs: what is missing to run it.   place: which option and node take it.   note: what the header can not tell.
    hint: what its file name says; it decides nothing.   rejected: other families, and why it is none of them.
    config: of the model, where it is one that this version builds.
    """

    model: str
    parameters: int
    tensors: int
    file_bytes: int
    dtypes: str
    quantisation: str
    place: str
    layout: str | None = None
    needs: tuple[str, ...] = ()
    note: str | None = None
    hint: str | None = None
    rejected: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As plain dictionaries, lists, numbers and text."""
        return asdict(self)


def describe(path: Path | str) -> Description:
    """Say what a file or folder of weights is.

    Args: path: as `load.load_dit` takes it; the file of a VAE, text encoder, CLIP or LoRA is recognised too.
    Raises: CheckpointError: missing or damaged.   UnknownCheckpointError: nothing that is known here.
        CheckpointMismatchError: recognised, but contradictory or incomplete.
    """
    source = open_source(path)
    header = source.header
    if METADATA_KEY in header.metadata:
        kind, config = read_part_config(header)
        return _describe(header, name=f"nano, part {kind}", place=NANO_PLACE, config=config_to_json(config))
    part = find_extension(header) or find_other_part(header)
    try:
        found = detect(source)
    except UnknownCheckpointError:
        if part is None:
            raise
        if part.name == "Wan VAE":
            return _describe_vae(source, part.place)
        return _describe(header, name=part.name, place=part.place)
    family = found.recognition.family
    needs = () if family is None else tuple(PART_TEXT[need] for need in family.needs)
    place = MODEL_PLACE
    if family is not None and "audio codec" in family.needs:
        place = JOINT_PLACE
    return _describe(
        header,
        name=found.family,
        layout=found.layout,
        place=place,
        needs=needs,
        note=None if family is None else family.note or None,
        hint=_hint(header.name),
        rejected=dict(found.recognition.rejected),
        config=config_to_json(found.config),
    )


def _describe_vae(source: Source, place: str) -> Description:
    found = detect_vae(source)
    return _describe(
        source.header,
        name=found.family.split(",")[0],
        layout=found.family,
        place=place,
        config=config_to_json(found.config),
    )


def _describe(
    header: Header,
    *,
    name: str,
    place: str,
    layout: str | None = None,
    needs: tuple[str, ...] = (),
    note: str | None = None,
    hint: str | None = None,
    rejected: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
) -> Description:
    counts = Counter[str]()
    for info in header.tensors.values():
        counts[info.dtype] += math.prod(info.shape)
    return Description(
        model=name,
        parameters=counts.total(),
        tensors=len(header.tensors),
        file_bytes=sum(path.stat().st_size for path in set(header.files.values())),
        dtypes=", ".join(f"{dtype} {count:,}" for dtype, count in counts.most_common()),
        quantisation=_quantisation(header),
        place=place,
        layout=layout,
        needs=needs,
        note=note,
        hint=hint,
        rejected=rejected or {},
        config=config or {},
    )


def _quantisation(header: Header) -> str:
    """Formats of packed weights, the most frequent first."""
    kinds = Counter[str]()
    for packing in header.packing.values():
        text = (
            f"GGUF {packing.format}"
            if packing.format in BLOCK_TYPES
            else _PLAIN.get(packing.format, packing.format)
        )
        kinds[text if packing.scale is None else f"{text} scaled"] += 1
    if not kinds:
        return "none"
    told = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common())
    return f"{told} of {len(header.tensors)} tensors"


def _hint(name: str) -> str | None:
    """What the name of a file claims."""
    found = [
        next((text for pattern, text in hints if re.search(pattern, name, re.I)), None)
        for hints in (_METHOD_HINTS, _HINTS)
    ]
    return "; ".join(text for text in found if text) or None
