"""Make the example portrait and the example voice that the package ships: `python -m training.make_examples`.

Both come from the procedural world and belong to the project. The person and the voice are drawn from seeds that no
training and no evaluation uses.
"""

from __future__ import annotations

import argparse
import wave
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from wan_core.ops.speech import SAMPLE_RATE
from wan_core.text.vocabulary import CLOSERS, OPENERS

from .pixels import to_bytes
from .world.identity import sample_identities
from .world.photo import render_photo
from .world.speech import Speaker, trim
from .world.voices import draw_voices

EXAMPLES = Path(__file__).parents[1] / "wan_core" / "assets" / "examples"
SEED = 8_675_315
PORTRAIT_SIZE = 256
SENTENCES = (("good morning", "everyone"), ("thank you", "my friend"), ("see you", "tomorrow"))
"""What the example voice says; the demo says something else."""


def draw_portrait(seed: int) -> Image.Image:
    """Draw the example person, 256 x 256 pixels."""
    generator = torch.Generator().manual_seed(seed)
    person = sample_identities(1, generator)
    picture = render_photo(person, generator, size=PORTRAIT_SIZE, augment=False)[0]
    return Image.fromarray(to_bytes(picture).permute(1, 2, 0).numpy())


def speak_example(seed: int) -> np.ndarray:
    """Speak the example sentences with a pause after each, (T,) float32 at 16 kHz."""
    voice = draw_voices(1, seed)[0]
    pause = np.zeros(SAMPLE_RATE // 4, np.float32)
    pieces: list[np.ndarray] = [pause]
    with Speaker() as speaker:
        for opener, closer in SENTENCES:
            phrase = OPENERS.index(opener) * len(CLOSERS) + CLOSERS.index(closer)
            waveform, _ = speaker.say(voice, phrase, seed)
            pieces += [trim(waveform.numpy()), pause]
    return np.concatenate(pieces)


def main() -> None:
    """Write portrait.png and voice.wav."""
    parser = argparse.ArgumentParser(description="Make the example portrait and voice of the package.")
    parser.add_argument("--folder", type=Path, default=EXAMPLES, help="where they go (default: the package)")
    parser.add_argument("--seed", type=int, default=SEED, help="of the person and the voice")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    draw_portrait(arguments.seed).save(arguments.folder / "portrait.png", optimize=True)
    samples = (speak_example(arguments.seed).clip(-1, 1) * 32767).round().astype("<i2")
    with wave.open(str(arguments.folder / "voice.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
    print(
        f"{arguments.folder}: portrait.png {PORTRAIT_SIZE} px, voice.wav {len(samples) / SAMPLE_RATE:.2f} s"
    )


if __name__ == "__main__":
    main()
