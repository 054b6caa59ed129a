"""The progress bar on a terminal and elsewhere."""

from __future__ import annotations

import io

from wan_core.cli.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bar_is_drawn_over_on_a_terminal() -> None:
    stream = Terminal()
    bar = Console(io.StringIO(), stream).bar()
    for done in range(5):
        bar.update("sample", done, 4)
    text = stream.getvalue()
    assert text.count("\r") == 5
    assert text.count("\n") == 1
    assert "[##############..............] 2/4" in text
    assert "s left" in text
    assert text.rstrip(" \n").split("\r")[-1].startswith("sample   [############################] 4/4")


def test_elsewhere_one_line_a_stage() -> None:
    stream = io.StringIO()
    bar = Console(io.StringIO(), stream).bar()
    for stage in ("encode", "sample"):
        for done in range(3):
            bar.update(stage, done, 2)
    lines = stream.getvalue().splitlines()
    assert [line.split(" in ")[0] for line in lines] == ["encode: 2 of 2", "sample: 2 of 2"]
