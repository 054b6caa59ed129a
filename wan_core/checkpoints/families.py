"""Which model a header describes: an ordered list of families, each with its signature, key map and configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..dit.config import JointConfig, WanConfig
from ..dit.joint import JointModel
from ..dit.model import WanModel
from ..errors import AmbiguousCheckpointError, UnknownCheckpointError
from .header import Header
from .infer import infer_joint, infer_tower
from .key_maps import DIFFUSERS_RULES, OVI_RULES, PLAIN_RULES, Rules, find_prefix, rename
from .source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A way of naming the tensors of a transformer.

    signature: keys that a file of this family has (after its prefix); absent: keys that it has not.
    """

    name: str
    signature: tuple[str, ...]
    absent: tuple[str, ...] = ()
    rules: Rules
    infer: Callable[[Header, Mapping[str, str], Mapping[str, Any]], WanConfig | JointConfig]

    def mismatch(self, header: Header) -> str | None:
        """Why a header is not of this family, or None if it is."""
        prefix = find_prefix(header.tensors, self.signature[0])
        if prefix is None:
            return f"no {self.signature[0]}"
        for key in self.signature:
            if prefix + key not in header.tensors:
                return f"no {key}"
        for key in self.absent:
            if prefix + key in header.tensors:
                return f"has {key}"
        return None


@dataclass(frozen=True, slots=True)
class Detected:
    """A recognised transformer: its family, configuration, and stored key -> parameter name."""

    family: str
    config: WanConfig | JointConfig
    names: Mapping[str, str]

    def build(self) -> nn.Module:
        """Make the model."""
        return JointModel(self.config) if isinstance(self.config, JointConfig) else WanModel(self.config)


FAMILIES = (
    Family(
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
    Family(
        name="Wan, Diffusers names",
        signature=(
            "condition_embedder.time_proj.weight",
            "patch_embedding.weight",
            "blocks.0.attn1.to_q.weight",
        ),
        rules=DIFFUSERS_RULES,
        infer=infer_tower,
    ),
    Family(
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

    Raises: UnknownCheckpointError: no family, with the reason of each.   AmbiguousCheckpointError: several.
        CheckpointMismatchError: config.json contradicts the tensors.
    """
    header = source.header
    reasons = {family.name: family.mismatch(header) for family in FAMILIES}
    fitting = [family for family in FAMILIES if reasons[family.name] is None]
    if not fitting:
        text = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise UnknownCheckpointError(
            f"transformer: expected a known layout of tensors, got none of them ({text}) in {header.name}. "
            "Name the file of a Wan, Ovi or nano transformer."
        )
    if len(fitting) > 1:
        names = " and ".join(family.name for family in fitting)
        raise AmbiguousCheckpointError(
            f"transformer: expected one known layout of tensors, got {names} in {header.name}. Split the file."
        )
    family = fitting[0]
    prefix = find_prefix(header.tensors, family.signature[0]) or ""
    names = rename(header.tensors, prefix, family.rules)
    return Detected(family.name, family.infer(header, names, source.config), names)
