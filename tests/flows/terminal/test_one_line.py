"""The line that shows a run in a program or a notebook."""

import io
import sys

import pytest

from flows.terminal.one_line import on_one_line
from tasks.progress import CHECKS, TRAINING, Progress, at_step, report


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(stream: io.StringIO) -> str:
    with on_one_line("demo", stream):
        with at_step(CHECKS):
            pass
        with at_step(TRAINING):
            report(Progress(12, 40, "loss 0.94", 75))
    return stream.getvalue()


def test_in_a_terminal_one_line_is_overwritten_and_removed() -> None:
    shown = [part.strip() for part in run(Terminal()).split("\r")]
    assert shown == [
        "",
        "demo: [1/9] checks",
        "demo: [4/9] training",
        "demo: [4/9] training 12/40 ▇▇▇▁▁▁▁▁▁▁ loss 0.94, 1 min 15 s left",
        "",
        "",
    ]


def test_elsewhere_a_short_run_prints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # another test may have imported it
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    assert run(io.StringIO()) == ""
