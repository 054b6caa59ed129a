"""Wan's causal video VAE: clips to latents and back, in one go, as a stream, and in tiles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import ShapeError
from ..protocols import TORCH_OPERATIONS, Operations
from .coders import COLOURS, Decoder, Encoder, lay_patches, unlay_patches
from .execution import open_stream
from .stream import Stream
from .tiling import Place, Tiles, Tiling
from .wan_config import WanVAEConfig

#: Latent frames that a tile is worked on before the next one, when a stream is tiled: what a tile remembers is moved
#: to and from the CPU that much less often.
WINDOW = 4


class WanVAE(nn.Module):
    """Causal video VAE of Wan 2.1 (16 channels, 4 x 8 x 8) and 2.2 (48 channels, 4 x 16 x 16), or smaller.

    A video is (B, 3, F, H, W), RGB in [-1, 1], F = temporal_stride * k + 1, H and W multiples of spatial_stride; its
    latents are (B, latent_channels, k + 1, H / spatial_stride, W / spatial_stride), normalised as the transformer
    expects them. Results have the dtype and device of the weights; inputs are brought there piece by piece. `encode`
    and `decode` keep no gradients; `posterior` and `render` do.

    Args: operations: layers; of another namespace than torch.nn they are called as they are, without the faster forms.
    Source: Wan-Video/Wan2.1@9737cba wan/modules/vae.py; Wan-Video/Wan2.2@42bf4cf wan/modules/vae2_2.py.
    """

    def __init__(self, config: WanVAEConfig, operations: Operations = TORCH_OPERATIONS) -> None:
        super().__init__()
        self.config = config
        channels = config.latent_channels
        self.encoder = Encoder(config, operations)
        self.conv1 = operations.Conv3d(2 * channels, 2 * channels, 1)
        self.conv2 = operations.Conv3d(channels, channels, 1)
        self.decoder = Decoder(config, operations)

    def arrange_weights(self) -> None:
        """Lay the kernels out channels last in memory, as the fast forms read them; no number changes."""
        layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
        for parameter in self.parameters():
            if parameter.ndim in layouts and parameter.shape[1] > 1:
                parameter.data = parameter.data.contiguous(memory_format=layouts[parameter.ndim])

    @torch.no_grad()
    def encode(self, video: Tensor, tiling: Tiling | None = None) -> Tensor:
        """Encode a clip: the mean of its latents, normalised.

        Args: video: as the class says.   tiling: less memory, the same result.
        Raises: ShapeError: sizes off the grid.   ConfigError: a tile off the grid.
        """
        self._check_video(video)
        pieces = self._video_pieces(video)
        windows = [[piece] for piece in pieces] if tiling is None else [pieces]
        moments = self._moments(windows, tiling, keep=tiling is None)
        return torch.cat([self._normalise(piece) for piece in moments], dim=2)

    @torch.no_grad()
    def encode_stream(self, pieces: Iterable[Tensor], tiling: Tiling | None = None) -> Iterator[Tensor]:
        """Encode a clip that comes piece by piece; memory does not grow with its length.

        Args: pieces: (B, 3, f, H, W): the first frame alone, then multiples of temporal_stride frames.
        Yields: latents of each piece, (B, latent_channels, 1 or f / temporal_stride, h, w).
        Raises: as `encode`, at the piece that does not fit.
        """
        for moments in self._moments(self._checked(pieces), tiling, keep=True):
            yield self._normalise(moments)

    @torch.no_grad()
    def decode(self, z: Tensor, tiling: Tiling | None = None) -> Tensor:
        """Decode latents.

        Args: z: (B, latent_channels, k + 1, h, w), normalised.   tiling: less memory, the same result.
        Returns: video (B, 3, temporal_stride * k + 1, H, W) in [-1, 1].
        Raises: ShapeError: another shape.   ConfigError: a tile off the grid.
        """
        self._check_latents(z)
        pieces = self._pixels(self._denormalise(z), tiling, z.shape[2])
        video: Tensor | None = None
        done = 0
        for piece in pieces:
            if video is None:
                frames = (z.shape[2] - 1) * self.config.temporal_stride + 1
                video = piece.new_empty((z.shape[0], COLOURS, frames, *piece.shape[3:]))
            torch.clamp(piece, -1, 1, out=video[:, :, done : done + piece.shape[2]])
            done += piece.shape[2]
        return cast(Tensor, video)

    @torch.no_grad()
    def decode_stream(self, z: Tensor, tiling: Tiling | None = None) -> Iterator[Tensor]:
        """Decode latents piece by piece; memory does not grow with the length of the clip.

        Args: as `decode`. With tiling, what a tile remembers waits in the CPU's memory for the tile's next turn.
        Yields: video (B, 3, f, H, W) in [-1, 1]: the first frame, then temporal_stride frames for each latent frame.
        Raises: as `decode`.
        """
        self._check_latents(z)
        for piece in self._pixels(self._denormalise(z), tiling, WINDOW):
            yield from piece.clamp(-1, 1).split(self.config.temporal_stride, dim=2)

    def posterior(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latents for training, each (B, latent_channels, k + 1, h, w), not normalised."""
        self._check_video(video)
        windows = [[piece] for piece in self._video_pieces(video)]
        mean, log_variance = torch.cat(list(self._moments(windows, None, keep=True)), dim=2).chunk(2, dim=1)
        return mean, log_variance

    def render(self, sample: Tensor) -> Tensor:
        """Decode latents that are not normalised to a video that is not clamped (for training)."""
        self._check_latents(sample)
        return torch.cat(list(self._pixels(sample, None, sample.shape[2])), dim=2)

    def _moments(
        self, windows: Iterable[Sequence[Tensor]], tiling: Tiling | None, *, keep: bool
    ) -> Iterator[Tensor]:
        """Encode window by window; yields (B, 2z, T', h, w) for each piece of a window."""
        whole, tiles, config = open_stream(self), None, self.config

        def shrink(part: Tensor, stream: Stream, places: Sequence[Place] | None) -> Tensor:
            x = lay_patches(part.to(self.conv1.weight), config.patch)
            return self.encoder.shrink(x, stream, places)

        for window in windows:
            if tiles is None:
                height, width = (side // config.patch for side in window[0].shape[3:])
                tiles = Tiles(self.encoder.chain(), height, width, tiling, config.spatial_stride, whole)
            for small in tiles.run(shrink, window, self.conv1.weight.device, config.patch, keep=keep):
                yield self.conv1(self.encoder.finish(small, whole))
                whole.advance()

    def _pixels(self, sample: Tensor, tiling: Tiling | None, window: int) -> Iterator[Tensor]:
        """Decode piece by piece, tiled ones in windows of latent frames; yields (B, 3, T', H, W), not clamped."""
        whole, config = open_stream(self), self.config
        height, width = sample.shape[3:]
        tiles = Tiles(self.decoder.chain(), height, width, tiling, config.patch, whole)
        pieces = whole.groups(sample, 1)
        step = 1 if tiling is None else window
        for start in range(0, len(pieces), step):
            smalls: list[Tensor] = []
            for piece in pieces[start : start + step]:
                smalls.append(self.decoder.begin(self.conv2(piece), whole))
                whole.advance()
            left = max(len(pieces) - start - step, 0)
            known = left if all(piece.shape[2] == 1 for piece in pieces) else None
            results = tiles.run(
                self.decoder.enlarge, smalls, sample.device, 1, keep=left > 0, following=known
            )
            for x in results:
                yield unlay_patches(x, config.patch)

    def _video_pieces(self, video: Tensor) -> Sequence[Tensor]:
        return open_stream(self).groups(video, self.config.temporal_stride)

    def _normalise(self, moments: Tensor) -> Tensor:
        mean = moments[:, : self.config.latent_channels]
        centre, spread = self._statistics(mean.device)
        return ((mean.float() - centre) / spread).to(mean.dtype)

    def _denormalise(self, z: Tensor) -> Tensor:
        weight = self.conv2.weight
        centre, spread = self._statistics(weight.device)
        return (z.to(weight.device).float() * spread + centre).to(weight.dtype)

    def _statistics(self, device: torch.device) -> tuple[Tensor, Tensor]:
        centre = torch.tensor(self.config.latents_mean, device=device).view(-1, 1, 1, 1)
        return centre, torch.tensor(self.config.latents_std, device=device).view(-1, 1, 1, 1)

    def _check_latents(self, z: Tensor) -> None:
        if z.ndim != 5 or z.shape[1] != self.config.latent_channels or 0 in z.shape:
            raise ShapeError(
                f"latents: expected (B, {self.config.latent_channels}, frames, rows, columns), got {tuple(z.shape)}. "
                "Decode with the VAE that belongs to the model."
            )

    def _check_video(self, video: Tensor) -> None:
        span = self.config.temporal_stride
        if video.ndim != 5 or video.shape[1] != COLOURS or video.shape[2] % span != 1 % span:
            raise ShapeError(
                f"video: expected (B, 3, {span}k+1, H, W), got {tuple(video.shape)}. Drop or repeat frames at the end."
            )
        self._check_size(video)

    def _check_size(self, video: Tensor) -> None:
        side = self.config.spatial_stride
        if 0 in video.shape or any(length % side for length in video.shape[3:]):
            raise ShapeError(
                f"video: expected height and width in multiples of {side}, got {tuple(video.shape[3:])}. "
                "Crop or scale the clip to that grid."
            )

    def _checked(self, pieces: Iterable[Tensor]) -> Iterator[list[Tensor]]:
        """Windows of one piece each, after a look at each."""
        size: tuple[int, ...] | None = None
        for piece in pieces:
            frames, span = piece.shape[2] if piece.ndim == 5 else 0, self.config.temporal_stride
            fits = frames == 1 if size is None else frames > 0 and frames % span == 0
            if not fits or piece.shape[1] != COLOURS or size not in (None, tuple(piece.shape[3:])):
                wanted = "1 frame" if size is None else f"{span}k frames of {size}"
                raise ShapeError(
                    f"piece of a video: expected (B, 3, ...) with {wanted}, got {tuple(piece.shape)}. "
                    "Give the first frame alone and then equal pictures."
                )
            self._check_size(piece)
            size = tuple(piece.shape[3:])
            yield [piece]
