"""The command line `wan-r2v`."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from ..errors import CheckpointError, InputError, WanCoreError
from .console import Console

__all__ = ["main"]

DONE, FAULT, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: what stands after `wan-r2v`; None takes the program's own.
    Returns:
        Exit code: 0 done, 2 bad input, 1 a fault, 130 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    console = Console(sys.stdout, sys.stderr, is_json="--json" in given)
    try:
        return _run(given, console)
    except KeyboardInterrupt:
        console.fail("interrupted; nothing was written.", "KeyboardInterrupt")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has gone; there is nobody to tell.
        sys.stderr.close()
        return FAULT
    except Exception as error:
        if "--debug" in given:
            traceback.print_exc(file=sys.stderr)
        if isinstance(error, WanCoreError):
            message = str(error)
        else:
            detail = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            message = f"fault: {detail}. Run again with --debug and report what it shows."
        console.fail(message, type(error).__name__)
        return BAD_INPUT if isinstance(error, (InputError, CheckpointError)) else FAULT


def _run(given: list[str], console: Console) -> int:
    """Parse and carry out; commands are imported when needed, so that --help is quick."""
    from .parser import build_parser

    options = build_parser().parse_args(given)
    match options.command:
        case "demo":
            from .generate import run_demo

            run_demo(options, console)
        case "generate":
            from .generate import run_generate

            run_generate(options, console)
        case "decode":
            from .generate_wan import run_decode

            run_decode(options, console)
        case "encode-voice":
            from .voice import run_encode_voice

            run_encode_voice(options, console)
        case "speak":
            from .speak import run_speak

            run_speak(options, console)
        case "encode-identity":
            from .identity import run_encode_identity

            run_encode_identity(options, console)
        case "report":
            from .measure import run_report

            run_report(options, console)
        case "verify":
            from .inspect import run_verify

            return run_verify(options, console)
        case "inspect":
            from .inspect import run_inspect

            run_inspect(options, console)
        case _:
            from .doctor import run_doctor

            return run_doctor(options, console)
    return DONE
