"""Speech in a person's own voice: Pocket TTS of transformers, from a folder that the user names.

Chosen among the speech models that transformers 5.23 ships because it alone clones a voice from a few seconds without a
transcript of them, has 100 million parameters and by its makers' figures speaks faster than real time on two cores of a
CPU, and may be used commercially: code MIT, weights CC-BY-4.0 (their card asks for consent of the person whose voice it
is). Passed over: CSM (1 B, wants a transcript of the reference), Dia (1.6 B, transcript, GPU), VibeVoice (1.5 B and
more), Higgs Audio v2 (3 B, own licence), SpeechT5 (needs a separate speaker encoder), Bark and VITS (clone no voice).
Source: interface of huggingface/transformers v5.23 models/pocket_tts (Apache-2.0); kyutai-labs/pocket-tts (MIT).
"""

from __future__ import annotations

import importlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor

from ..errors import CheckpointError, InputError, MissingDependencyError, UnknownCheckpointError, WanCoreError
from ..ops.resample import resample_waveform
from ..types import AudioClip

MODEL_TYPE = "pocket_tts"
LONGEST_REFERENCE = 20.0
"""Seconds of the reference recording that are listened to."""

_CODEC_FOLDER = "audio_tokenizer"
_TOKENS_AT_ONCE = 50
_SCALARS = ("short_text_max_words", "frames_after_eos_short_text", "frames_after_eos", "fade_in_duration")


class SpokenPart(NamedTuple):
    """Speech of some sentences: `waveform` (samples,) float32, and whether the model came to an end by itself."""

    waveform: Tensor
    has_ended: bool


@dataclass(frozen=True, slots=True, eq=False)
class SpeechModel:
    """A loaded model.

    model, processor: transformers' objects.   device: where it computes.   sample_rate: Hz of what it speaks.
    """

    model: Any
    processor: Any
    device: torch.device
    sample_rate: int


def load_speech_model(folder: Path | str, *, device: torch.device | str = "cpu") -> SpeechModel:
    """Load a speech model from a folder; nothing is downloaded.

    Args:
        folder: as `save_pretrained` or a download of the repository leaves it: config.json, model.safetensors, the
            tokenizer's files, processor_config.json, chat_template.jinja; the codec in a folder `audio_tokenizer`.
        device: where to compute.
    Returns:
        `SpeechModel`.
    Raises:
        CheckpointError: a file is missing or damaged.   UnknownCheckpointError: another kind of model.
        MissingDependencyError: transformers is missing or too old.
    """
    folder = Path(folder)
    config = _read_json(folder / "config.json")
    kind = config.get("model_type")
    if kind != MODEL_TYPE:
        raise UnknownCheckpointError(
            f"speech model: expected a folder of {MODEL_TYPE}, got {kind!r} in {folder / 'config.json'}. "
            "Name the folder of a Pocket TTS checkpoint in transformers' format."
        )
    settings = _read_json(folder / "processor_config.json")
    template = folder / "chat_template.jinja"
    codec_folder = folder / _CODEC_FOLDER
    for path in (template, codec_folder / "config.json"):
        if not path.is_file():
            stated = settings.get("audio_tokenizer", {}).get("audio_tokenizer_name_or_path", "its codec")
            what = f"the files of {stated} in {_CODEC_FOLDER}" if path.parent == codec_folder else path.name
            raise CheckpointError(f"speech model: expected {what}, got none at {path}. Put it there.")
    classes = _import_classes()
    try:
        tokenizer = classes["AutoTokenizer"].from_pretrained(folder, local_files_only=True)
        extractor = classes["PocketTTSFeatureExtractor"].from_pretrained(folder, local_files_only=True)
        codec, missing = classes["PocketTTSAudioTokenizerModel"].from_pretrained(
            codec_folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        model, more = classes["PocketTTSForConditionalGeneration"].from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        processor = classes["PocketTTSProcessor"](
            extractor,
            tokenizer,
            audio_tokenizer=codec,
            chat_template=template.read_text(encoding="utf-8"),
            **{key: settings[key] for key in _SCALARS if key in settings},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"speech model: expected the files of Pocket TTS, got {type(error).__name__}: {error} in {folder}. "
            "Copy the folder again."
        ) from error
    absent = sorted({*missing["missing_keys"], *more["missing_keys"]})
    if absent:
        raise CheckpointError(
            f"speech model: expected all weights, got none for {', '.join(absent[:5])} ({len(absent)} in all) in "
            f"{folder}. Copy the folder again."
        )
    place = torch.device(device)
    model.to(place).train(False)
    codec.to(place).train(False)
    return SpeechModel(model, processor, place, int(extractor.sampling_rate))


@torch.no_grad()
def encode_reference(speech: SpeechModel, voice: AudioClip) -> Tensor:
    """Listen to a voice once, for all that it will say.

    Args:
        speech: the model.   voice: mono, any rate; the first 20 s are used.
    Returns:
        Latents of the voice, (frames, D), on the CPU.
    Raises:
        InputError: not mono, empty, or samples that are not finite.
    """
    waveform = voice.waveform
    if waveform.ndim != 2 or waveform.shape[0] != 1 or not waveform.shape[1]:
        raise InputError(
            f"voice: expected (1, samples), got {tuple(waveform.shape)}. Convert it with wan_core.media.resample."
        )
    if not bool(waveform.isfinite().all()):
        raise InputError("voice: expected finite samples, got NaN or infinity. Export the recording again.")
    samples = resample_waveform(waveform.float(), voice.sample_rate, speech.sample_rate)
    samples = samples[0, : round(LONGEST_REFERENCE * speech.sample_rate)]
    inputs = speech.processor.feature_extractor([samples], sampling_rate=speech.sample_rate)
    codec = speech.processor.audio_tokenizer
    found = codec.encode(
        inputs["input_values"].to(codec.device, codec.dtype), inputs["padding_mask"].to(codec.device)
    )
    return found.latents[0][found.latents_mask[0].bool()].float().cpu()


def split_sentences(speech: SpeechModel, text: str) -> list[str]:
    """Cut a text into groups of sentences that the model speaks in one breath, at most 50 tokens each.

    Raises: InputError: nothing in it that can be said.
    """
    parts = [" ".join(part.split()) for part in speech.processor.split_text(text, _TOKENS_AT_ONCE)]
    if not any(character.isalnum() for part in parts for character in part):
        raise InputError(f"script: expected words to say, got {text.strip()[:40]!r}. Write a sentence.")
    return parts


@torch.no_grad()
def speak_part(speech: SpeechModel, text: str, reference: Tensor, seed: int) -> SpokenPart:
    """Speak some sentences.

    Args:
        speech: the model.   text: one of `split_sentences`.   reference: from `encode_reference`.
        seed: of the noise; the same seed, text and voice give the same speech on one machine.
    Returns:
        `SpokenPart`.
    Raises:
        WanCoreError: the model gave samples that are not finite.
    """
    content = [{"type": "audio"}, {"type": "text", "text": text}]
    prompt = speech.processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False)
    inputs = speech.processor(text=prompt, audio_prompt_latents=[reference], return_tensors="pt").to(
        speech.device
    )
    tokens = len(speech.processor.tokenizer.encode(text, add_special_tokens=False))
    budget = math.ceil((tokens / 3 + 2) * speech.model.config.frame_rate)
    devices = [speech.device] if speech.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        result = speech.model.generate(**inputs, return_dict_in_generate=True, max_new_tokens=budget)
    waveform = speech.processor.decode(result.audio_latents, result.audio_latents_mask)[0]
    bad = int((~waveform.isfinite()).sum())
    if bad:
        raise WanCoreError(
            f"speech: expected finite samples, got {bad} that are not for {text[:40]!r}. Speak again with another seed."
        )
    return SpokenPart(waveform, int(result.audio_latents_mask.sum()) < budget)


def _import_classes() -> dict[str, Any]:
    """transformers' classes by name.

    Raises: MissingDependencyError: not installed, or too old.
    """
    names = (
        "AutoTokenizer",
        "PocketTTSAudioTokenizerModel",
        "PocketTTSFeatureExtractor",
        "PocketTTSForConditionalGeneration",
        "PocketTTSProcessor",
    )
    try:
        module = importlib.import_module("transformers")
        return {name: getattr(module, name) for name in names}
    except (ImportError, AttributeError) as error:
        raise MissingDependencyError(
            f"transformers: expected a version with Pocket TTS (5.23 or newer), got: {error}. "
            'Run: pip install --upgrade "transformers>=5.23"'
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"speech model: expected {path.name} in JSON, got {type(error).__name__} at {path}. "
            "Name the folder of a Pocket TTS checkpoint."
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(
            f"speech model: expected an object, got a list or value in {path}. Copy the file again."
        )
    return content
