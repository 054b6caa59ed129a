"""A speech model of the true layout, tiny and with random weights: transformers' own classes, saved as they save it."""

from __future__ import annotations

from pathlib import Path

import torch

SPECIAL = {
    "audio_prompt_bos_token": "<|voice_start|>",
    "audio_prompt_token": "<|voice|>",
    "audio_latent_token": "<|sound|>",
    "audio_bos_token": "<|sound_start|>",
}
TEMPLATE = (
    "{%- for message in messages -%}{%- for part in message['content'] if part['type'] == 'audio' -%}"
    "<|voice_start|><|voice|>{%- endfor -%}"
    "{%- for part in message['content'] if part['type'] == 'text' -%}{{ part['text'] }}{%- endfor -%}"
    "{%- endfor -%}<|sound_start|>"
)


def write_speech_model(folder: Path, *, seed: int = 0, eos_threshold: float = 1e9) -> Path:
    """Write model, tokenizer, feature extractor and codec; frames of 960 samples at 24 kHz."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GenerationConfig, PreTrainedTokenizerFast
    from transformers.models.pocket_tts.configuration_pocket_tts import PocketTTSConfig
    from transformers.models.pocket_tts.feature_extraction_pocket_tts import PocketTTSFeatureExtractor
    from transformers.models.pocket_tts.modeling_pocket_tts import PocketTTSForConditionalGeneration
    from transformers.models.pocket_tts.processing_pocket_tts import PocketTTSProcessor
    from transformers.models.pocket_tts_audio_tokenizer.configuration_pocket_tts_audio_tokenizer import (
        PocketTTSAudioTokenizerConfig,
    )
    from transformers.models.pocket_tts_audio_tokenizer.modeling_pocket_tts_audio_tokenizer import (
        PocketTTSAudioTokenizerModel,
    )

    letters = "abcdefghijklmnopqrstuvwxyz ,.;:!?'-0123456789"
    words = ["<unk>", "<pad>", *letters, *letters[:26].upper()]
    plain = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    plain.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain,
        unk_token="<unk>",
        pad_token="<pad>",
        padding_side="left",
        extra_special_tokens=SPECIAL,
    )
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in SPECIAL.items()}
    torch.manual_seed(seed)
    config = PocketTTSConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        latent_dim=8,
        pad_token_id=tokenizer.pad_token_id,
        audio_prompt_token_id=ids["audio_prompt_token"],
        audio_latent_token_id=ids["audio_latent_token"],
        audio_prompt_bos_token_id=ids["audio_prompt_bos_token"],
        audio_bos_token_id=ids["audio_bos_token"],
        frame_rate=2.0,
        flow_head_config={
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "latent_dim": 8,
            "condition_dim": 16,
            "frequency_embedding_size": 8,
        },
    )
    model = PocketTTSForConditionalGeneration(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    # Without an end the length is the model's own budget by the text, so that it grows with the words.
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=0.7,
        return_dict_in_generate=True,
        num_flow_steps=1,
        eos_threshold=eos_threshold,
        min_frames_before_eos=2,
    )
    codec = PocketTTSAudioTokenizerModel(
        PocketTTSAudioTokenizerConfig(
            hidden_size=16,
            num_filters=2,
            upsampling_ratios=[5, 4, 3],
            upsample_groups=16,
            num_hidden_layers=1,
            intermediate_size=16,
            num_attention_heads=2,
            num_key_value_heads=2,
            latent_dim=8,
        )
    )
    extractor = PocketTTSFeatureExtractor(frame_size=960, pad_to_multiple_of=960)
    processor = PocketTTSProcessor(extractor, tokenizer, audio_tokenizer=codec, chat_template=TEMPLATE)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    codec.save_pretrained(folder / "audio_tokenizer")
    codec.name_or_path = "audio_tokenizer"
    processor.save_pretrained(folder)
    return folder
