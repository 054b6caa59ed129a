from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_mmaudio import HEADERS, codec_states, write_codec, write_codec_safetensors

from wan_core.audio.mmaudio import MMAudioCodec, MMAudioConfig
from wan_core.checkpoints.describe import describe
from wan_core.checkpoints.header import Header, TensorInfo
from wan_core.checkpoints.mmaudio import compare, load_audio_codec, plain_names
from wan_core.errors import CheckpointMismatchError, UnknownCheckpointError


@pytest.mark.parametrize("part", ["VAE", "vocoder"])
def test_every_tensor_of_the_published_files_has_its_place(part: str) -> None:
    """Names and shapes at full size, on meta."""
    tensors = {name: TensorInfo(tuple(shape), "F32") for name, shape in HEADERS[part].items()}
    header = Header(tensors, dict.fromkeys(tensors, Path("w")), {}, part)
    with torch.device("meta"):
        codec = MMAudioCodec(MMAudioConfig())
    module = codec.vae if part == "VAE" else codec.vocoder
    names = plain_names(header)
    compare(module, header, names)
    assert len(names) == len(module.state_dict()) and len(names) == {"VAE": 57, "vocoder": 668}[part]
    older = {k.replace("parametrizations.weight.original", "weight_"): v for k, v in tensors.items()}
    older = {k.replace("weight_0", "weight_g").replace("weight_1", "weight_v"): v for k, v in older.items()}
    assert plain_names(Header(older, dict.fromkeys(older, Path("w")), {}, part)) == names


def test_both_layouts_give_the_same_codec(tmp_path: Path) -> None:
    first = load_audio_codec(*write_codec(tmp_path))
    second = load_audio_codec(*write_codec_safetensors(tmp_path))
    stored = second.state_dict()
    assert all(torch.equal(tensor, stored[name]) for name, tensor in first.state_dict().items())


def test_inspect_knows_both_files(tmp_path: Path) -> None:
    vae, vocoder = (describe(path) for path in write_codec(tmp_path))
    assert vae.model == "audio VAE of MMAudio" and vocoder.model == "vocoder of MMAudio (BigVGAN)"
    assert "--audio-vae and --vocoder" in vae.place and vae.place == vocoder.place


def test_files_of_another_kind_or_in_the_wrong_order(tmp_path: Path) -> None:
    vae, vocoder = write_codec(tmp_path)
    with pytest.raises(UnknownCheckpointError, match=r"MMAudio's VAE of 16 kHz.*Name v1-16.pth"):
        load_audio_codec(vocoder, vae)


def test_a_missing_and_a_strange_tensor_are_named(tmp_path: Path) -> None:
    vae, vocoder = write_codec(tmp_path)
    state, _ = codec_states()
    state["quant.weight"] = state.pop("encoder.mid.block_1.conv1.weight")
    torch.save(state, vae)
    with pytest.raises(CheckpointMismatchError) as caught:
        load_audio_codec(vae, vocoder)
    text = str(caught.value)
    assert "1 missing (encoder.mid.block_1.conv1.weight), 1 unexpected (quant.weight)" in text
