"""The recogniser that Lynx was trained with: facexlib's ArcFace, an IR-SE-50 network.

Its embeddings are not those of insightface's recognisers; exchanging them spoils the likeness without any error.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ..errors import InputError, ShapeError

#: Side of the aligned crop, pixels.
CROP_SIZE = 112
EMBED_DIM = 512
#: (channels, units) of the four stages; the first unit of each halves the size.
STAGES = ((64, 3), (128, 4), (256, 14), (512, 3))
_REDUCTION = 16


class _StoredNorm(nn.Module):
    """Batch norm by the stored statistics; it is never trained here."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias)


class _Excitation(nn.Module):
    """Weigh channels by what their means say."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // _REDUCTION, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // _REDUCTION, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean(dim=(2, 3), keepdim=True)
        return x * self.fc2(self.fc1(means).relu()).sigmoid()


class _Unit(nn.Module):
    """Residual unit; the shortcut is a projection where the number of channels changes, else every n-th pixel."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if channels_in != channels:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), _StoredNorm(channels)
            )
        self.res_layer = nn.Sequential(
            _StoredNorm(channels_in),
            nn.Conv2d(channels_in, channels, 3, 1, 1, bias=False),
            nn.PReLU(channels),
            nn.Conv2d(channels, channels, 3, stride, 1, bias=False),
            _StoredNorm(channels),
            _Excitation(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.res_layer(x) + self.shortcut_layer(x)


class ArcFace(nn.Module):
    """Aligned faces to embeddings of length 1.

    Parameter names are those of `recognition_arcface_ir_se50.pth`: `input_layer`, `body.{0..23}`, `output_layer`;
    its counters `num_batches_tracked` have no use here. 43.8 M parameters.

    Source: xinntao/facexlib@260620a facexlib/recognition/arcface_arch.py (MIT).
    """

    def __init__(self) -> None:
        super().__init__()
        first = STAGES[0][0]
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, first, 3, 1, 1, bias=False), _StoredNorm(first), nn.PReLU(first)
        )
        units: list[nn.Module] = []
        before = first
        for channels, count in STAGES:
            for number in range(count):
                units.append(_Unit(before, channels, 1 if number else 2))
                before = channels
        self.body = nn.Sequential(*units)
        side = CROP_SIZE // 2 ** len(STAGES)
        self.output_layer = nn.Sequential(
            _StoredNorm(before),
            nn.Identity(),
            nn.Flatten(),
            nn.Linear(before * side * side, EMBED_DIM),
            _StoredNorm(EMBED_DIM),
        )

    def forward(self, faces: Tensor) -> Tensor:
        """Encode faces.

        Args:
            faces: (B, 3, 112, 112) of `face_input`.
        Returns:
            (B, 512), of length 1.
        Raises:
            ShapeError: another shape.
        """
        if faces.ndim != 4 or tuple(faces.shape[1:]) != (3, CROP_SIZE, CROP_SIZE):
            raise ShapeError(
                f"faces: expected (B, 3, {CROP_SIZE}, {CROP_SIZE}), got {tuple(faces.shape)}. Use align_face."
            )
        embeds = self.output_layer(self.body(self.input_layer(faces)))
        return embeds / embeds.norm(dim=1, keepdim=True)


def face_input(crop: NDArray[np.uint8]) -> Tensor:
    """Turn an aligned crop into what `ArcFace` takes.

    Args:
        crop: (112, 112, 3) uint8 RGB of `alignment.align_face`.
    Returns:
        (1, 3, 112, 112) float32 in [-1, 1], channels blue, green, red.
    Raises:
        InputError: another shape or type.
    Source: bytedance/lynx@3a6a91a modules/common/face_encoder.py.
    """
    if crop.shape != (CROP_SIZE, CROP_SIZE, 3) or crop.dtype != np.uint8:
        raise InputError(
            f"face: expected ({CROP_SIZE}, {CROP_SIZE}, 3) uint8, got {crop.shape} {crop.dtype}. Use align_face."
        )
    pixels = torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1).float() / 255.0
    return ((pixels - 0.5) / 0.5).flip(0)[None].contiguous()
