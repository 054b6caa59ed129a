"""Train the two networks of `training.judge_sound` on espeak-ng's waveforms, plain and after the codec.

    python -m training.train_judge_sound --bank data/bank [--phrase-steps 500] [--timbre-steps 600]

Voices of the bank that are held out serve only for the measurement at the end: phrases recognised, and the right one
of 16 voices of neighbouring pitch found by timbre from a clip with other words; each on plain and on decoded waveforms.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from wan_core.audio import AudioCodec

from .fit_audio import load_codec
from .judge_sound import JUDGE_PATH, LogMel, PhraseNet, PhraseScores, SoundJudge, TimbreNet
from .runs import RunLog
from .world.bank import SpeechBank
from .world.speech import PHRASES, Speaker

GROUP = 16


class Heard(NamedTuple):
    """Spectrograms of clips: plain and decoded (V, C, 64, N) float16, phrase (V, C), pitch of the voices (V,) in Hz."""

    plain: Tensor
    decoded: Tensor
    phrase: Tensor
    pitch: Tensor


@torch.inference_mode()
def listen(bank: SpeechBank, voices: range, clips: int, codec: AudioCodec, seed: int) -> Heard:
    """Speak `clips` phrases in each of some voices of a bank; hear them plain and decoded from the bank's latents."""
    log_mel = LogMel()
    random = np.random.default_rng(seed)
    plain: list[Tensor] = []
    decoded: list[Tensor] = []
    phrases: list[Tensor] = []
    with Speaker() as speaker:
        for voice in voices:
            chosen = random.choice(PHRASES, clips, replace=False)
            waves = torch.stack(
                [speaker.say(bank.voices[voice], int(phrase), int(seed + voice))[0] for phrase in chosen]
            )
            plain.append(log_mel(waves).half())
            latents = torch.from_numpy(bank.latents[voice, np.sort(chosen)].astype(np.float32))
            order = torch.from_numpy(np.argsort(np.argsort(chosen)))
            decoded.append(log_mel(codec.decode(latents)[order][:, : waves.shape[-1]]).half())
            phrases.append(torch.from_numpy(chosen))
    pitch = torch.from_numpy(bank.voices[voices.start : voices.stop, 0])
    return Heard(*(torch.stack(rows) for rows in (plain, decoded, phrases)), pitch)


def recall(path: Path, bank: SpeechBank, codec: AudioCodec, clips: int, seed: int) -> Heard:
    """What `listen` made of the training voices, kept in a file so that a killed run need not listen again."""
    wanted = {"voices": str(len(bank.train_voices)), "clips": str(clips), "seed": str(seed)}
    if path.exists():
        with safe_open(path, framework="pt") as file:
            if file.metadata() == wanted:
                return Heard(*(file.get_tensor(name) for name in Heard._fields))
    heard = listen(bank, bank.train_voices, clips, codec, seed)
    save_file({name: value.contiguous() for name, value in heard._asdict().items()}, path, wanted)
    return heard


def spoil(spectrograms: Tensor, random: torch.Generator) -> Tensor:
    """Shift in time, add a little noise floor, and blank a stretch and a band, as regularisation."""
    count, bands, length = spectrograms.shape
    out = spectrograms.clone()
    shift = int(torch.randint(-12, 13, (), generator=random))
    out = torch.roll(out, shift, -1)
    floor = -3.2 + 1.2 * torch.rand(count, 1, 1, generator=random) + 1.5
    out = torch.maximum(out, floor + 0.1 * torch.randn(out.shape, generator=random))
    start = int(torch.randint(0, length - 12, (), generator=random))
    out[:, :, start : start + 8] = out.amin()
    band = int(torch.randint(0, bands - 6, (), generator=random))
    out[:, band : band + 4] = out.mean()
    return out


def phrase_loss(scores: PhraseScores, phrase: Tensor) -> Tensor:
    """Cross-entropy of opener and closer."""
    return F.cross_entropy(scores.opener, phrase // 8) + F.cross_entropy(scores.closer, phrase % 8)


def train_phrases(heard: Heard, steps: int, seed: int, log: RunLog) -> PhraseNet:
    """Train the recogniser."""
    random = torch.Generator().manual_seed(seed)
    net = PhraseNet()
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.03)
    plain, decoded, phrase = heard.plain.flatten(0, 1), heard.decoded.flatten(0, 1), heard.phrase.flatten()
    for step in range(steps):
        set_rate(optimizer, 2e-3, step, steps)
        rows = torch.randint(len(phrase), (48,), generator=random)
        source = torch.where(torch.rand(48, 1, 1, generator=random) < 0.5, plain[rows], decoded[rows]).float()
        loss = phrase_loss(net(spoil(source, random)), phrase[rows])
        advance(optimizer, net, loss)
        if step % 50 == 49:
            log.write(net="phrase", step=step + 1, loss=loss.item())
    return net.train(False)


def train_timbre(heard: Heard, steps: int, seed: int, log: RunLog) -> TimbreNet:
    """Train the voice comparer on groups of voices that neighbour each other in pitch."""
    random = torch.Generator().manual_seed(seed)
    net = TimbreNet()
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.03)
    by_pitch = heard.pitch.argsort()
    clips = heard.plain.shape[1]
    for step in range(steps):
        set_rate(optimizer, 2e-3, step, steps)
        loss = torch.zeros(())
        starts = torch.randint(0, len(by_pitch) - GROUP + 1, (2,), generator=random).tolist()
        voices = torch.cat([by_pitch[start : start + GROUP] for start in starts])
        takes = torch.rand(len(voices), clips, generator=random).argsort(1)[:, :2]
        sides = []
        for side in range(2):
            decoded = torch.rand(len(voices), 1, 1, generator=random) < 0.5
            take = takes[:, side]
            source = torch.where(decoded, heard.decoded[voices, take], heard.plain[voices, take]).float()
            sides.append(spoil(source, random))
        vectors = net(torch.cat(sides)).unflatten(0, (2, 2, GROUP))
        scores = vectors[0] @ vectors[1].transpose(-1, -2) / 0.1
        target = torch.arange(GROUP).repeat(2)
        loss = F.cross_entropy(scores.flatten(0, 1), target) + F.cross_entropy(
            scores.mT.flatten(0, 1), target
        )
        advance(optimizer, net, loss)
        if step % 50 == 49:
            log.write(net="timbre", step=step + 1, loss=loss.item())
    return net.train(False)


def set_rate(optimizer: torch.optim.Optimizer, peak: float, step: int, steps: int) -> None:
    """Warm-up of 50 steps and a cosine."""
    for group in optimizer.param_groups:
        group["lr"] = peak * min(1.0, (step + 1) / 50) * 0.5 * (1.0 + math.cos(math.pi * step / steps))


def advance(optimizer: torch.optim.Optimizer, net: nn.Module, loss: Tensor) -> None:
    """One step with clipped gradients."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()


@torch.inference_mode()
def measure(phrases: PhraseNet, timbre: TimbreNet, heard: Heard) -> dict[str, float]:
    """Accuracies on voices never trained on, each in [0, 1], of plain and decoded waveforms."""
    out: dict[str, float] = {}
    order = heard.pitch.argsort()
    vectors = {
        kind: timbre(part.flatten(0, 1).float()).unflatten(0, part.shape[:2])
        for kind, part in (("plain", heard.plain), ("decoded", heard.decoded))
    }
    for kind, part in (("plain", heard.plain), ("decoded", heard.decoded)):
        scores = phrases(part.flatten(0, 1).float())
        opener = scores.opener.argmax(-1) == heard.phrase.flatten() // 8
        closer = scores.closer.argmax(-1) == heard.phrase.flatten() % 8
        out[f"phrase_{kind}"] = (opener & closer).float().mean().item()
        hits: list[Tensor] = []
        for start in range(0, len(order) - GROUP + 1, 4):
            group = order[start : start + GROUP]
            for clip in range(1, part.shape[1]):
                scores_16 = vectors[kind][group, clip] @ vectors["plain"][group, 0].T
                hits.append((scores_16.argmax(-1) == torch.arange(GROUP)).float())
        out[f"timbre_top1_of_16_{kind}"] = torch.cat(hits).mean().item()
    return out


def main() -> None:
    """Train, measure and write the judge."""
    parser = argparse.ArgumentParser(description="Train the judge of sound.")
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=JUDGE_PATH)
    parser.add_argument("--clips", type=int, default=5)
    parser.add_argument("--phrase-steps", type=int, default=500)
    parser.add_argument("--timbre-steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    log = RunLog(options.bank.parent / "judge_sound.log")
    bank, codec = SpeechBank(options.bank), load_codec()
    heard = recall(options.bank.parent / "judge_heard.safetensors", bank, codec, options.clips, options.seed)
    log.write(heard=list(heard.plain.shape))
    phrases = train_phrases(heard, options.phrase_steps, options.seed, log)
    timbre = train_timbre(heard, options.timbre_steps, options.seed, log)
    measured = measure(phrases, timbre, listen(bank, bank.held_out_voices, 8, codec, options.seed + 1))
    log.write(**measured)
    judge = SoundJudge()
    judge.phrase_net, judge.timbre_net = phrases, timbre
    options.out.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in judge.state_dict().items()
        if not name.startswith("log_mel.")
    }
    save_file(tensors, options.out, {"measured": json.dumps(measured)})


if __name__ == "__main__":
    main()
