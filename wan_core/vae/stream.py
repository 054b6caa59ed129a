"""One pass over a clip: what causal layers remember of it, and the form in which their mathematics is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Below this length a vector counts as zero. Source: the default of torch.nn.functional.normalize, which Wan calls.
SMALLEST_NORM = 1e-12


class ChannelNorm(nn.Module):
    """Scale of an RMS norm over the channels; `Stream.norm` computes it.

    Args: channels: width.   axes: axes after the channel axis: 3 for video, 2 for pictures (as upstream stores it).
    Source: Wan-Video/Wan2.1@9737cba wan/modules/vae.py RMS_norm.
    """

    def __init__(self, channels: int, axes: int = 3) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, *(1,) * axes))


class Stream:
    """State of one pass, and the plain form of every operation (used for training and as the test's reference).

    A clip goes through a model in pieces: its first frame, then the rest in any portions. `advance` ends a piece.
    `is_first`: the piece at hand is the first frame.   `following`: frames that the layer at hand will be given after
    those at hand, None where nobody knows.
    """

    def __init__(self) -> None:
        self.is_first = True
        self.following: int | None = None
        self._past: dict[nn.Module, tuple[Tensor, ...]] = {}

    def advance(self) -> None:
        """Go on to the next piece of the clip."""
        self.is_first = False

    def twin(self) -> Stream:
        """Make a stream of the same form that has seen nothing yet."""
        return Stream()

    def forget(self) -> None:
        """Free what is remembered; the clip is over."""
        self._past = {}

    def move_memory(self, device: torch.device | str) -> None:
        """Bring what is remembered to a device."""
        self._past = {
            layer: tuple(t.to(device, non_blocking=True) for t in past) for layer, past in self._past.items()
        }

    def pieces(self, x: Tensor, *, is_large: bool) -> tuple[Tensor, ...]:
        """Cut (B, C, T, H, W) along time into what is computed at once. is_large: what follows makes no more frames."""
        return (x,)

    def groups(self, x: Tensor, size: int) -> tuple[Tensor, ...]:
        """Cut a clip (B, C, 1 + k * size, H, W) into its first frame and portions of the rest."""
        return (x[:, :, :1], x[:, :, 1:]) if x.shape[2] > 1 else (x,)

    def arrange(self, x: Tensor) -> Tensor:
        """Bring the input into the memory layout that suits the other operations."""
        return x

    def remember(self, layer: nn.Module, x: Tensor, count: int) -> tuple[Tensor, ...]:
        """Note the last `count` (1 or 2) frames for a layer; return those that it saw before, at most as many."""
        past = self._past.get(layer, ())
        if x.shape[2] >= count:
            self._past[layer] = (x if x.shape[2] == count else x[:, :, -count:].clone(),)
        else:
            last = past[-1][:, :, -1:] if past else None
            if last is not None and past[-1].shape[2] > 1:
                last = last.clone()  # a view would keep the older frame alive
            self._past[layer] = (x,) if last is None else (last, x)
        return past

    def causal_conv(self, conv: nn.Conv3d, x: Tensor) -> Tensor:
        """Convolve, seeing the past of this stream, zeros before its start, and nothing of the future.

        Args: conv: padded in space, not in time.   x: (B, C, T, H, W).
        """
        taps = conv.kernel_size[0]
        if taps == 1:
            return conv(x)
        seen = torch.cat([*self.remember(conv, x, taps - 1), x], dim=2)
        missing = taps - 1 + x.shape[2] - seen.shape[2]
        return conv(F.pad(seen, (0, 0, 0, 0, missing, 0)))

    def norm(self, norm: ChannelNorm, x: Tensor) -> Tensor:
        """Divide (B, C, ...) by the length of its channel vectors; times the root of their width, times gamma."""
        factor = norm_factor(x)
        return (x * factor).to(x.dtype) * norm.gamma.to(x)

    def norm_silu(self, norm: ChannelNorm, x: Tensor, *, is_spare: bool = False) -> Tensor:
        """SiLU of the norm, (B, C, T, H, W). is_spare: nobody reads x afterwards."""
        return F.silu(self.norm(norm, x))

    def norm_conv(self, norm: ChannelNorm, conv: nn.Conv3d, x: Tensor, *, is_spare: bool = False) -> Tensor:
        """`norm_silu`, then `causal_conv`."""
        return self.causal_conv(conv, self.norm_silu(norm, x, is_spare=is_spare))

    def upsample_conv(self, conv: nn.Conv2d, x: Tensor) -> Tensor:
        """Double height and width by repetition, then convolve 3 x 3 with one zero of padding; (N, C, H, W)."""
        return conv(F.interpolate(x, scale_factor=2.0, mode="nearest-exact"))

    def interleave(self, x: Tensor) -> Tensor:
        """Lay the two halves of the channels out as even and odd frames: (B, 2C, T, H, W) to (B, C, 2T, H, W)."""
        return torch.stack(x.chunk(2, dim=1), dim=3).flatten(2, 3)

    def add(self, x: Tensor, other: Tensor) -> Tensor:
        """Sum of a fresh x and other."""
        return x + other


class FastStream(Stream):
    """The same operations in forms that give the same numbers (to rounding) in less time and memory.

    Channels last in memory; missing frames leave out taps of a kernel instead of being zeros; a doubled picture is
    never made: each of the four positions in a 2 x 2 block sees the small picture through a 2 x 2 kernel of its own;
    what nobody reads again is overwritten; large pictures go one frame at a time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kernels: dict[nn.Module, tuple[Tensor, ...]] = {}

    def twin(self) -> FastStream:
        """As in `Stream`; kernels that were prepared are shared."""
        twin = type(self)()
        twin._kernels = self._kernels
        return twin

    def prepared(self, layer: nn.Module, prepare: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """Kernels of a layer in another form, made once for the pass."""
        if layer not in self._kernels:
            self._kernels[layer] = prepare()
        return self._kernels[layer]

    def pieces(self, x: Tensor, *, is_large: bool) -> tuple[Tensor, ...]:
        """One frame at a time where memory is dear."""
        return x.split(1, dim=2) if is_large else (x,)

    def groups(self, x: Tensor, size: int) -> tuple[Tensor, ...]:
        """The first frame, then `size` at a time."""
        return (x[:, :, :1], *x[:, :, 1:].split(size, dim=2)) if x.shape[2] > 1 else (x,)

    def arrange(self, x: Tensor) -> Tensor:
        """Channels last."""
        return x.contiguous(memory_format=torch.channels_last_3d)

    def causal_conv(self, conv: nn.Conv3d, x: Tensor) -> Tensor:
        """As in `Stream`; a single frame leaves out the taps that lie before the clip's start."""
        taps = conv.kernel_size[0]
        if taps == 1:
            return conv(x)
        frames = [*self.remember(conv, x, taps - 1), x]
        seen = sum(part.shape[2] for part in frames)
        missing = taps - 1 + x.shape[2] - seen
        if x.shape[2] > 1 or not missing:
            return self.convolve(conv, frames, missing)
        kernel = conv.weight[:, :, missing:]
        if seen > 1:
            return self.direct(conv, torch.cat(frames, dim=2), kernel)
        picture = F.conv2d(x.squeeze(2), kernel.squeeze(2), conv.bias, padding=conv.padding[1:])
        return picture.unsqueeze(2)

    def convolve(self, conv: nn.Conv3d, frames: Sequence[Tensor], missing: int) -> Tensor:
        """Convolve frames that are given in parts, after `missing` frames of zeros."""
        joined = torch.cat([*frames], dim=2)
        return self.direct(conv, F.pad(joined, (0, 0, 0, 0, missing, 0)) if missing else joined, conv.weight)

    def direct(self, conv: nn.Conv3d, x: Tensor, kernel: Tensor) -> Tensor:
        """Convolve with a layer's kernel or its last taps."""
        return F.conv3d(x, kernel, conv.bias, conv.stride, conv.padding)

    def norm_silu(self, norm: ChannelNorm, x: Tensor, *, is_spare: bool = False) -> Tensor:
        """As in `Stream`, in one buffer."""
        result = torch.mul(x, norm_factor(x), out=x if is_spare else torch.empty_like(x))
        return F.silu(result.mul_(norm.gamma.to(x)), inplace=True)

    def upsample_conv(self, conv: nn.Conv2d, x: Tensor) -> Tensor:
        """As in `Stream`, for the four positions at once from the small picture."""
        count, _, rows, columns = x.shape
        result = torch.empty(
            (count, conv.out_channels, 2 * rows, 2 * columns),
            dtype=x.dtype,
            device=x.device,
            memory_format=torch.channels_last,
        )
        for position, kernel in enumerate(self.prepared(conv, lambda: position_kernels(conv.weight))):
            down, right = divmod(position, 2)
            seen = F.conv2d(x, kernel, conv.bias, padding=1)
            result[:, :, down::2, right::2] = seen[:, :, down : down + rows, right : right + columns]
        return result

    def interleave(self, x: Tensor) -> Tensor:
        """As in `Stream`, channels last."""
        batch, channels, frames, *size = x.shape
        result = torch.empty(
            (batch, channels // 2, 2 * frames, *size),
            dtype=x.dtype,
            device=x.device,
            memory_format=torch.channels_last_3d,
        )
        result[:, :, 0::2], result[:, :, 1::2] = x.chunk(2, dim=1)
        return result

    def add(self, x: Tensor, other: Tensor) -> Tensor:
        """As in `Stream`, into x."""
        return x.add_(other)


def norm_factor(x: Tensor, axis: int = 1) -> Tensor:
    """Root of the width over the length of each vector along an axis, which becomes 1; at least in float32."""
    precise = torch.promote_types(x.dtype, torch.float32)
    length = torch.linalg.vector_norm(x, dim=axis, keepdim=True, dtype=precise)
    return x.shape[axis] ** 0.5 / length.clamp_min(SMALLEST_NORM)


def position_kernels(weight: Tensor) -> tuple[Tensor, ...]:
    """3 x 3 kernel for a doubled picture -> 2 x 2 kernels for the small one.

    In a doubled picture two of three neighbouring pixels in a row are the same, so their taps add up. The order is top
    left, top right, bottom left, bottom right.
    """
    first, middle, last = weight.unbind(2)
    kernels: list[Tensor] = []
    for upper, lower in ((first, middle + last), (first + middle, last)):
        row = torch.stack([upper, lower], dim=2)
        left, centre, right = row.unbind(3)
        kernels += [torch.stack(pair, dim=3) for pair in ((left, centre + right), (left + centre, right))]
    return tuple(kernel.contiguous(memory_format=torch.channels_last) for kernel in kernels)
