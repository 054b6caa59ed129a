"""Reading the prepared clips and the speech bank as batches of nano's training."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from wan_core.text.encoder import pad_token_ids
from wan_core.text.prompt import parse_prompt
from wan_core.text.vocabulary import ACTIONS, PAD_ID, SCENES

from .delays import delay_sound
from .trainee import Batch
from .world.speech import PHRASES, phrase_text

Kind = Literal["unimodal", "joint", "first_frame"]
SILENT = PHRASES

#: Actions that are drawn twice as often: what moves far within half a second is learned last.
HARD_ACTIONS = ("nods", "sways")
DROP_TEXT, DROP_IDENTITY, DROP_VOICE, DROP_WORD = 0.10, 0.12, 0.12, 0.06


def is_held_out(scene: Tensor, action: Tensor) -> Tensor:
    """Whether a pair of scene and action is kept for evaluation: one action of every scene."""
    return action == scene % len(ACTIONS)


def prompt_text(scene: int, action: int, phrase: int) -> str:
    """The training prompt of a clip; phrase `SILENT` says nothing."""
    prompt = f"character1 {ACTIONS[action]} {SCENES[scene]}"
    return prompt if phrase == SILENT else f'{prompt} "{phrase_text(phrase)}"'


def prompt_table(max_tokens: int) -> Tensor:
    """Token ids of every prompt of the world, (scenes, actions, phrases + 1, max_tokens)."""
    rows = [
        parse_prompt(prompt_text(scene, action, phrase)).token_ids
        for scene in range(len(SCENES))
        for action in range(len(ACTIONS))
        for phrase in range(PHRASES + 1)
    ]
    return pad_token_ids(rows, max_tokens).reshape(len(SCENES), len(ACTIONS), PHRASES + 1, max_tokens)


class ClipDataset:
    """Prepared clips in memory maps, sampled with replacement.

    Args:
        clips: folder written by `training.build_data` and `training.embed_references`.   bank: the speech bank.
        max_tokens: length of a prompt in tokens.
    """

    def __init__(self, clips: Path, bank: Path, max_tokens: int) -> None:
        self.latents = np.load(clips / "latents.npy", mmap_mode="r")
        self.index = torch.from_numpy(np.load(clips / "index.npy")).long()
        rows = torch.nonzero(~is_held_out(self.index[:, 0], self.index[:, 1])).flatten()
        hard = torch.tensor([ACTIONS.index(name) for name in HARD_ACTIONS])
        self.rows = torch.cat([rows, rows[torch.isin(self.index[rows, 1], hard)]])
        self.embeds = torch.from_numpy(np.load(clips / "embeds.npy")).float()
        self.speech = np.load(bank / "latents.npy", mmap_mode="r")
        self.silence = torch.from_numpy(np.load(clips / "silence.npy")).float()
        self.voice_tokens = torch.from_numpy(np.load(clips / "voice_tokens.npy")).float()
        self.prompts = prompt_table(max_tokens)

    @property
    def latent_channels(self) -> int:
        """Channels of a video latent."""
        return int(self.latents.shape[1])

    def channel_weights(self, clips: int = 512) -> Tensor:
        """What an error in each channel counts in pixels, (latent_channels,) of mean 1.

        The codec divides a coefficient by the square root of its deviation, so that the variance of a latent is that
        deviation, and a squared error of the latent weighs as much in the picture. Unweighted, the many channels of
        fine detail would outweigh the few whose errors are seen as seams between patches.

        Args: clips: how many, from the first, the variances are taken of.
        """
        latents = torch.from_numpy(self.latents[:clips].astype(np.float32))
        variance = latents.var(dim=(0, 2, 3, 4))
        return variance / variance.mean()

    def batch(self, size: int, kind: Kind, generator: torch.Generator) -> Batch:
        """Draw one batch.

        Args:
            size: number of clips.
            kind: `unimodal` trains first frames and sound apart; `joint` whole clips with sound, each at its own noise;
                `first_frame` the same with a clean first frame given.
            generator: source of all randomness.
        """
        rows = self.rows[torch.randint(len(self.rows), (size,), generator=generator)]
        scene, action, voice, phrase, late = self.index[rows].unbind(dim=1)
        picked = np.sort(rows.numpy())
        order = torch.argsort(torch.argsort(rows))
        video = torch.from_numpy(self.latents[picked].astype(np.float32))[order]
        audio = self.sound(voice, phrase, late)
        token_ids = self._drop_words(self.prompts[scene, action, phrase].clone(), generator)
        reference = torch.randint(self.voice_tokens.shape[1], (size,), generator=generator)
        photo = torch.randint(self.embeds.shape[1], (size,), generator=generator)
        if kind == "unimodal":
            video = video[:, :, :1]
        video_sigma, audio_sigma = draw_noise_levels(size, kind, generator)
        if kind == "first_frame":
            video_sigma = video_sigma[:, None].repeat(1, video.shape[2])
            video_sigma[:, 0] = 0
        return Batch(
            video=video,
            audio=audio,
            token_ids=token_ids,
            face_embeds=self.embeds[rows, photo][:, None],
            voice_tokens=self.voice_tokens[voice, reference],
            keep_identity=keep_mask(size, DROP_IDENTITY, generator),
            keep_voice=keep_mask(size, DROP_VOICE, generator),
            video_sigma=video_sigma,
            audio_sigma=audio_sigma,
            video_noise=torch.randn(video.shape, generator=generator),
            audio_noise=torch.randn(audio.shape, generator=generator),
        )

    def sound(self, voice: Tensor, phrase: Tensor, late: Tensor) -> Tensor:
        """Clean audio latents (B, C_a, T_a) of voices and phrases, said `late` video frames later (B,).

        Phrase `SILENT` is silence.
        """
        spoken = torch.from_numpy(
            np.stack([self.speech[v, p % PHRASES] for v, p in zip(voice, phrase, strict=True)])
        )
        spoken = delay_sound(spoken.float(), late, self.silence)
        return torch.where((phrase == SILENT)[:, None, None], self.silence, spoken)

    @staticmethod
    def _drop_words(token_ids: Tensor, generator: torch.Generator) -> Tensor:
        """Empty some prompts altogether, and leave out the scene or the action of some others."""
        size = token_ids.shape[0]
        chance = torch.rand(size, 3, generator=generator)
        token_ids[chance[:, 0] < DROP_WORD, 0] = PAD_ID
        token_ids[chance[:, 1] < DROP_WORD, 1] = PAD_ID
        token_ids[chance[:, 2] < DROP_TEXT] = PAD_ID
        return token_ids


def keep_mask(size: int, drop: float, generator: torch.Generator) -> Tensor:
    """(size,) of 1, or 0 with probability `drop`."""
    return (torch.rand(size, generator=generator) >= drop).float()


def draw_noise_levels(size: int, kind: Kind, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Noise levels of video and audio, each (size,) in [0, 1].

    In joint batches the sound is never noisier than the picture, since sampling lets the sound lead: half of the clips
    have clean sound, a quarter the same noise, a quarter something between.
    """
    # Who, where and which movement are decided while there is still much noise, so most of the clips have much.
    video = torch.sigmoid(0.8 + 1.2 * torch.randn(size, generator=generator))
    if kind == "unimodal":
        return video, torch.sigmoid(0.2 + 1.1 * torch.randn(size, generator=generator))
    choice, between = torch.rand(size, generator=generator), torch.rand(size, generator=generator)
    audio = torch.where(choice < 0.5, torch.zeros(size), torch.where(choice < 0.75, video, video * between))
    return video, audio
