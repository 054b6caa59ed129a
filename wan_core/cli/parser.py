"""The options of `wan-r2v`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from ..errors import InputError
from .identity_parser import add_detector_options, add_encode_identity_options
from .report_parser import add_best_of_options, add_report, add_report_options
from .voice_parser import add_encode_voice_options, add_speak_options
from .wan_parser import add_decode_options, add_wan_options

DEMO_FILE = "wan_r2v_demo.mp4"
AddCommand = Callable[[str, str], "Parser"]
_WORDS = "The words that nano knows are listed by `wan-r2v doctor`."


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line, like all other bad input."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving.

        Raises: InputError: always.
        """
        raise InputError(f"command line: {message}. See {self.prog} --help.")


def build_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="wan-r2v",
        description="A photo, a voice clip and a sentence become a talking clip, on your own machine.",
        epilog="Exit codes: 0 done, 2 bad input (one line says what), 1 a fault.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> Parser:
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        command.add_argument("--json", action="store_true", help="write the result as JSON")
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return command

    demo = add("demo", f"make {DEMO_FILE} from the example portrait and voice")
    _add_output(demo, f"where the clip goes (default: {DEMO_FILE} here, or the next free number)")
    demo.add_argument("--seed", type=int, default=7, help="of the noise (default: 7)")
    demo.add_argument("--steps", type=int, help="sampling steps (default: the model's)")
    add_report(demo)
    _add_watermark(demo)
    _add_weights(demo)
    _add_generate(add)
    report = add("report", "measure a clip against the photo and the voice it was made from")
    report.add_argument("clip", type=Path, help="the clip, such as clip.mp4")
    add_report_options(report)
    _add_output(report, "stem of the two files (default: CLIP.report)")
    _add_weights(report)
    encode_identity = add("encode-identity", "encode the face of photos or a video for generate")
    add_encode_identity_options(encode_identity)
    _add_output(encode_identity, "where the face goes (default: PHOTO.identity.safetensors here)")
    _add_weights(encode_identity)
    encode_voice = add("encode-voice", "encode the voice of a recording for generate, and draw its card")
    add_encode_voice_options(encode_voice)
    _add_output(encode_voice, "where the tokens go (default: SOUND.voice.safetensors here)")
    _add_weights(encode_voice)
    speech = add("speak", "speak a script in the voices of recordings")
    add_speak_options(speech)
    _add_output(speech, "where the sound goes (default: speech.wav here, or the next free number)")
    decode = add("decode", "make the clip of latents that generate has saved")
    add_decode_options(decode)
    _add_watermark(decode)
    _add_output(decode, "where the clip goes (default: clip.mp4 here, or the next free number)")
    verify = add("verify", "say whether a clip carries the tag and the mark of synthetic media")
    verify.add_argument("clip", type=Path, help="the clip, such as clip.mp4")
    inspect = add("inspect", "say what a weights file or model folder is")
    inspect.add_argument(
        "file", type=Path, help="a .safetensors, .gguf or .pth file, a sharded index, or a folder"
    )
    doctor = add("doctor", "say what is installed here and what it can make")
    _add_weights(doctor)
    doctor.add_argument(
        "--models", type=Path, metavar="FOLDER", help="also plan the memory of every Wan model in a folder"
    )
    doctor.add_argument("--vram", metavar="SIZE", help="plan for this much memory, such as 24GB")
    return parser


def _add_generate(add: AddCommand) -> None:
    generate = add("generate", "make a clip")
    generate.add_argument(
        "--prompt",
        default="",
        help=f"place, movement and, in quotes, what is said; names character1. {_WORDS}",
    )
    generate.add_argument("--negative-prompt", help="what to lead away from (default: the model's)")
    generate.add_argument(
        "--reference",
        action="append",
        default=[],
        metavar="NAME=PHOTO",
        help="photo or video of a person, or what encode-identity made, such as character1=photo.jpg; again for more "
        "photos of the same person",
    )
    generate.add_argument(
        "--voice",
        action="append",
        default=[],
        metavar="NAME=SOUND",
        help="recording (or video) of the person speaking, or what encode-voice made of one",
    )
    generate.add_argument(
        "--face",
        metavar="WHICH",
        help="auto (default): the largest face; 2, 3, ...: the next largest; whole: all of the picture (for drawings)",
    )
    add_detector_options(generate)
    generate.add_argument(
        "--region",
        action="append",
        default=[],
        metavar="NAME=X0,Y0,X1,Y1[@T0-T1]",
        help="where a face acts, as shares of the picture, and when, in seconds; again for more (nano, Lynx)",
    )
    generate.add_argument(
        "--consent",
        metavar="GROUND",
        help="needed with a face or voice: own, written (by the person) or fictional",
    )
    generate.add_argument(
        "--first-frame", type=Path, metavar="PICTURE", help="picture that the clip begins with"
    )
    generate.add_argument(
        "--size", metavar="W*H", help="of the clip in pixels (default: 256*256, or the model's)"
    )
    generate.add_argument(
        "--duration", type=float, metavar="SECONDS", help="of the clip (default: 2, or the model's)"
    )
    generate.add_argument("--shot-type", metavar="TYPE", help="single or multi (default: single)")
    generate.add_argument(
        "--seed", type=int, default=0, help="of the noise; the same seed gives the same clip"
    )
    generate.add_argument(
        "--audio",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="whether the clip has sound (default: where the model makes it)",
    )
    generate.add_argument("--steps", type=int, help="sampling steps (default: the model's)")
    generate.add_argument(
        "--identity-scale", type=float, metavar="X", help="strength of the face: 0 off, 1 as trained"
    )
    generate.add_argument("--identity-preset", metavar="NAME", help="free, as trained (default) or likeness")
    generate.add_argument(
        "--identity-slider", type=float, metavar="X", help="instead: from -1 (free) over 0 to 1 (likeness)"
    )
    generate.add_argument(
        "--identity-window", metavar="LOW,HIGH", help="noise levels at which references act (default: all)"
    )
    generate.add_argument(
        "--voice-scale", type=float, metavar="X", help="strength of the voice: 0 off, 1 as trained"
    )
    generate.add_argument(
        "--text-scale", type=float, metavar="X", help="guidance by the prompt on picture and sound"
    )
    _add_output(generate, "where the clip goes (default: clip.mp4 here, or the next free number)")
    add_report(generate)
    add_best_of_options(generate)
    _add_weights(generate)
    _add_watermark(generate)
    add_wan_options(generate)


def _add_output(command: Parser, text: str) -> None:
    command.add_argument("-o", "--output", "--out", type=Path, metavar="FILE", help=text)
    command.add_argument(
        "--overwrite",
        action="store_true",
        help="replace existing files (otherwise a named file that exists is an error)",
    )


def _add_weights(command: Parser) -> None:
    command.add_argument(
        "--weights", type=Path, metavar="FOLDER", help="nano's weights (default: the shipped ones)"
    )


def _add_watermark(command: Parser) -> None:
    command.add_argument(
        "--watermark",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="put an invisible mark into the picture that says it is synthetic (default: yes)",
    )
