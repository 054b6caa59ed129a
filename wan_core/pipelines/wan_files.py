"""The files of a Wan model: named one by one, or found in the folder in which it was published."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..checkpoints.families import detect
from ..checkpoints.lora import Lora
from ..checkpoints.source import open_source
from ..checkpoints.text_umt5 import detect_text, open_text_source
from ..checkpoints.vae_families import detect_vae
from ..dit.config import WanConfig
from ..errors import CheckpointMismatchError, InputError
from ..identity.detectors import Detector
from .wan_adapter import FoundAdapter, FoundTransformer, family_of_adapter, find_adapter
from .wan_family import VAE_22, ReferenceMethod, WanFamily, find_family
from .wan_methods import family_of_method

#: Names in the folders of the original releases.
EXPERT_FOLDERS = ("high_noise_model", "low_noise_model")
ORIGINAL_VAES = ("Wan2.1_VAE.pth", "Wan2.2_VAE.pth")
ORIGINAL_TEXT = "models_t5_umt5-xxl-enc-bf16.pth"
ORIGINAL_TOKENIZER = "google/umt5-xxl"
ORIGINAL_CLIP = "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"
#: Words by which published files of experts tell which one they are.
_HIGH, _LOW = ("high_noise", "high-noise", "highnoise"), ("low_noise", "low-noise", "lownoise")


@dataclass(frozen=True, slots=True, kw_only=True)
class WanFiles:
    """Where the parts are.

    Attributes:
        model: transformer (file, index, folder), or the folder of a whole release, original or Diffusers; of an A14B
            model the high-noise expert.   model_low: its low-noise expert.
        vae, text_encoder, tokenizer, clip_vision: the other parts; None where they lie in the folder of the release,
            where the encoder knows its tokenizer, or where the model needs none.
        loras: added to the model, of an A14B model to both experts.   loras_high, loras_low: to one expert.
        method: "phantom" or "bernini" where the weights are those of that method, which no header tells; None else.
        adapter: files of Lynx, or its folder.   recogniser: the ArcFace that Lynx was trained with; None for the one
            beside the adapter.   detector: finds the face for it, with landmarks.
    """

    model: Path
    model_low: Path | None = None
    vae: Path | None = None
    text_encoder: Path | None = None
    tokenizer: Path | None = None
    clip_vision: Path | None = None
    loras: tuple[Lora, ...] = ()
    loras_high: tuple[Lora, ...] = ()
    loras_low: tuple[Lora, ...] = ()
    method: ReferenceMethod | None = None
    adapter: tuple[Path, ...] = ()
    recogniser: Path | None = None
    detector: Detector = Detector()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """All parts, checked to belong together by their headers.

    Attributes:
        family: what the transformer is.   transformers: one, or (high-noise, low-noise).
        vae, text_encoder: files.   tokenizer, clip_vision: files or None.
        adapter: Lynx, or None.
    """

    family: WanFamily
    transformers: tuple[FoundTransformer, ...]
    vae: Path
    text_encoder: Path
    tokenizer: Path | None
    clip_vision: Path | None
    adapter: FoundAdapter | None = None


def find_model(files: WanFiles) -> FoundModel:
    """Find all parts and recognise the family, from headers alone.

    Raises:
        InputError: a part is missing.   CheckpointError: a file is missing, damaged or unknown.
        CheckpointMismatchError: experts of different models, or no pair.
    """
    files = complete(files)
    high = _look(files.model)
    has_experts = files.model_low is not None
    family = find_family(high.detected.config, has_experts=has_experts, where=high.header.name)
    adapter = find_adapter(files.adapter, files.recogniser, files.detector, high) if files.adapter else None
    family = _with_method(files, family, adapter, high)
    found = [replace(high, loras=(*files.loras, *(files.loras_high if family.has_experts else ())))]
    if files.model_low is not None:
        low = _look(files.model_low)
        _check_experts(high, low)
        found.append(replace(low, loras=(*files.loras, *files.loras_low)))
    elif family.has_experts:
        raise InputError(
            f"model: expected both experts of {family.name}, got one in {high.header.name}. Name the high-noise file "
            "as the model and the low-noise file as the second (--model-low)."
        )
    if (files.loras_high or files.loras_low) and not family.has_experts:
        raise InputError(
            f"LoRA: expected one for the whole model, got one for an expert; {family.name} has none. Use --lora."
        )
    vae_name = "Wan 2.2 VAE" if family.latent_channels == VAE_22 else "Wan 2.1 VAE"
    vae = _needed(files.vae, "VAE", f"the {vae_name} for {family.name}", "--vae")
    text_encoder = _needed(files.text_encoder, "text encoder", "umT5-xxl", "--text-encoder")
    if family.needs_clip and files.clip_vision is None:
        raise InputError(
            f"CLIP: expected the picture tower that {family.name} attends to, got none. Name it with --clip-vision "
            "(clip_vision_h.safetensors, or the CLIP .pth of Wan2.1)."
        )
    check_vae(vae, family)
    _check_text(text_encoder, high)
    return FoundModel(
        family=family,
        transformers=tuple(found),
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=files.tokenizer,
        clip_vision=files.clip_vision if family.needs_clip else None,
        adapter=adapter,
    )


def _with_method(
    files: WanFiles, family: WanFamily, adapter: FoundAdapter | None, found: FoundTransformer
) -> WanFamily:
    """The family with the method by which references reach it, where the user named one."""
    if adapter is not None:
        if files.method not in (None, "lynx"):
            raise InputError(
                f"method: expected lynx with --adapter, got {files.method}. Leave one of the two out."
            )
        return family_of_adapter(family, adapter, found.header.name)
    if files.recogniser is not None or files.detector != Detector():
        raise InputError(
            "recogniser or detector: expected the files of Lynx with it, got none. Name them with --adapter."
        )
    if files.method is None:
        return family
    return family_of_method(family, files.method, found.header.name)


def check_vae(path: Path, family: WanFamily) -> None:
    """Check from its header that a VAE is the one of a family.

    Raises: CheckpointMismatchError: it is another.   CheckpointError: missing, damaged or no VAE.
    """
    channels = detect_vae(open_source(path, "vae")).config.latent_channels
    if channels != family.latent_channels:
        raise CheckpointMismatchError(
            f"VAE: expected {family.latent_channels} latent channels for {family.name}, got {channels} in {path}. "
            "Wan2.2-TI2V-5B takes the Wan 2.2 VAE, all others the Wan 2.1 VAE."
        )


def _check_text(path: Path, transformer: FoundTransformer) -> None:
    """Check from its header that a text encoder is as wide as the transformer's context."""
    width, config = detect_text(open_text_source(path)).config.dim, transformer.detected.config
    if isinstance(config, WanConfig) and width != config.text_dim:
        raise CheckpointMismatchError(
            f"text encoder: expected width {config.text_dim} as the transformer has it, got {width} in {path}. "
            "Name the umT5-xxl file of Wan."
        )


def complete(files: WanFiles) -> WanFiles:
    """Fill in what lies in the folder of a release; parts that were named stay as they are."""
    folder = files.model
    if not folder.is_dir():
        return files
    found = _diffusers(folder) if (folder / "model_index.json").is_file() else _original(folder)
    named = {name: getattr(files, name) for name in found if name != "model"}
    return replace(
        files,
        model=found["model"] or folder,
        **{name: found[name] if value is None else value for name, value in named.items()},
    )


def _diffusers(folder: Path) -> dict[str, Path | None]:
    def part(name: str) -> Path | None:
        return folder / name if (folder / name).is_dir() else None

    return {
        "model": part("transformer"),
        "model_low": part("transformer_2"),
        "vae": part("vae"),
        "text_encoder": part("text_encoder"),
        "tokenizer": part("tokenizer"),
        "clip_vision": part("image_encoder"),
    }


def _original(folder: Path) -> dict[str, Path | None]:
    def part(*names: str) -> Path | None:
        return next((folder / name for name in names if (folder / name).exists()), None)

    high, low = (part(name) for name in EXPERT_FOLDERS)
    return {
        "model": high,
        "model_low": low,
        "vae": part(*ORIGINAL_VAES),
        "text_encoder": part(ORIGINAL_TEXT),
        "tokenizer": part(ORIGINAL_TOKENIZER),
        "clip_vision": part(ORIGINAL_CLIP),
    }


def _look(path: Path) -> FoundTransformer:
    source = open_source(path)
    return FoundTransformer(path=path, header=source.header, detected=detect(source))


def _check_experts(high: FoundTransformer, low: FoundTransformer) -> None:
    """Refuse two transformers that were not trained together, as far as files tell."""
    is_same_file = high.path.resolve() == low.path.resolve()
    if is_same_file or high.detected.config != low.detected.config:
        got = "the same file twice" if is_same_file else f"another model in {low.header.name}"
        raise CheckpointMismatchError(
            f"experts: expected the high-noise and the low-noise transformer of one model, got {got} beside "
            f"{high.header.name}. Name the two files of one release."
        )
    names = (high.path.name.lower(), low.path.name.lower())
    if any(word in names[0] for word in _LOW) or any(word in names[1] for word in _HIGH):
        raise CheckpointMismatchError(
            f"experts: expected the high-noise one first, got {high.path.name} and then {low.path.name}. "
            "Swap --model and --model-low."
        )


def _needed(path: Path | None, part: str, what: str, option: str) -> Path:
    if path is None:
        raise InputError(f"{part}: expected {what}, got none. Name its file with {option}.")
    return path
