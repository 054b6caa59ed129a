"""Bad input in ComfyUI: the node says in one line what was expected and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from comfy_server import ComfyServer, failure_of
from prompts import Prompt, character, model_and_text, node, sampler, save
from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.comfy


def fail(comfy: ComfyServer, *parts: Prompt) -> str:
    prompt: Prompt = {}
    for part in parts:
        prompt.update(part)
    entry = comfy.wait(comfy.queue({**prompt, **save("bad")}))
    assert entry["status"]["status_str"] == "error"
    assert not list((comfy.base / "output").glob("bad*"))
    return failure_of(entry)


def test_photo_without_a_face(comfy: ComfyServer) -> None:
    message = fail(comfy, model_and_text(), character(face="auto"), sampler(with_character=True))
    assert "WanR2V_EncodeIdentity" in message and "expected a frontal face, got none" in message
    assert "What was seen: " in message
    seen = Path(message.split("What was seen: ")[1].splitlines()[0].strip())
    assert seen.suffix == ".png" and seen.read_bytes().startswith(b"\x89PNG")


def test_detector_that_is_not_there(comfy: ComfyServer) -> None:
    parts = character()
    parts["identity"]["inputs"]["detector"] = "yunet"
    message = fail(comfy, model_and_text(), parts, sampler(with_character=True))
    assert "expected face_detection_yunet_2023mar.onnx in models/face_detection, got none" in message


def test_silent_voice(comfy: ComfyServer) -> None:
    message = fail(comfy, model_and_text(), character(voice="silence.wav"), sampler(with_character=True))
    assert "WanR2V_EncodeVoice" in message and "expected speech, got silence" in message


def test_prompt_of_unknown_words(comfy: ComfyServer) -> None:
    unknown = {"prompt": node("WanR2V_EncodePrompt", clip=["model", 1], prompt="zebra quantum")}
    message = fail(comfy, model_and_text(), unknown, sampler())
    assert "WanR2V_EncodePrompt" in message and "Nano knows" in message


def test_character_without_face_and_voice(comfy: ComfyServer) -> None:
    empty = {"character": node("WanR2V_Character", name="character1", consent="own")}
    message = fail(comfy, model_and_text(), {**character(), **empty}, sampler(with_character=True))
    assert "expected a face or a voice, got neither" in message


def test_consent_not_chosen(comfy: ComfyServer) -> None:
    parts = character()
    parts["character"]["inputs"]["consent"] = "choose"
    message = fail(comfy, model_and_text(), parts, sampler(with_character=True))
    assert "expected a consent of own, written, fictional, got none" in message


def test_shape_of_a_face_that_is_not_there(comfy: ComfyServer) -> None:
    parts = character()
    del parts["character"]["inputs"]["identity"]
    box = {"left": 0.0, "top": 0.0, "right": 0.5, "bottom": 1.0, "start": 0.0, "end": 1.0}
    parts["box"] = node("WanR2V_IdentityRegion", **box)
    parts["applied"]["inputs"]["region"] = ["box", 0]
    message = fail(comfy, model_and_text(), parts, sampler(with_character=True))
    assert "region: expected a face of character1 to shape, got a voice alone" in message


def test_prompt_that_names_somebody_who_was_not_applied(comfy: ComfyServer) -> None:
    named = {"prompt": node("WanR2V_EncodePrompt", clip=["model", 1], prompt="character2 waves at the beach")}
    alone = fail(comfy, model_and_text(), named, sampler())
    assert "WanR2V_Sampler" in alone and "got none for character2" in alone
    other = fail(comfy, model_and_text(), named, character(), sampler(with_character=True))
    assert "WanR2V_ApplyCharacters" in other and "got none for character2" in other


def test_lora_with_numbers_that_are_none(comfy: ComfyServer) -> None:
    """The engine's own loop names the block where they first appear, and what to do."""
    folder = comfy.base / "models" / "loras"
    weights = load_file(folder / "random.safetensors")
    weights["diffusion_model.video_model.blocks.0.self_attn.q.lora_A.weight"][0, 0] = float("nan")
    save_file(weights, folder / "broken.safetensors")
    lora = node("LoraLoaderModelOnly", model=["model", 0], lora_name="broken.safetensors", strength_model=1.0)
    message = fail(comfy, model_and_text(), {"lora": lora}, sampler(model=["lora", 0]))
    assert "WanR2V_Sampler" in message and "step 1" in message and "video_model.blocks.0" in message


def test_latent_without_sound(comfy: ComfyServer) -> None:
    plain = {"latent": node("EmptyHunyuanLatentVideo", width=64, height=64, length=17, batch_size=1)}
    message = fail(comfy, model_and_text(), plain, sampler())
    assert "WanR2V_Sampler" in message and "expected picture and sound, got the picture alone" in message


def test_prompts_that_were_combined(comfy: ComfyServer) -> None:
    both = {"both": node("ConditioningCombine", conditioning_1=["prompt", 0], conditioning_2=["nothing", 0])}
    message = fail(comfy, model_and_text(), both, sampler(positive=["both", 0]))
    assert "positive: expected one prompt, got 2 combined" in message


def test_weights_folder_without_all_parts(comfy: ComfyServer) -> None:
    folder = comfy.base / "models" / "wan_r2v" / "partial"
    folder.mkdir(exist_ok=True)
    (folder / "dit.safetensors").write_bytes(b"not a safetensors file")
    message = fail(comfy, model_and_text("partial"), sampler())
    assert "WanR2V_LoadDiT" in message and "text.safetensors" in message


def test_model_of_another_kind_is_refused_by_name(comfy: ComfyServer) -> None:
    """A VAE where the MODEL belongs does not reach the node: the server checks the types."""
    wrong = {"samples": node("WanR2V_Sampler", **{**sampler()["samples"]["inputs"], "model": ["model", 2]})}
    reply = comfy.post("/prompt", {"prompt": {**model_and_text(), **wrong, **save("bad")}})
    assert "return_type_mismatch" in str(reply["node_errors"])
