"""What the command line writes: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TextIO

_BAR = 28


@dataclass(slots=True)
class Console:
    """The two streams, and how to write on them.

    Attributes:
        out: results.   err: progress and errors.
        is_json: results are one JSON object instead of sentences.
    """

    out: TextIO
    err: TextIO
    is_json: bool = False

    def show(self, lines: list[str], content: Mapping[str, object]) -> None:
        """Write a result: the lines for people, or the content for machines."""
        if self.is_json:
            self.out.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
        else:
            self.out.writelines(f"{line}\n" for line in lines)
        self.out.flush()

    def note(self, line: str) -> None:
        """Say something on the way, on standard error."""
        self.err.write(f"{line}\n")
        self.err.flush()

    def fail(self, message: str, kind: str) -> None:
        """Write an error as one line; with JSON also as an object on standard output."""
        line = " ".join(message.split())
        if self.is_json:
            self.out.write(json.dumps({"error": line, "kind": kind}, ensure_ascii=False) + "\n")
        self.err.write(f"wan-r2v: {line}\n")

    def bar(self) -> ProgressBar:
        """Return a progress bar on standard error."""
        return ProgressBar(self.err)


@dataclass(slots=True)
class ProgressBar:
    """One line that is drawn over on a terminal; elsewhere one line a finished stage.

    Attributes:
        stream: where it is drawn.
    """

    stream: TextIO
    _stage: str = ""
    _started: float = field(default_factory=time.monotonic)

    def update(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps of a stage are finished."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._started = stage, now
        is_finished = done >= total
        elapsed = now - self._started
        if self.stream.isatty():
            filled = _BAR * done // max(1, total)
            left = f", {elapsed * (total - done) / done:.0f} s left" if 0 < done < total else ""
            line = f"\r{stage:8} [{'#' * filled}{'.' * (_BAR - filled)}] {done}/{total} {elapsed:.1f} s{left}"
            self.stream.write(line.ljust(78) + ("\n" if is_finished else ""))
            self.stream.flush()
        elif is_finished:
            self.stream.write(f"{stage}: {done} of {total} in {elapsed:.1f} s\n")
            self.stream.flush()
