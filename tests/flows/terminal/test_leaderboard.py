"""The leaderboard in a terminal and as lines."""

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from flows.terminal.leaderboard import board, live_board, new_lines, watching
from tasks.files import write_json, write_text
from tasks.paths import Workspace
from tasks.sweeping.progress import PointProgress, SweepProgress


def point(number: int, state: Any = "scored", score: float | None = None, **values: Any) -> PointProgress:
    sources: Any = {"LR": {"metric": "accuracy", "value": score, "ci95": None}} if score is not None else {}
    settings: Any = {"training.lora_r": 2**number, "training.learning_rate": 1e-3}
    found = {"run": f"run-{number}", "settings": settings, "score": score, "sources": sources, **values}
    return PointProgress(number=number, state=state, **found)


BEGUN = SweepProgress(total=4, objective="score", points=[point(1, "running")])
LATER = SweepProgress(
    total=4,
    objective="score",
    points=[
        point(1, score=0.5, verdict="tie"),
        point(2, score=0.75, verdict="best"),
        point(3, "failed", reason="out of memory"),
        point(4, "running"),
    ],
)


def test_a_line_says_what_has_begun_and_how_it_ended() -> None:
    assert list(new_lines(None, BEGUN)) == ["[1/4] lora_r 2, learning_rate 0.001"]
    assert list(new_lines(BEGUN, LATER)) == [
        "[1/4] score 0.5 (LR 0.500); best so far: point 2",
        "[2/4] lora_r 4, learning_rate 0.001",
        "[2/4] score 0.75 (LR 0.750); the best so far",
        "[3/4] lora_r 8, learning_rate 0.001",
        "[3/4] failed: out of memory",
        "[4/4] lora_r 16, learning_rate 0.001",
    ]
    assert list(new_lines(LATER, LATER)) == []
    testing = LATER.model_copy(update={"testing": "run-2"})
    assert list(new_lines(LATER, testing)) == ["testing the best point, run-2, on the test set"]


def test_the_board_has_the_best_first_and_what_the_running_point_does() -> None:
    assert board(LATER, "training, step 1 of 9") == [
        ("", "lora_r", "learning_rate", "LR", "score", ""),
        ("1", "4", "0.001", "0.750", "0.75", "best"),
        ("2", "2", "0.001", "0.500", "0.5", "tie"),
        ("", "8", "0.001", "", "", "failed"),
        ("", "16", "0.001", "", "", "training, step 1 of 9"),
    ]


def test_a_long_board_keeps_the_running_point_in_view() -> None:
    points = [*(point(number, score=number / 100) for number in range(1, 60)), point(60, "running")]
    progress = SweepProgress(total=99, objective="score", points=points)
    console = Console(file=io.StringIO(), width=120)
    console.print(live_board("rates", progress, "training"))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().rstrip().split("\n")
    assert len(lines) == 22 and lines[-1].rstrip().endswith("training")
    assert lines[0].startswith("sweep rates, 59 of 99 points")


def written(folder: Path, progress: SweepProgress) -> None:
    write_json(folder / "progress.json", progress.model_dump(mode="json"))


def test_without_a_terminal_lines_are_printed_and_what_was_known_is_not_repeated(tmp_path: Path) -> None:
    folder = tmp_path / "sweeps" / "rates"
    written(folder, LATER)
    console = Console(file=io.StringIO(), width=200)
    with watching(folder, console):
        written(folder, LATER.model_copy(update={"points": [*LATER.points[:3], point(4, score=0.1)]}))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().split("\n") == [
        "3 of 4 points were tried before",
        "[4/4] score 0.1 (LR 0.100); best so far: point 2",
        "",
    ]


def test_in_a_terminal_the_table_is_drawn_with_the_last_step(tmp_path: Path) -> None:
    folder = tmp_path / "sweeps" / "rates"
    log = Workspace(tmp_path).run("run-4").log
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with watching(folder, console):
        write_text(log, "loading\nstep 12/40: loss 0.9400, learning rate 1.00e-03, 75 s left\n")
        written(folder, LATER)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "training, step 12 of 40, loss 0.9400, 1 min 15 s left" in text and "3 of 4 points" in text
