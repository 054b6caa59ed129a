"""From latents to a grid of tokens and back."""

from __future__ import annotations

from torch import Tensor

from ..errors import ShapeError


def patch_grid(sizes: tuple[int, ...], patch_size: tuple[int, ...], what: str = "latents") -> tuple[int, ...]:
    """Number of patches along each axis.

    Args: sizes: frames, height, width (or the length of a sequence), in latent units.   what: name used in the error.
    Raises: ShapeError: the number of axes differs, or a size is no positive multiple of the patch.
    """
    if len(sizes) != len(patch_size) or any(n < p or n % p for n, p in zip(sizes, patch_size, strict=False)):
        raise ShapeError(
            f"{what}: expected {len(patch_size)} axes after batch and channels, each a positive multiple of the patch "
            f"{patch_size}, got {sizes}. Choose another width, height or length."
        )
    return tuple(n // p for n, p in zip(sizes, patch_size, strict=True))


def unpatchify(x: Tensor, grid: tuple[int, ...], patch_size: tuple[int, ...]) -> Tensor:
    """Put the values of tokens back in place.

    Args: x: (B, L, prod(patch) * C), values ordered patch axes first, channel last; L = prod(grid), 1 or 3 axes.
    Returns: (B, C, grid[0] * patch[0], ...).
    Source: Wan-Video/Wan2.1@9737cba wan/modules/model.py unpatchify.
    """
    if len(grid) == 1:
        return x.unflatten(-1, (patch_size[0], -1)).flatten(1, 2).transpose(1, 2)
    frames, height, width = grid
    t, h, w = patch_size
    x = x.view(x.shape[0], frames, height, width, t, h, w, -1).permute(0, 7, 1, 4, 2, 5, 3, 6)
    return x.reshape(x.shape[0], x.shape[1], frames * t, height * h, width * w)
