"""A bank of the world's speech on disk: every voice says every phrase, as latents of the audio codec.

A bank is a folder (all arrays are NumPy files, opened as memory maps, so access is random):
    bank.json         {"voices", "phrases", "held_out", "seed", "codec"}; codec = fingerprint of the codec that made it
    latents.npy       (V, 64, 32, 34) float16, the audio codec's latents
    mouth.npy         (V, 64, 17) float16 in [0, 1], mouth opening at k / 8 s, measured on the waveform
    voices.npy        (V, 15) float32, in the units of `voices.FACTORS`
    leads.npy         (V, 64) float32, seconds of silence before the phrase
    done.npy          (V,) bool, voices that are complete; a killed build goes on from here
The last `held_out` voices are for evaluation and never for training. Latents of voice v, phrase p: `latents[v, p]`.
    python -m training.world.bank --out data/bank --voices 700 --held-out 100 --workers 2
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from wan_core.audio import AudioCodec

from ..fit_audio import default_codec_path, load_codec
from .speech import CLIP_SAMPLES, FRAMES, PHRASES, Speaker, mouth_track
from .voices import draw_voices


class VoiceClips(NamedTuple):
    """All phrases of one voice: its number, latents (64, 32, 34), mouth (64, 17), leads (64,)."""

    voice: int
    latents: NDArray[np.float16]
    mouth: NDArray[np.float16]
    leads: NDArray[np.float32]


class SpeechBank:
    """A bank opened for reading; see the module for the arrays.

    Args:
        path: the bank's folder.
    """

    def __init__(self, path: Path) -> None:
        self.info = json.loads((path / "bank.json").read_text(encoding="utf-8"))
        self.latents = np.load(path / "latents.npy", mmap_mode="r")
        self.mouth = np.load(path / "mouth.npy", mmap_mode="r")
        self.voices = np.load(path / "voices.npy")
        self.leads = np.load(path / "leads.npy")

    @property
    def train_voices(self) -> range:
        """Voices that training may use."""
        return range(self.info["voices"] - self.info["held_out"])

    @property
    def held_out_voices(self) -> range:
        """Voices kept for evaluation."""
        return range(self.info["voices"] - self.info["held_out"], self.info["voices"])


def fingerprint(codec: AudioCodec) -> str:
    """First 12 hex digits of the SHA-256 of the codec's numbers."""
    digest = hashlib.sha256()
    for name, value in sorted(codec.state_dict().items()):
        digest.update(name.encode() + value.float().numpy().tobytes())
    return digest.hexdigest()[:12]


def render_voice(codec_path: Path, number: int, voice: NDArray[np.float32], seed: int) -> VoiceClips:
    """Speak, measure and encode all phrases of one voice; the lead-ins follow from (seed, number, phrase)."""
    torch.set_num_threads(1)
    codec = load_codec(codec_path)
    with Speaker() as speaker, torch.inference_mode():
        spoken = [speaker.say(voice, phrase, seed * 1_000_003 + number) for phrase in range(PHRASES)]
        waves = torch.stack([waveform for waveform, _ in spoken])
        latents = torch.cat([codec.encode(part) for part in waves.split(16)])
        mouth = mouth_track(waves)
    leads = np.array([lead for _, lead in spoken], np.float32)
    return VoiceClips(number, latents.half().numpy(), mouth.half().numpy(), leads)


def build_bank(
    path: Path, voices: int, seed: int, workers: int, *, held_out: int = 100, codec_path: Path | None = None
) -> None:
    """Render `voices` voices x 64 phrases into the folder `path`; goes on where an earlier call was stopped.

    Args:
        path: folder. voices: how many, held-out ones included. seed: of the voices and lead-ins. workers: processes.
        held_out: the last voices, marked as not for training. codec_path: weights of the codec (the shipped ones).
    Raises: ValueError: the folder holds a bank made with other settings.
    """
    codec = load_codec(codec_path)
    weights = default_codec_path() if codec_path is None else codec_path
    info = {
        "voices": voices,
        "phrases": PHRASES,
        "held_out": held_out,
        "seed": seed,
        "codec": fingerprint(codec),
    }
    path.mkdir(parents=True, exist_ok=True)
    note = path / "bank.json"
    if note.exists() and json.loads(note.read_text(encoding="utf-8")) != info:
        raise ValueError(
            f"speech bank: expected {info} in {note}, got other settings. Delete the folder to build anew."
        )
    drawn = draw_voices(voices, seed)
    steps = -(-CLIP_SAMPLES // codec.latent_samples)
    arrays = {
        "latents": _open(path / "latents.npy", (voices, PHRASES, codec.config.latent_dim, steps), np.float16),
        "mouth": _open(path / "mouth.npy", (voices, PHRASES, FRAMES), np.float16),
        "leads": _open(path / "leads.npy", (voices, PHRASES), np.float32),
        "done": _open(path / "done.npy", (voices,), np.bool_),
    }
    np.save(path / "voices.npy", drawn)
    note.write_text(json.dumps(info), encoding="utf-8")
    todo = np.flatnonzero(~arrays["done"])
    if len(todo) == 0:
        return
    began = time.monotonic()
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(render_voice, weights, int(number), drawn[number], seed) for number in todo]
        for count, job in enumerate(as_completed(jobs), 1):
            clips = job.result()
            arrays["latents"][clips.voice] = clips.latents
            arrays["mouth"][clips.voice] = clips.mouth
            arrays["leads"][clips.voice] = clips.leads
            arrays["latents"].flush()
            arrays["done"][clips.voice] = True
            if count % 25 == 0 or count == len(todo):
                rate = count * PHRASES / (time.monotonic() - began)
                print(f"{count}/{len(todo)} voices, {rate:.0f} clips/s", flush=True)
    for array in arrays.values():
        array.flush()


def _open(path: Path, shape: tuple[int, ...], kind: type[np.generic]) -> np.memmap:
    if path.exists():
        return np.lib.format.open_memmap(path, mode="r+")
    return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)


def main() -> None:
    """Build a bank from the command line."""
    parser = argparse.ArgumentParser(description="Render the world's speech into a bank.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--voices", type=int, default=700)
    parser.add_argument("--held-out", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    build_bank(options.out, options.voices, options.seed, options.workers, held_out=options.held_out)


if __name__ == "__main__":
    main()
