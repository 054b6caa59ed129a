"""A single tower: text (and references) to video, or to sound."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import ShapeError
from ..ops.kept import Kept
from ..ops.low_rank import LowRankLinear
from ..ops.norm import Layout
from ..ops.patchify import patch_grid, unpatchify
from ..ops.quantized import QuantizedLinear
from ..ops.rope import Places
from ..ops.timestep import timestep_embedding
from ..protocols import TORCH_OPERATIONS, Injection, Operations
from ..types import TokenStream
from .block import WanBlock
from .clean_sample import CleanSample
from .config import WanConfig
from .context import BlockContext, PreparedContext, merge_padding
from .embed import Head, ImageProjection, make_patch_embedding
from .inputs import check_tokens, fewest_steps, rope_of_places, shared_steps, stream_biases
from .speech import PreparedSpeech, SpeechProjection, no_windows, prepare_speech

#: A clean-sample prediction is turned into a velocity by dividing by the fraction of noise, but by no less than this.
MIN_SIGMA = 0.05


class TowerInputs(NamedTuple):
    """What the blocks of a tower share during one forward.

    tokens: (B, L, D) float32, the noisy ones first.   grid: patches per axis of the noisy latents.
    time: (B, G, D) and modulation: (B, G, 6, D), float32, with G timesteps per sample.
    context: (B, N, D), or prepared.   image_context: (B, N, D), or None.   places: of the noisy tokens and each stream.
    layout: how tokens and timesteps are divided between the noisy latents and the streams; None without streams.
    work: dtype of the layers' inputs.   biases: of `stream_biases`.
    """

    tokens: Tensor
    grid: tuple[int, ...]
    time: Tensor
    modulation: Tensor
    context: Tensor | PreparedContext
    image_context: Tensor | None
    places: tuple[Places, ...]
    layout: Layout | None
    work: torch.dtype
    biases: tuple[Tensor | None, ...] | None = None

    def bias(self, index: int) -> Tensor | None:
        """What is added to the scores of the keys in the self-attention of a block, (L,), or None."""
        return None if self.biases is None else self.biases[index]

    def block_context(self, index: int) -> Tensor | BlockContext:
        """What the cross-attention of a block takes as its context."""
        return self.context.blocks[index] if isinstance(self.context, PreparedContext) else self.context


class PlacedStream(NamedTuple):
    """How the blocks see a `TokenStream`: number of tokens, where they stand, timestep (B, 1)."""

    length: int
    places: Places
    timestep: Tensor


class WanModel(nn.Module):
    """The Wan transformer; the parameter names are those of the published checkpoints.

    Args:
        config: sizes.
        other_dim: width of the other tower when this one is part of a `JointModel`, else None.
        operations: namespace that layers are made from.
    Source: Wan-Video/Wan2.1@9737cba wan/modules/model.py WanModel. Differs: tables and timestep modulation are made
    once per forward, a timestep may be given per latent frame, injections add to the cross-attention.
    """

    def __init__(
        self,
        config: WanConfig,
        *,
        other_dim: int | None = None,
        operations: Operations = TORCH_OPERATIONS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        #: How the blocks are gone through; each is used until the next one is asked for. A pipeline that keeps blocks
        #: elsewhere puts an iterator here that brings them in turn.
        self.walk: Callable[[Sequence[WanBlock]], Iterable[WanBlock]] = iter
        self._table = Kept(rope_of_places, 4)
        dim = config.dim
        self.patch_embedding = make_patch_embedding(config, operations=operations, device=device, dtype=dtype)
        self.text_embedding = nn.Sequential(
            operations.Linear(config.text_dim, dim, device=device, dtype=dtype),
            nn.GELU(approximate="tanh"),
            operations.Linear(dim, dim, device=device, dtype=dtype),
        )
        self.time_embedding = nn.Sequential(
            operations.Linear(config.freq_dim, dim, device=device, dtype=dtype),
            nn.SiLU(),
            operations.Linear(dim, dim, device=device, dtype=dtype),
        )
        self.time_projection = nn.Sequential(
            nn.SiLU(), operations.Linear(dim, 6 * dim, device=device, dtype=dtype)
        )
        if config.image_dim is not None:
            self.img_emb = ImageProjection(
                config.image_dim,
                dim,
                config.image_positions,
                operations=operations,
                device=device,
                dtype=dtype,
            )
        if config.speech is not None:
            self.audio_proj = SpeechProjection(
                config.speech, operations=operations, device=device, dtype=dtype
            )
        self.blocks = nn.ModuleList(
            WanBlock(config, other_dim, operations=operations, device=device, dtype=dtype)
            for _ in range(config.num_layers)
        )
        out_features = math.prod(config.patch_size) * config.out_channels
        self.head = Head(dim, out_features, config.eps, operations=operations, device=device, dtype=dtype)
        if config.prediction == "sample":
            self.clean_sample = CleanSample(config.out_channels, device=device)

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        context: Tensor | PreparedContext,
        *,
        image_embeds: Tensor | None = None,
        injections: Sequence[Injection] = (),
        self_injections: Sequence[Injection] = (),
        streams: Sequence[TokenStream] = (),
        speech: PreparedSpeech | None = None,
    ) -> Tensor:
        """Predict the velocity (noise minus clean sample) of noisy latents.

        Args:
            latents: (B, C, F, H, W), or (B, C, T) for a sequence.
            timestep: (B,), or (B, F) with one per latent frame, or one per token; range [0, 1000].
            context: text embedding, (B or 1, L, text_dim); all rows are attended to, so pad as the model was trained.
                Or what `prepare` made of it and of the image embeddings.
            image_embeds: CLIP embeddings, (B or 1, N, image_dim), for a model with `image_dim`, else None.
            injections: references that add to the cross-attention.
            self_injections: references that add to the self-attention; they see the queries before RoPE, those of
                the streams among them.
            streams: extra tokens that take part in everything and are dropped at the end.
            speech: what `prepare_speech` made, for a model with `speech`; None: it hears silence.
        Returns: (B, out_channels, F, H, W) or (B, out_channels, T), in the dtype of `latents`.
        Raises: ShapeError: a size does not fit the model.
        """
        inputs = self.embed(latents, timestep, context, image_embeds=image_embeds, streams=streams)
        table = self._table((inputs.places, self.config.head_dim, latents.device))
        heard = self._heard(speech, inputs)
        x = inputs.tokens
        for index, block in enumerate(self.walk(self.tower_blocks())):
            modulation = block.modulate(inputs.modulation)
            own = (self_injections, index, inputs.bias(index))
            x = block.attend_self(x, modulation, table, inputs.work, inputs.layout, *own)
            x = block.attend_context(
                x, inputs.block_context(index), inputs.image_context, None, injections, index
            )
            if heard is not None:
                x = block.attend_speech(x, heard.blocks[index], math.prod(inputs.grid[1:]))
            x = block.feed_forward(x, modulation, inputs.work, inputs.layout)
        return self.unembed(x, inputs, latents, timestep)

    def prepare(self, context: Tensor, image_embeds: Tensor | None = None) -> PreparedContext:
        """Compute what all blocks read of a prompt once, for every step of sampling; padding rows are merged.

        Args: as in `forward`.
        Returns: to be given to `forward` as the context, then without image embeddings. Valid until the weights change.
        Raises: ShapeError: a size does not fit the model.
        """
        self._check_context(context, image_embeds, context.shape[0])
        work = self._working_dtype(context)
        rows, bias = merge_padding(context)
        text = self.text_embedding(rows.to(work))
        bias = None if bias is None else bias.to(work)
        image = None if image_embeds is None else self.img_emb(image_embeds.to(work))
        blocks = [block.cross_attn.read(text, image, bias) for block in self.walk(self.tower_blocks())]
        return PreparedContext(blocks=tuple(blocks))

    def prepare_speech(self, windows: Tensor) -> PreparedSpeech:
        """Compute what all blocks read of speech once, for every step of sampling.

        Args: windows: (B or 1, F, window, groups, features), one a latent frame; frames after them hear silence.
        Raises: ShapeError: windows of another form, or a model that does not hear.
        """
        if self.config.speech is None:
            raise ShapeError("speech: expected none for a model that does not hear, got some. Use HuMo.")
        attentions = (block.audio_cross_attn_wrapper for block in self.walk(self.tower_blocks()))
        return prepare_speech(self.audio_proj, attentions, windows.to(self._working_dtype(windows)))

    def _heard(self, speech: PreparedSpeech | None, inputs: TowerInputs) -> PreparedSpeech | None:
        """Speech for the blocks; silence for a model that hears and was given none."""
        if speech is None and self.config.speech is None:
            return None
        if speech is None or self.config.speech is None:
            speech = self.prepare_speech(no_windows(self.config, inputs.tokens.device, inputs.work))
        return speech.to(inputs.tokens.device, inputs.work)

    def tower_blocks(self) -> list[WanBlock]:
        """The blocks in order."""
        return [block for block in self.blocks if isinstance(block, WanBlock)]

    def key_norms(self) -> list[nn.Module]:
        """Each block's `cross_attn.norm_k`, as `KeyValueAdapter.prepare` wants them."""
        return [block.cross_attn.norm_k for block in self.tower_blocks()]

    def embed(
        self,
        latents: Tensor,
        timestep: Tensor,
        context: Tensor | PreparedContext,
        *,
        image_embeds: Tensor | None = None,
        streams: Sequence[TokenStream] = (),
        position_scale: float = 1.0,
        position_offset: float = 0.0,
    ) -> TowerInputs:
        """Compute everything that comes before the first block; arguments as in `forward`.

        Args: position_scale, position_offset: token j of a sequence stands at scale * j + offset; not used for video.
        Raises: ShapeError: a size does not fit the model.
        """
        config = self.config
        self._check_latents("latents", latents)
        self._check_context(context, image_embeds, latents.shape[0])
        timestep = timestep.to(device=latents.device, dtype=torch.float32)
        work = self._working_dtype(latents)
        tokens, grid = self._patch(latents, streams, work)
        places = (Places(grid, position_scale, (position_offset, 0.0, 0.0)),)
        steps = fewest_steps(self._timestep_groups(timestep, latents.shape[0], grid), grid[0])
        layout, biases = None, None
        if streams:
            more = [self._place_stream(stream, timestep, position_scale) for stream in streams]
            layout = ((math.prod(grid), steps.shape[1]), *((m.length, 1) for m in more))
            places = (*places, *(m.places for m in more))
            steps = torch.cat((steps, *(m.timestep.to(steps) for m in more)), dim=1)
            counts = [m.length for m in more]
            like = latents.new_empty(0, dtype=work)
            biases = stream_biases(math.prod(grid), streams, counts, config.num_layers, like)
        steps = shared_steps(steps)
        time = self.time_embedding(timestep_embedding(steps, config.freq_dim).to(work))
        modulation = self.time_projection(time).float().unflatten(-1, (6, config.dim))
        if isinstance(context, PreparedContext):
            embedded = context.to(latents.device, work)
        else:
            embedded = self.text_embedding(context.to(work))
        return TowerInputs(
            tokens=tokens,
            grid=grid,
            time=time.float(),
            modulation=modulation,
            context=embedded,
            image_context=None if image_embeds is None else self.img_emb(image_embeds.to(work)),
            places=places,
            layout=layout,
            work=work,
            biases=biases,
        )

    def unembed(self, x: Tensor, inputs: TowerInputs, latents: Tensor, timestep: Tensor) -> Tensor:
        """Turn the tokens after the last block into a velocity; shapes as in `forward`."""
        time = inputs.time
        if inputs.layout is not None:
            count, groups = inputs.layout[0]
            x, time = x[:, :count], time[:, :groups]
        output = unpatchify(self.head(x, time, inputs.work), inputs.grid, self.config.patch_size)
        if self.config.prediction == "velocity":
            return output.to(latents.dtype)
        if timestep.ndim == 2 and timestep.shape[1] != latents.shape[2]:
            raise ShapeError(
                f"timestep: expected (batch,) or (batch, {latents.shape[2]}), got {tuple(timestep.shape)}. "
                "A model that predicts the clean sample takes one timestep per latent frame."
            )
        sigma = timestep.to(device=latents.device, dtype=torch.float32) / 1000
        sigma = sigma.view(sigma.shape[0], 1, -1, *(1,) * (latents.ndim - 3))
        noisy = latents.float()
        clean = self.clean_sample(output.float(), noisy, sigma)
        return ((noisy - clean) / sigma.clamp(min=MIN_SIGMA)).to(latents.dtype)

    def _patch(
        self, latents: Tensor, streams: Sequence[TokenStream], work: torch.dtype
    ) -> tuple[Tensor, tuple[int, ...]]:
        """Tokens (B, L, D), float32, of latents and streams, and patches per axis of the latents.

        A sequence is embedded together with its streams: its convolutions reach over the borders (DreamID-Omni).
        """
        batch = latents.shape[0]
        for stream in streams:
            self._check_latents("stream", stream.latents)
            if stream.latents.shape[0] not in (1, batch):
                raise ShapeError(
                    f"stream: expected batch {batch} (as the latents) or 1, got {stream.latents.shape[0]}. "
                    "Give one reference per sample."
                )
        grid = patch_grid(tuple(latents.shape[2:]), self.config.patch_size)
        pieces = [latents.to(work), *(s.latents.to(latents.device, work) for s in streams)]
        if self.config.ndim == 1 and streams:
            pieces = [torch.cat([piece.expand(batch, -1, -1) for piece in pieces], dim=2)]
        # Token by token in memory: every block would go through channels with steps of the whole length otherwise.
        tokens = [
            self.patch_embedding(p).flatten(2).transpose(1, 2).contiguous().float().expand(batch, -1, -1)
            for p in pieces
        ]
        return tokens[0] if len(tokens) == 1 else torch.cat(tokens, dim=1), grid

    def _place_stream(self, stream: TokenStream, timestep: Tensor, position_scale: float) -> PlacedStream:
        """Where the tokens of a stream stand, and their timestep."""
        batch = timestep.shape[0]
        if stream.timestep is None and timestep.ndim != 1:
            raise ShapeError(
                f"stream: expected its own timestep beside latents with timesteps {tuple(timestep.shape)}, got None. "
                "Set it: 0 for a clean one."
            )
        grid = patch_grid(tuple(stream.latents.shape[2:]), self.config.patch_size, "stream")
        own = (
            timestep.unsqueeze(1)
            if stream.timestep is None
            else timestep.new_full((batch, 1), stream.timestep)
        )
        return PlacedStream(math.prod(grid), Places(grid, position_scale, stream.offset, stream.source), own)

    def _timestep_groups(self, timestep: Tensor, batch: int, grid: tuple[int, ...]) -> Tensor:
        """Return (B, G) timesteps with G = 1, frames or tokens."""
        allowed = (grid[0], math.prod(grid))
        if timestep.ndim == 1 and timestep.shape[0] == batch:
            return timestep.unsqueeze(1)
        if timestep.ndim == 2 and timestep.shape[0] == batch and timestep.shape[1] in allowed:
            return timestep
        raise ShapeError(
            f"timestep: expected ({batch},), ({batch}, {allowed[0]}) or ({batch}, {allowed[1]}), got "
            f"{tuple(timestep.shape)}. Give one per sample, per latent frame or per token."
        )

    def _working_dtype(self, latents: Tensor) -> torch.dtype:
        """Dtype of the layers' inputs: that of plain torch.nn weights; other layers convert to that of the latents."""
        layer = self.time_embedding[0]
        while isinstance(layer, LowRankLinear):
            layer = layer.base
        if isinstance(layer, QuantizedLinear):
            return layer.work_dtype
        return layer.weight.dtype if type(layer) is nn.Linear else latents.dtype

    def _check_latents(self, what: str, latents: Tensor) -> None:
        config = self.config
        if latents.ndim != config.ndim + 2 or latents.shape[1] != config.in_channels:
            axes = "frames, height, width" if config.ndim == 3 else "length"
            raise ShapeError(
                f"{what}: expected (batch, {config.in_channels}, {axes}), got {tuple(latents.shape)}. "
                "Use the codec that belongs to this model."
            )

    def _check_context(
        self, context: Tensor | PreparedContext, image_embeds: Tensor | None, batch: int
    ) -> None:
        config = self.config
        if isinstance(context, PreparedContext):
            self._check_prepared(context, image_embeds, batch)
            return
        check_tokens("context", context, batch, config.text_dim)
        if (image_embeds is None) != (config.image_dim is None):
            expected = "none" if config.image_dim is None else f"(batch, tokens, {config.image_dim})"
            got = "none" if image_embeds is None else tuple(image_embeds.shape)
            raise ShapeError(
                f"image_embeds: expected {expected}, got {got}. Only Wan2.1 image-to-video models take CLIP "
                "embeddings, and these need them."
            )
        if image_embeds is not None and config.image_dim is not None:
            check_tokens("image_embeds", image_embeds, batch, config.image_dim)

    def _check_prepared(self, context: PreparedContext, image_embeds: Tensor | None, batch: int) -> None:
        config = self.config
        expected = (config.num_layers, config.num_heads, config.head_dim, config.image_dim is not None)
        _, heads, _, width = context.blocks[0].text.key.shape
        got = (len(context.blocks), heads, width, context.blocks[0].image is not None)
        if expected != got or context.batch not in (1, batch):
            raise ShapeError(
                f"context: expected one prepared for {expected} (blocks, heads, width of a head, with image) and batch "
                f"{batch} or 1, got {got} and batch {context.batch}. Prepare it with this model."
            )
        if image_embeds is not None:
            raise ShapeError(
                f"image_embeds: expected none beside a prepared context, got {tuple(image_embeds.shape)}. Give them "
                "to prepare."
            )
