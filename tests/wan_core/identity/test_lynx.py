"""Lynx equals the official modules: layers alone, the reference pass, and a whole step with guidance."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from tiny_lynx import TinyLynx, error, tiny_lynx
from torch import Tensor, nn

from wan_core.dit.execution import for_inference
from wan_core.errors import ConfigError, ShapeError
from wan_core.identity.lynx import LynxAdapter
from wan_core.identity.lynx_prepare import (
    LynxBranch,
    LynxPictures,
    LynxPrepared,
    draw_latents,
    prepare_lynx,
    reference_features,
)
from wan_core.identity.self_attention import recording
from wan_core.ops.rope import Places, rope_table, token_positions
from wan_core.sampling.guidance import GuidanceChain, GuidanceTerm

LIMIT = 1e-5


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> TinyLynx:
    return tiny_lynx("full", tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> TinyLynx:
    return tiny_lynx("lite", tmp_path_factory.mktemp("lite"))


@pytest.fixture(scope="module")
def prepared(full: TinyLynx) -> LynxPrepared:
    g = full.golden
    pictures = LynxPictures(face=g["face"], nobody=g["nobody"], context=g["face_context"])
    return prepare_lynx(full.adapter, full.model, g["embed"], pictures)


def velocity(tiny: TinyLynx, text: str, time: float, branch: LynxBranch) -> Tensor:
    own = () if branch.reference is None else (branch.reference,)
    latents, context = tiny.golden["latents"], tiny.golden[text]
    return tiny.model(
        latents, torch.tensor([time]), context, injections=(branch.identity,), self_injections=own
    )


def test_identity_tokens(full: TinyLynx) -> None:
    assert error(full.adapter.resampler(full.golden["embed"]), full.golden["identity_tokens"]) < LIMIT


def test_identity_attention_alone(full: TinyLynx, prepared: LynxPrepared) -> None:
    attention, g = full.model.tower_blocks()[1].cross_attn, full.golden
    found = attention(g["hidden"], g["embedded"], None, None, (prepared.face.identity.with_scale(0.8),), 1)
    assert error(found, g["ip_attention"]) < LIMIT


def test_reference_pass(full: TinyLynx) -> None:
    g = full.golden
    found = reference_features(full.model, g["face"], g["face_context"])
    assert [error(own, g[f"features.{index}"]) < LIMIT for index, own in enumerate(found)] == [True, True]


def test_reference_attention_alone(full: TinyLynx, prepared: LynxPrepared) -> None:
    assert prepared.face.reference is not None
    block, g = full.model.tower_blocks()[1], full.golden
    table = rope_table(token_positions((Places((1, 3, 3)),)), full.model.config.head_dim)
    found = block.self_attn(g["hidden"], table, (prepared.face.reference.with_scale([9.0, 0.7]),), 1)
    assert error(found, g["ref_attention"]) < LIMIT


def test_a_step_of_full_with_three_term_guidance(full: TinyLynx, prepared: LynxPrepared) -> None:
    conditions = {
        "u": ("negative", prepared.nobody),
        "i": ("negative", prepared.face),
        "c": ("context", prepared.face),
    }
    found = {name: velocity(full, text, 437.0, branch) for name, (text, branch) in conditions.items()}
    errors = {name: error(own, full.golden[f"velocity.{name}"]) for name, own in found.items()}
    assert max(errors.values()) < LIMIT, errors
    chain = GuidanceChain(
        "u", [GuidanceTerm(condition="i", video=2.0), GuidanceTerm(condition="c", video=5.0)]
    )
    run = chain.start()
    planned = run.plan(0, (0.437, 0.0), (True, False))
    guided = run.combine("video", {p.place: found[p.condition] for p in planned}, full.golden["latents"])
    assert error(guided, full.golden["guided"]) < LIMIT


def test_a_step_of_lite_with_plain_guidance(lite: TinyLynx) -> None:
    assert lite.adapter.config.blocks == (0, 2)
    made = prepare_lynx(lite.adapter, lite.model, lite.golden["embed"])
    u, c = velocity(lite, "negative", 611.0, made.nobody), velocity(lite, "context", 611.0, made.face)
    assert error(u, lite.golden["velocity.u"]) < LIMIT and error(c, lite.golden["velocity.c"]) < LIMIT
    assert error(u + 5.0 * (c - u), lite.golden["guided"]) < LIMIT


def test_blocks_without_layers_stay_alone_at_any_scale(lite: TinyLynx) -> None:
    injection = prepare_lynx(lite.adapter, lite.model, lite.golden["embed"]).face.identity.with_scale(2.0)
    query = torch.randn(1, 2, 3, 16)
    assert [injection.attend(i, query) is None for i in range(4)] == [False, True, False, True]


@dataclass(frozen=True)
class LiveIdentity:
    """The unprepared path: keys and values from the adapter's weights at every call."""

    adapter: LynxAdapter
    embeds: Tensor
    norms: Sequence[nn.Module]

    def attend(self, block_index: int, query: Tensor) -> Tensor | None:
        made = self.adapter.prepare_identity(self.embeds, self.norms, query.shape[1])
        return made.attend(block_index, query)


def test_prepared_equals_unprepared_and_outlives_the_adapter(full: TinyLynx, prepared: LynxPrepared) -> None:
    g = full.golden
    live = LiveIdentity(full.adapter, g["embed"], full.model.key_norms())
    expected = full.model(g["latents"], torch.tensor([400.0]), g["context"], injections=(live,))
    adapter = LynxAdapter(full.adapter.config)
    adapter.load_state_dict(full.adapter.state_dict())
    made = adapter.prepare_identity(g["embed"], full.model.key_norms(), 2)
    before = adapter.nbytes
    del adapter
    found = full.model(g["latents"], torch.tensor([400.0]), g["context"], injections=(made,))
    assert torch.equal(found, expected)
    assert before == prepared.adapter_bytes
    # 2 sides x 2 blocks x (5 + 3 identity tokens and 6 of the picture) x key and value x 32 numbers of 4 bytes
    assert prepared.nbytes == 2 * 2 * (8 + 6) * 2 * 32 * 4
    assert prepared.memory_note() == (
        f"identity adapter: {before / 2**20:.1f} MiB of weights before, "
        f"{prepared.nbytes / 2**20:.1f} MiB of keys and values after."
    )


def test_scale_zero_is_a_bit_exact_no_op(full: TinyLynx, prepared: LynxPrepared) -> None:
    g = full.golden
    plain = full.model(g["latents"], torch.tensor([400.0]), g["context"])
    assert prepared.face.reference is not None
    off = LynxBranch(
        identity=prepared.face.identity.with_scale(0.0), reference=prepared.face.reference.with_scale(0.0)
    )
    assert torch.equal(velocity(full, "context", 400.0, off), plain)
    assert not torch.equal(velocity(full, "context", 400.0, prepared.face), plain)
    # nothing stays behind on the model
    assert torch.equal(full.model(g["latents"], torch.tensor([400.0]), g["context"]), plain)
    assert full.model.walk is iter


def test_moves_to_another_dtype(prepared: LynxPrepared) -> None:
    moved = prepared.to(dtype=torch.bfloat16)
    assert moved.nbytes * 2 == prepared.nbytes
    assert moved.adapter_bytes == prepared.adapter_bytes


@torch.no_grad()
def test_works_on_the_layout_for_cpus_and_on_half_precision(full: TinyLynx, prepared: LynxPrepared) -> None:
    g = full.golden
    fast = TinyLynx(g, for_inference(full.model), full.adapter)
    assert error(velocity(fast, "context", 437.0, prepared.face), g["velocity.c"]) < LIMIT
    half = copy.deepcopy(full.model).to(torch.bfloat16)
    moved = prepared.face.to(dtype=torch.bfloat16)
    found = velocity(TinyLynx(g, half, full.adapter), "context", 437.0, moved)
    assert error(found, g["velocity.c"]) < 0.05
    # a step that is done again in float32
    again = velocity(full, "context", 437.0, moved)
    assert error(again, g["velocity.c"]) < 0.05


def test_the_model_is_left_alone_after_an_error(full: TinyLynx) -> None:
    with pytest.raises(RuntimeError, match="stop"), recording(full.model) as found:
        for block in full.model.walk(full.model.tower_blocks()):
            assert block.self_attn._forward_pre_hooks
            raise RuntimeError("stop")
    assert found == [] and full.model.walk is iter
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in full.model.modules()]
    assert sum(hooks) == 0


def test_another_batch_is_refused(full: TinyLynx, prepared: LynxPrepared) -> None:
    own = prepared.face.reference
    assert own is not None
    doubled = replace(
        own,
        keys=tuple(k.repeat(2, 1, 1, 1) for k in own.keys),
        values=tuple(v.repeat(2, 1, 1, 1) for v in own.values),
    )
    latents = full.golden["latents"].repeat(3, 1, 1, 1, 1)
    with pytest.raises(ShapeError, match="expected batch 3"):
        full.model(latents, torch.zeros(3), full.golden["context"], self_injections=(doubled,))


def test_full_wants_pictures_and_lite_none(full: TinyLynx, lite: TinyLynx) -> None:
    with pytest.raises(
        ConfigError, match="Lynx full: expected the pictures of the face and of nobody, got none"
    ):
        prepare_lynx(full.adapter, full.model, full.golden["embed"])
    g = full.golden
    pictures = LynxPictures(face=g["face"], nobody=g["nobody"], context=g["face_context"])
    with pytest.raises(ConfigError, match="Lynx lite: expected none, got some"):
        prepare_lynx(lite.adapter, lite.model, lite.golden["embed"], pictures)
    with pytest.raises(ConfigError, match="expected an adapter with reference layers, got lite"):
        lite.adapter.prepare_reference([], [], 2)


def test_another_transformer_is_refused(full: TinyLynx, lite: TinyLynx) -> None:
    with pytest.raises(
        ShapeError, match="expected 2 blocks of width 32 for this Lynx, got 4 blocks with 2 heads"
    ):
        prepare_lynx(
            full.adapter,
            lite.model,
            full.golden["embed"],
            LynxPictures(
                face=full.golden["face"], nobody=full.golden["nobody"], context=full.golden["face_context"]
            ),
        )
    with pytest.raises(ShapeError, match=r"expected latents \(B, C, 1, h, w\)"):
        reference_features(full.model, full.golden["latents"], full.golden["face_context"])
    features = reference_features(full.model, full.golden["face"], full.golden["face_context"])
    with pytest.raises(ShapeError, match="reference features: expected 2 of width 32, got 1"):
        full.adapter.prepare_reference(features[:1], full.model.key_norms(), 2)


def test_latents_are_drawn_as_diffusers_draws_them(full: TinyLynx) -> None:
    g = full.golden
    found = draw_latents(g["moments"], g["mean"], g["std"], torch.Generator().manual_seed(43))
    assert error(found, g["drawn_with_seed_43"]) < LIMIT
