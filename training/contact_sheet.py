"""Draw held-out people beside the clips that nano makes of them: the first ones of an evaluation seed, as they come.

python -m training.contact_sheet --out docs/images/nano_contact_sheet.png [--seed 0] [--people 10]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from wan_core.pipelines.bundle import load_bundle
from wan_core.pipelines.defaults import NanoDefaults

from .dataset import prompt_text
from .eval_runs import Clips, Subjects, draw_subjects, sample_subjects
from .pixels import to_bytes

ZOOM = 2
SHOWN = range(0, 17, 2)
MARGIN = 14


def to_image(picture: Tensor) -> Image.Image:
    """One picture (3, H, W) in [-1, 1], enlarged without smoothing."""
    pixels = to_bytes(picture).permute(1, 2, 0).numpy()
    image = Image.fromarray(pixels)
    return image.resize((image.width * ZOOM, image.height * ZOOM), Image.Resampling.NEAREST)


def draw_sheet(subjects: Subjects, clips: Clips, people: int) -> Image.Image:
    """One row a person: the reference photo, a gap, every second frame, and the prompt below."""
    side = subjects.photos.shape[-1] * ZOOM
    sheet = Image.new("RGB", (side * (1 + len(SHOWN)) + MARGIN, people * (side + MARGIN)), "white")
    pen = ImageDraw.Draw(sheet)
    for row in range(people):
        top = row * (side + MARGIN)
        sheet.paste(to_image(subjects.photos[row]), (0, top))
        for place, frame in enumerate(SHOWN):
            sheet.paste(to_image(clips.video[row, :, frame]), (side * (place + 1) + MARGIN, top))
        prompt = prompt_text(int(subjects.scene[row]), int(subjects.action[row]), int(subjects.phrase[row]))
        pen.text((side + MARGIN, top + side), prompt, fill="black")
    return sheet


def main() -> None:
    """Sample and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--people", type=int, default=10)
    parser.add_argument("--weights", type=Path, default=None)
    arguments = parser.parse_args()
    subjects = draw_subjects(arguments.people, arguments.seed)
    with sdpa_kernel([SDPBackend.MATH]):
        clips = sample_subjects(
            load_bundle(arguments.weights), subjects, 1000 * arguments.seed, "on", NanoDefaults()
        )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    draw_sheet(subjects, clips, arguments.people).save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
