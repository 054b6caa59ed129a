"""Which transformer a header describes: the layout of its keys, then the family that its sizes belong to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..dit.config import JointConfig, WanConfig
from ..dit.joint import JointModel
from ..dit.model import WanModel
from ..errors import AmbiguousCheckpointError, CheckpointMismatchError, UnknownCheckpointError
from ..protocols import TORCH_OPERATIONS, Operations
from .header import Header
from .infer import infer_joint, infer_tower
from .key_maps import DIFFUSERS_RULES, OVI_RULES, PLAIN_RULES, PREFIXES, Rules, find_prefix, rename
from .other_parts import find_extension, find_other_part
from .published import Recognition, recognise
from .source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A way of naming the tensors of a transformer.

    signature: keys that a file of this layout has (after its prefix).
    """

    name: str
    signature: tuple[str, ...]
    rules: Rules
    infer: Callable[[Header, Mapping[str, str], Mapping[str, Any]], WanConfig | JointConfig]

    def mismatch(self, header: Header) -> str | None:
        """Why a header is not of this layout, or None if it is."""
        prefix = find_prefix(header.tensors, self.signature[0])
        if prefix is None:
            return f"no {self.signature[0]}"
        for key in self.signature:
            if prefix + key not in header.tensors:
                return f"no {key}"
        return None


@dataclass(frozen=True, slots=True)
class Detected:
    """A recognised transformer.

    layout: name of the layout of its keys.   recognition: its published family, and why it is no other.
    config: of the model.   names: stored key -> parameter name.
    """

    layout: str
    recognition: Recognition
    config: WanConfig | JointConfig
    names: Mapping[str, str]

    @property
    def family(self) -> str:
        """Name of the published family, or that there is none."""
        return self.recognition.name

    def build(self, operations: Operations = TORCH_OPERATIONS) -> nn.Module:
        """Make the model."""
        if isinstance(self.config, JointConfig):
            return JointModel(self.config, operations=operations)
        return WanModel(self.config, operations=operations)


LAYOUTS = (
    Layout(
        name="Wan, original names",
        signature=(
            "patch_embedding.weight",
            "time_projection.1.weight",
            "blocks.0.self_attn.q.weight",
            "head.head.weight",
        ),
        rules=PLAIN_RULES,
        infer=infer_tower,
    ),
    Layout(
        name="Wan, Diffusers names",
        signature=(
            "condition_embedder.time_proj.weight",
            "patch_embedding.weight",
            "blocks.0.attn1.to_q.weight",
        ),
        rules=DIFFUSERS_RULES,
        infer=infer_tower,
    ),
    Layout(
        name="Ovi, video and audio towers",
        signature=(
            "audio_model.blocks.0.cross_attn.k_fusion.weight",
            "video_model.blocks.0.cross_attn.k_fusion.weight",
            "video_model.blocks.0.modulation.modulation",
        ),
        rules=OVI_RULES,
        infer=infer_joint,
    ),
)


def detect(source: Source) -> Detected:
    """Recognise a transformer from its header.

    Raises: UnknownCheckpointError: no transformer (and what it is instead, or the reason for each layout), or one with
        additions that this version does not run.   AmbiguousCheckpointError: several layouts.
        CheckpointMismatchError: keys with and without a prefix; config.json contradicts the tensors.
    """
    header = source.header
    layout = _find_layout(header)
    extension = find_extension(header)
    if extension is not None:
        raise UnknownCheckpointError(
            f"transformer: expected a plain Wan text- or image-to-video model, got {extension.name} in {header.name}. "
            f"It is taken by {extension.place}."
        )
    prefix = find_prefix(header.tensors, layout.signature[0]) or ""
    _refuse_mixed_prefixes(header, prefix)
    names = rename(header.tensors, prefix, layout.rules)
    config = layout.infer(header, names, source.config)
    return Detected(layout.name, recognise(config), config, names)


def _find_layout(header: Header) -> Layout:
    reasons = {layout.name: layout.mismatch(header) for layout in LAYOUTS}
    fitting = [layout for layout in LAYOUTS if reasons[layout.name] is None]
    if len(fitting) > 1:
        names = " and ".join(layout.name for layout in fitting)
        raise AmbiguousCheckpointError(
            f"transformer: expected one known layout of tensors, got {names} in {header.name}. Split the file."
        )
    if fitting:
        return fitting[0]
    part = find_other_part(header)
    if part is not None:
        raise UnknownCheckpointError(
            f"transformer: expected a Wan, Ovi or nano transformer, got a file of the kind {part.name} in "
            f"{header.name}. It is taken by {part.place}."
        )
    text = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    raise UnknownCheckpointError(
        f"transformer: expected a known layout of tensors, got none of them ({text}) in {header.name}. "
        "Name the file of a Wan, Ovi or nano transformer."
    )


def _refuse_mixed_prefixes(header: Header, prefix: str) -> None:
    """Tell a file whose tensors have different wrappers from one with tensors that nobody knows."""
    others = sorted({_wrapper(key) for key in header.tensors} - {prefix})
    if others:
        shown = " and ".join(f"'{name}'" if name else "none" for name in (prefix, *others))
        raise CheckpointMismatchError(
            f"prefix of the keys: expected one for all tensors, got {shown} in {header.name}. "
            "Two models were merged into one file: use the file of one."
        )


def _wrapper(key: str) -> str:
    """Prefix of a key, the longest that fits."""
    return max((prefix for prefix in PREFIXES if key.startswith(prefix)), key=len)
